package pattern

import (
	"fmt"
	"testing"

	"sluice/event"
)

func BenchmarkMatchAttributes(b *testing.B) {
	p := mustCompile(b, `{"type":[{"prefix":"s3.object.created"}],"subject":[{"suffix":".jpg"}]}`)
	e := sample()
	b.ReportAllocs()
	for b.Loop() {
		if !p.Matches(FromEvent(e)) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkMatchData(b *testing.B) {
	p := mustCompile(b, `{"type":[{"prefix":"s3.object.created"}],"data":{"key":[{"suffix":".jpg"}],"size":[{"numeric":[">",0]}]}}`)
	e := sample()
	b.SetBytes(int64(len(e.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if !p.Matches(FromEvent(e)) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	for _, size := range []int{1, 100, 10_000} {
		var attributes, data, elsewhere []Entry
		for i := range size {
			last := i == size-1
			kind, key, source := fmt.Sprintf("type.%d", i), fmt.Sprintf("in/%d.jpg", i), fmt.Sprintf("source-%d", i)
			if last {
				kind, key, source = sample().Type, "in/a.jpg", "uploads"
			}
			attributes = append(attributes, Entry{ID: i, Sources: []string{"uploads"}, Pattern: mustCompile(b, fmt.Sprintf(`{"type":[%q]}`, kind))})
			data = append(data, Entry{ID: i, Sources: []string{"uploads"}, Pattern: mustCompile(b, fmt.Sprintf(`{"data":{"key":[%q]}}`, key))})
			elsewhere = append(elsewhere, Entry{ID: i, Sources: []string{source}, Pattern: mustCompile(b, `{"type":[{"prefix":"s3."}]}`)})
		}
		for name, entries := range map[string][]Entry{"attributes": attributes, "data": data, "elsewhere": elsewhere} {
			b.Run(fmt.Sprintf("%s-%d", name, size), func(b *testing.B) { benchmarkIndex(b, NewIndex(entries), sample()) })
		}
	}
}

func benchmarkIndex(b *testing.B, x *Index, e *event.Event) {
	b.Helper()
	ids := make([]int, 0, 1)
	b.ReportAllocs()
	for b.Loop() {
		if ids = x.Match("uploads", e, ids[:0]); len(ids) != 1 {
			b.Fatalf("matched %v", ids)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	raw := []byte(`{"type":[{"prefix":"s3.object.created"}],"data":{"key":[{"wildcard":"in/*.jpg"}],"size":[{"numeric":[">",0]}]}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(raw); err != nil {
			b.Fatal(err)
		}
	}
}
