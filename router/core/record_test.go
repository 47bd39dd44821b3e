package core_test

import (
	"fmt"
	"testing"
	"time"

	"sluice/router/core"
	"sluice/router/ledger"
)

// TestManyTriggersAtOnce: a configuration of very many triggers is written in
// records that the ledger takes, all or none.
func TestManyTriggersAtOnce(t *testing.T) {
	codec, err := ledger.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	state := ledger.NewState("inc")
	state.Claim = 1
	c := core.Open(state, 0, core.Options{})
	in := core.Configure{Version: 1, Token: "done"}
	for n := range 10_000 {
		in.Triggers = append(in.Triggers, core.Trigger{
			Name: fmt.Sprintf("%064d", n), Fingerprint: "0123456789abcdef", Concurrency: 1, Buffer: 1, Retry: core.RetryPolicy{Attempts: 1},
		})
	}
	now := time.Unix(1, 0)
	inputs := []core.Input{in}
	fold := ledger.NewFold(codec)
	sequence, appends := uint64(0), 0
	for len(inputs) > 0 {
		now = now.Add(time.Second)
		outputs, _ := c.Step(now, inputs)
		inputs = nil
		for _, out := range outputs {
			a, isAppend := out.(core.Append)
			if !isAppend {
				continue
			}
			appends++
			for _, r := range a.Records {
				data, err := codec.Encode(r)
				if err != nil {
					t.Fatal(err)
				}
				if len(data) > 512<<10 {
					t.Errorf("record %d has %d bytes", r.Number, len(data))
				}
				sequence++
				if err := fold.Add(sequence, data); err != nil {
					t.Fatal(err)
				}
			}
			inputs = append(inputs, core.Appended{Number: a.Number, Sequence: sequence})
		}
	}
	if n := len(fold.State().Triggers); n != 10_000 || appends != 2 {
		t.Errorf("%d triggers in %d appends", n, appends)
	}
}
