package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplayOfHistory delivers events of the past to one trigger, as an operator
// would.
func TestReplayOfHistory(t *testing.T) {
	in := install(t, "up", nil)
	in.send("--type", "small", "--count", "3", "--data", `{"size":1}`, "--wait")
	in.send("--type", "large", "--id", "large", "--data", `{"size":101}`, "--wait")
	in.eventually("all are delivered", func() bool { return in.got.Load() == 5 })
	in.want("EVENTS  TYPE\n3  small\n1  large\n\n4 events would be replayed to all, accepted from TIME (sequence 1) to TIME (sequence 4)\n",
		exitOK, "replay", "--trigger", "all", "--since", "1h", "--dry-run")
	in.want("sluice: no event is selected\n", exitNotFound, "replay", "--trigger", "all", "--type", "x*", "--dry-run")
	in.want("sluice: no event is selected\n", exitNotFound, "replay", "--trigger", "all", "--type", "x*")
	in.want("1 event replayed\n", exitOK, "replay", "--trigger", "big", "--since", "1h")
	in.want("1 event replayed\n", exitOK, "replay", "--trigger", "all", "--pattern", `{"data":{"size":[{"numeric":[">",100]}]}}`)
	in.want("2 events replayed\n", exitOK, "replay", "--trigger", "all", "--first", "2", "--last", "3")
	in.eventually("what was replayed is delivered", func() bool { return in.got.Load() == 9 })
	if got, _ := in.do("event", "large"); strings.Count(got, "Event ") != 3 || strings.Count(got, "replayed from history, event 4") != 2 {
		t.Errorf("the life of an event that was replayed twice:\n%s", got)
	}
	in.want("There are no replays.\n", exitOK, "dlq", "jobs")
	in.eventually("everything is settled", func() bool {
		found, code := in.do("audit")
		return code == exitOK && strings.Contains(steady(found, in), "all  7  7")
	})
}

// TestReplayOfHistoryIsSteered lists, cancels and resumes, also over a restart.
func TestReplayOfHistoryIsSteered(t *testing.T) {
	in := install(t, "up", nil)
	in.send("--count", "4", "--wait")
	in.eventually("all are delivered", func() bool { return in.got.Load() == 4 })
	said, code := in.do("replay", "--trigger", "all", "--all", "--rate", "0.001", "--detach")
	if code != exitOK || !strings.Contains(said, "Follow it with: sluice replay resume replay-") {
		t.Fatalf("exit code %d: %s", code, said)
	}
	id := strings.Fields(said)[2]
	in.eventually("it has begun", func() bool { return in.got.Load() == 5 })
	listed := func(row string) { // an event may be delivered before the list tells of it
		in.eventually("the list says "+row, func() bool {
			said, _ := in.do("replay", "jobs")
			return steady(said, in) == "REPLAY  STATE  CREATED  TRIGGER  REPLAYED  READ  NOTE\n"+row
		})
	}
	listed("JOB  running  AGO  all  1  25 %\n")
	in.want("JOB is cancelled: 1 event replayed, from 25 % of what there was to read\n", exitOK, "replay", "cancel", id)
	in.want("sluice: cancelling the replay JOB, which is cancelled: the job has ended\n", exitFailure, "replay", "cancel", id)
	if code := in.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	in.start("up")
	listed("JOB  cancelled  AGO  all  1  25 %\n")
	if status, body := in.request("POST", "/api/v1/jobs/"+id+"/resume", ""); status != 200 || !strings.Contains(body, `"state":"running"`) {
		t.Fatalf("status %d: %s", status, body)
	}
	in.eventually("it has gone on", func() bool { return in.got.Load() == 6 })
	listed("JOB  running  AGO  all  2  50 %\n")
}

// TestReplayOfHistoryYields fills the log behind a slow replay: new events are
// taken, the replay ends and says why, and resumed it says what has gone.
func TestReplayOfHistoryYields(t *testing.T) {
	in := install(t, "up", func(text string) string { return strings.Replace(text, "64MiB", "16MiB", 1) })
	data := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(data, []byte(`"`+strings.Repeat("x", 200<<10)+`"`), 0o600); err != nil {
		t.Fatal(err)
	}
	in.send("--count", "8", "--data", "@"+data, "--wait")
	said, _ := in.do("replay", "--trigger", "all", "--all", "--rate", "0.001", "--detach")
	id := strings.Fields(said)[2]
	if said, code := in.send("--count", "120", "--data", "@"+data); code != exitOK {
		t.Fatalf("exit code %d: %s", code, said)
	}
	in.eventually("all are delivered", func() bool { return in.got.Load() == 8+1+120 })
	const header = "REPLAY  STATE  CREATED  TRIGGER  REPLAYED  READ  NOTE\n"
	in.eventually("the replay has ended", func() bool {
		said, _ := in.do("replay", "jobs")
		return steady(said, in) == header+"JOB  cancelled  AGO  all  1  12 %  the history that it had still to read was in the way of new events\n"
	})
	said, code := in.do("replay", "--trigger", "all", "--last", "8")
	if code != exitNotFound || !strings.HasPrefix(said, "sluice: history is available from ") || !strings.HasSuffix(said, "): what was asked for has gone\n") {
		t.Errorf("exit code %d: %s", code, said)
	}
	said, code = in.do("replay", "--trigger", "all", "--since", "1h", "--dry-run")
	if code != exitOK || !strings.HasSuffix(said, " on, what was accepted before has gone\n") {
		t.Errorf("exit code %d: %s", code, said)
	}
	said, code = in.do("replay", "resume", id)
	if code != exitOK || !strings.HasPrefix(said, "1 event replayed; history is available from ") {
		t.Errorf("exit code %d: %s", code, said)
	}
}
