package bus

// childVariable is set in processes that a test starts to be killed.
const childVariable = "SLUICE_BUS_TEST_CHILD"

func child() {}
