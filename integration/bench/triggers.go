package main

import (
	"context"
	"fmt"
	"strings"
)

const (
	// idleTriggers is how many triggers there are beside the one that matches.
	idleTriggers = 9_999
	// manyTimes is how many times as many events they are given as one trigger is:
	// a dispatch that does not take long is mostly the start of so many triggers.
	manyTimes = 3
	// fannedOut is how many triggers take each event.
	fannedOut = 1_000
)

// manyTriggers dispatches while many triggers match nothing: by a type, by the
// beginning of one, by the subject, and by what is in the data.
func (b *bench) manyTriggers(ctx context.Context, dir string) error {
	d, err := b.drain(ctx, b.sluice.with(manyTriggersFile), dir, pathWork, manyTimes*b.events, 1)
	if err != nil {
		return err
	}
	b.book.add(metricMany, nameSluice, d.rate)
	b.book.add(metricManyCPU, nameSluice, d.cpu)
	return nil
}

func manyTriggersFile(to string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%sfunctions: {f: {http: {url: %q}}}\ntriggers:\n%s", theSource, to, trigger(triggerName, to, eventType, ""))
	for n := range idleTriggers {
		when := []string{"type: [a.%d]", "type: [{prefix: b.%d.}]", "subject: [c%d]", "data: {note: [d%d]}"}[n%4]
		fmt.Fprintf(&text, "  t%d: {on: %s, to: f, when: {"+when+"}}\n", n, sourceName, n)
	}
	return text.String()
}

// fanOut delivers each event to many triggers.
func (b *bench) fanOut(ctx context.Context, dir string) error {
	d, err := b.fan(ctx, dir, "")
	if err != nil {
		return err
	}
	b.book.add(metricFanOut, nameSluice, d.rate)
	b.book.add(metricFanOutCPU, nameSluice, d.cpu)
	b.book.add(metricFanOutMemory, nameSluice, float64(d.most)/(1<<20))
	return nil
}

// fanOutOne is fanOut with one attempt of each trigger at the same time, which is a
// tenth of the default.
func (b *bench) fanOutOne(ctx context.Context, dir string) error {
	d, err := b.fan(ctx, dir, ", concurrency: 1")
	if err == nil {
		b.book.add(metricFanOutOne, nameSluice, d.rate)
		b.book.add(metricFanOutOneCPU, nameSluice, d.cpu)
	}
	return err
}

func (b *bench) fan(ctx context.Context, dir, more string) (dispatch, error) {
	file := func(to string) string { return fanOutFile(to, more) }
	return b.drain(ctx, b.sluice.with(file), dir, pathEach, b.fanned, fannedOut)
}

func fanOutFile(to, more string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%sfunctions: {f: {http: {url: %q}%s}}\ntriggers:\n", theSource, to, more)
	for n := range fannedOut {
		fmt.Fprintf(&text, "  t%d: {on: %s, to: f, when: {type: [{prefix: %s}]}}\n", n, sourceName, eventType)
	}
	return text.String()
}
