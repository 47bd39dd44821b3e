package pattern

import (
	"fmt"
	"strings"
	"testing"
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

// manyTriggers is how many triggers the index is measured with, beside one.
const manyTriggers = 10_000

// A triggerKind is what triggers may ask for: the pattern of the i-th, of which
// number 7 matches the sample.
type triggerKind struct {
	name    string
	pattern func(i int) string
}

var triggerKinds = []triggerKind{
	{"exact", func(i int) string { return fmt.Sprintf(`{"type":[%q]}`, number("s3.object.created.put", i)) }},
	{"exact-in-data", func(i int) string { return fmt.Sprintf(`{"data":{"key":[%q]}}`, number("in/a.jpg", i)) }},
	{"prefix", func(i int) string { return fmt.Sprintf(`{"data":{"key":[{"prefix":%q}]}}`, number("in/", i)) }},
	{"suffix", func(i int) string { return fmt.Sprintf(`{"data":{"key":[{"suffix":%q}]}}`, fronted("a.jpg", i)) }},
	{"any-case", func(i int) string {
		return fmt.Sprintf(`{"data":{"key":[{"equals-ignore-case":%q}]}}`, number("IN/A.JPG", i))
	}},
	{"wildcard", func(i int) string {
		return fmt.Sprintf(`{"data":{"key":[{"wildcard":%q}]}}`, "*"+number("/a.", i)+"*")
	}},
	{"wildcard-shared-ends", func(i int) string {
		return fmt.Sprintf(`{"data":{"key":[{"wildcard":%q}]}}`, "in*"+number("a", i)+"*.jpg")
	}},
	{"number", func(i int) string { return fmt.Sprintf(`{"data":{"size":[%d]}}`, 1234+7-i) }},
	{"range", func(i int) string {
		return fmt.Sprintf(`{"data":{"size":[{"numeric":[">=",%d,"<",%d]}]}}`, 1234+7-i, 1234+8-i)
	}},
	{"range-open", func(i int) string {
		return fmt.Sprintf(`{"data":{"size":[{"numeric":[">",%d]}]}}`, map[bool]int{true: 0, false: 5000 + i}[i == 7])
	}},
	{"cidr", func(i int) string {
		return fmt.Sprintf(`{"data":{"ip":[{"cidr":"%d.%d.%d.0/24"}]}}`, 10+(i+249)/256/256, (i+249)/256%256, (i+249)%256)
	}},
	{"anything-but", func(i int) string {
		return fmt.Sprintf(`{"type":[{"anything-but":"x"}],"data":{"key":[%q]}}`, number("in/a.jpg", i))
	}},
	{"absent", func(i int) string {
		return fmt.Sprintf(`{"data":{"gone":[{"exists":false}],"key":[%q]}}`, number("in/a.jpg", i))
	}},
	{"or", func(i int) string {
		return fmt.Sprintf(`{"$or":[{"type":[%q]},{"data":{"key":[%q]}}]}`, number("other", i+8), number("in/a.jpg", i))
	}},
	{"list-of-ten", func(i int) string {
		var list []string
		for k := range 10 {
			list = append(list, fmt.Sprintf("%q", number("in/a.jpg", 10*i+k-63)))
		}
		return fmt.Sprintf(`{"data":{"key":[%s]}}`, strings.Join(list, ","))
	}},
	{"shared-fields", func(i int) string {
		return fmt.Sprintf(`{"type":[{"prefix":"s3."}],"source":["/bucket/photos"],"data":{"size":[{"numeric":[">",0]}],"key":[%q]}}`, number("in/a.jpg", i))
	}},
	{"same-condition-unmet", func(i int) string {
		return fmt.Sprintf(`{"data":{"size":[{"numeric":[%q,1000]}]}}`, map[bool]string{true: ">", false: "<"}[i == 7])
	}},
	{"same-absence-unmet", func(i int) string {
		return fmt.Sprintf(`{"data":{"%s":[{"exists":false}]}}`, map[bool]string{true: "gone", false: "size"}[i == 7])
	}},
	{"own-field", func(i int) string { return fmt.Sprintf(`{"data":{"%s":[{"exists":true}]}}`, number("key", i)) }},
	{"two-lists", func(i int) string {
		return fmt.Sprintf(`{"data":{"tags":{"k":["x"],"v":[%q]}}}`, number("1", i))
	}},
}

// number is the text for i = 7, and another for every other.
func number(text string, i int) string {
	if i == 7 {
		return text
	}
	return fmt.Sprintf("%s%d", text, i)
}

// fronted is number with what differs in front.
func fronted(text string, i int) string {
	if i == 7 {
		return text
	}
	return fmt.Sprintf("%d%s", i, text)
}

// triggersOf are so many triggers of the kinds, by turns; the first matches the
// sample.
func triggersOf(tb testing.TB, count int, kinds ...func(i int) string) []Entry {
	tb.Helper()
	entries := make([]Entry, count)
	for i := range entries {
		n := 7
		if i > 0 {
			n = i + 7
		}
		entries[i] = Entry{ID: i, Sources: []string{"uploads"}, Pattern: mustCompile(tb, kinds[i%len(kinds)](n))}
	}
	return entries
}

func allKinds() []func(i int) string {
	var all []func(i int) string
	for _, kind := range triggerKinds {
		all = append(all, kind.pattern)
	}
	return all
}

// Of one and of ten thousand triggers, one matches.
func BenchmarkIndex(b *testing.B) {
	for _, kind := range triggerKinds {
		for _, count := range []int{1, manyTriggers} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, count), func(b *testing.B) {
				benchmarkIndex(b, NewIndex(triggersOf(b, count, kind.pattern)), 1)
			})
		}
	}
	for _, count := range []int{1, manyTriggers} {
		b.Run(fmt.Sprintf("mixed/%d", count), func(b *testing.B) {
			benchmarkIndex(b, NewIndex(triggersOf(b, count, allKinds()...)), 1)
		})
		b.Run(fmt.Sprintf("mixed-sources/%d", count), func(b *testing.B) {
			entries := triggersOf(b, count, allKinds()...)
			for i := range entries {
				entries[i].Sources = []string{number("uploads", i+7)}
			}
			benchmarkIndex(b, NewIndex(entries), 1)
		})
		b.Run(fmt.Sprintf("all-match/%d", count), func(b *testing.B) {
			benchmarkIndex(b, NewIndex(triggersOf(b, count, func(i int) string {
				return fmt.Sprintf(`{"data":{"key":[{"anything-but":%q}]}}`, number("x", i))
			})), count)
		})
	}
}

