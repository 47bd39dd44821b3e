package dlq_test

func replayInChild(string) error { return nil }
