package main

import (
	"strings"
	"testing"
)

func TestMarkdown(t *testing.T) {
	var all []measured
	for line := range strings.Lines(`goos: linux
BenchmarkSource/amqp_quorum-2         	   20000	     51234 ns/op	     19518 events/s
BenchmarkSink/amqp_quorum/single-2      	   20000	     51234 ns/op	      1e+04 events/s
BenchmarkSink/amqp_quorum/batches-2     	   20000	     51234 ns/op	     40000 events/s

BenchmarkSource/mqtt 	   20000	     51234 ns/op	     900.4 events/s
BenchmarkOther-2 	   20000	     51234 ns/op
ok  	sluice/integration/rabbitmq	42.506s
`) {
		if m, ok := parse(strings.ReplaceAll(line, "-2 ", " ")); ok {
			all = append(all, m)
		}
	}
	const want = "|---|---:|---:|---:|\n| amqp quorum | 19518 | 10000 | 40000 |\n| mqtt | 900 |  |  |\n"
	if text := markdown(all, "c"); !strings.HasSuffix(text, want) {
		t.Errorf("the table is %s", text)
	}
}
