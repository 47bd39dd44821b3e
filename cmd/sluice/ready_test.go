package main

import (
	"strings"
	"testing"
)

func TestReadyTellsHowTheServiceIs(t *testing.T) {
	in := install(t, "up", nil)
	in.want("CHECK  STATE  ERROR\nservice  ok\nbus  ok\nrouter  ok\ningest  ok\nsource orders  ok\n", exitOK, "ready")
	if got, code := in.do("ready", "-o", "json"); code != exitOK || !strings.Contains(got, `"ready": true`) {
		t.Errorf("exit code %d:\n%s", code, got)
	}
	in.want("sluice: --wait -1s: it is at least 0\n", exitUsage, "ready", "--wait", "-1s")
	in.stop()
	in.want("sluice: cannot reach sluice at SERVER: is `sluice up` running?\n", exitUnreachable, "ready", "--wait", "150ms")

	waited := make(chan int, 1)
	go func() {
		_, code := in.do("ready", "--wait", patience.String())
		waited <- code
	}()
	in.start("up")
	if code := <-waited; code != exitOK {
		t.Errorf("it has waited for a service that became ready, and ended with %d", code)
	}
}