// Of ten thousand triggers none matches.
func BenchmarkIndexMatchesNothing(b *testing.B) {
	for _, kind := range triggerKinds {
		b.Run(kind.name, func(b *testing.B) {
			benchmarkIndex(b, NewIndex(triggersOf(b, manyTriggers, kind.pattern)[1:]), 0)
		})
	}
}

func benchmarkIndex(b *testing.B, x *Index, want int) {
	b.Helper()
	e := sample()
	ids := make([]int, 0, want)
	b.ReportAllocs()
	for b.Loop() {
		if ids = x.Match("uploads", e, ids[:0]); len(ids) != want {
			b.Fatalf("%d matched", len(ids))
		}
	}
}

// One trigger more or less beside ten thousand, and beside none.
func BenchmarkIndexChange(b *testing.B) {
	for _, count := range []int{0, manyTriggers} {
		entries := triggersOf(b, count+1, allKinds()...)
		x, last := NewIndex(entries[:count]), entries[count]
		b.Run(fmt.Sprintf("add/%d", count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.With(last)
			}
		})
		b.Run(fmt.Sprintf("remove/%d", count), func(b *testing.B) {
			more := x.With(last)
			b.ReportAllocs()
			for b.Loop() {
				more.Without(last.ID)
			}
		})
		b.Run(fmt.Sprintf("update/%d", count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.Update(entries)
			}
		})
		b.Run(fmt.Sprintf("anew/%d", count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewIndex(entries)
			}
		})
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
