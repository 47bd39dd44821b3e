package pattern

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/event"
)

var (
	verdictCases = flag.Int("pattern.cases", 100_000, "how many verdicts of an index are compared with those of the patterns themselves")
	firstSeed    = flag.Uint64("pattern.first", 0, "the first seed of these cases; 0 is another one each time")
)

// An index says of every event what the patterns say, after any sequence of
// changes, and the indexes it was made of still say what they said. A failing
// seed is printed; run it alone with -pattern.first=SEED -pattern.cases=1.
func TestIndexAgreesWithThePatterns(t *testing.T) {
	start := cmp.Or(*firstSeed, uint64(time.Now().UnixNano()))
	matched, compared := 0, 0
	for seed := start; compared < *verdictCases; seed++ {
		w := newWorld(seed)
		for range 3 {
			w.change()
			if problem := w.compare(&matched, &compared); problem != "" {
				t.Fatalf("seed %d: %s", seed, problem)
			}
		}
	}
	if *verdictCases > 1000 && matched*20 < compared {
		t.Errorf("only %d of %d match: that shows little", matched, compared)
	}
	t.Logf("%d verdicts, %d of them matches, from seed %d on", compared, matched, start)
}

// What an event costs makes no garbage, whether patterns look into the data or
// not, and whether they match or not.
func TestIndexMakesNoGarbage(t *testing.T) {
	events := []*event.Event{sample(), sample(), sample(), sample()}
	events[0].Data = []byte(`{"key":"in/\u00e4\n.jpg","a.b":{"c":[1,2,{"size":7}]},"size":1e3,"ip":"1:2","tags":"10.x"}`)
	events[1].Data = []byte(`{"key":"in/a.jpg","size":}`)
	events[2].Data = []byte("{\"key\":\"\xff\"}")
	events[3].DataContentType = "image/png"
	for _, kind := range triggerKinds {
		x := NewIndex(triggersOf(t, 1000, kind.pattern))
		l, _ := x.lookups.Get().(*lookup)
		ids := make([]int, 0, 1000)
		for i, e := range append(events, sample()) {
			allocations := testing.AllocsPerRun(50, func() {
				l.aim(x.groups("uploads"))
				l.own.event, l.doc = e, &l.own
				ids = l.match(ids[:0])
				l.reset()
			})
			if allocations > 0 {
				t.Errorf("%s, event %d: %v allocations", kind.name, i, allocations)
			}
		}
	}
}

// What is asked of an event is a few branches for each kind of pattern, however
// many there are, besides those that match.
func TestFewAreAsked(t *testing.T) {
	mixed := append(slices.Clone(triggerKinds), triggerKind{"mixed", nil})
	for _, kind := range mixed {
		kinds := allKinds()
		if kind.pattern != nil {
			kinds = []func(int) string{kind.pattern}
		}
		x := NewIndex(triggersOf(t, 1000, kinds...))
		l, _ := x.lookups.Get().(*lookup)
		l.aim(x.groups("uploads"))
		l.own.event = sample()
		l.doc = &l.own
		got := l.match(nil)
		if most := maxFew * len(kinds); !slices.Equal(got, []int{0}) || len(l.found) > most {
			t.Errorf("%s: %v match, %d were asked, at most %d should be", kind.name, got, len(l.found), most)
		}
		l.reset()
	}
}

// An index takes over from the one before what has not changed.
func TestUpdateKeepsWhatIsTheSame(t *testing.T) {
	entries := func(last string) []Entry {
		return []Entry{
			{ID: 1, Sources: []string{"a"}, Pattern: mustCompile(t, `{"type":["x"]}`)},
			{ID: 2, Sources: []string{"b"}, Pattern: mustCompile(t, `{"type":["x"]}`)},
			{ID: 3, Sources: []string{"b"}, Pattern: mustCompile(t, last)},
		}
	}
	before := NewIndex(entries(`{"type":["y"]}`))
	if same := before.Update(entries(`{"type":["y","y"]}`)); same.sources != before.sources || same.entries != before.entries {
		t.Error("nothing has changed, and yet something has")
	}
	after := before.Update(entries(`{"type":["z"]}`)[1:])
	if after.entries.get(idKey(2)) != before.entries.get(idKey(2)) || after.sources.get("a") != nil || after.sources.get("b") == before.sources.get("b") {
		t.Error("what is the same was not taken over, or what has changed was")
	}
	for kind, want := range map[string][]int{"x": {2}, "y": {}, "z": {3}} {
		if got := after.Match("b", &event.Event{Type: kind}, []int{}); !slices.Equal(got, want) {
			t.Errorf("type %s: %v, want %v", kind, got, want)
		}
	}
	if got := before.Match("b", &event.Event{Type: "y"}, nil); !slices.Equal(got, []int{3}) {
		t.Errorf("the index before: %v", got)
	}
	if empty := after.Without(2).Without(3).Without(4); *empty != (Index{lookups: empty.lookups}) {
		t.Errorf("an index without entries has something left: %+v", empty)
	}
}

// The places of a branch with long lists in an index do not multiply.
func TestPlacesAreBounded(t *testing.T) {
	list := `["0","1","2","3","4","5","6","7","8","9"]`
	text := fmt.Sprintf(`{"a":%s,"b":%[1]s,"c":%[1]s,"d":%[1]s,"e":%[1]s,"f":[{"exists":true}],"$or":[{"g":["x"]},{"h":%[1]s}]}`, list)
	var entries []Entry
	for i := range 50 {
		entries = append(entries, Entry{ID: i, Pattern: mustCompile(t, text)})
	}
	if places := NewIndex(entries).everyone.first.places(); places > 50*2*maxPlaces {
		t.Errorf("100 branches stand in %d places", places)
	}
}

// places counts the branches of a stage and below, as often as they stand there.
func (s *stage) places() int {
	if s == nil {
		return 0
	}
	count := len(s.few)
	s.done.each(func(*posting) { count++ })
	s.absences.each(func(a *absence) { count += a.stage.places() })
	return count + s.asked.places()
}

func (s *spot) places() int {
	if s == nil {
		return 0
	}
	count := 0
	if v := s.values; v != nil {
		for _, texts := range v.texts {
			texts.each(func(s *stage) { count += s.places() })
		}
		v.tests.each(func(t *test) { count += t.stage.places() })
		count += v.all.places()
	}
	s.kids.each(func(kid *spot) { count += kid.places() })
	return count
}

// A world is some events, and an index that changes.
type world struct {
	*rand.Rand
	size    int         // how many entries there may be
	leaves  []worldLeaf // of the events
	events  []func() *Doc
	sources []string // of the events
	names   []string // of these documents, for what is printed
	entries map[int]Entry
	texts   map[int]string
	index   *Index
	older   []snapshot
}

type worldLeaf struct{ path, json string }

type snapshot struct {
	entries map[int]Entry
	index   *Index
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 0)), entries: map[int]Entry{}, texts: map[int]string{}, index: NewIndex(nil)}
	w.size = pick(w, 20, 60, 400)
	for range 12 {
		w.addEvent()
	}
	return w
}

// change adds, replaces and removes entries.
func (w *world) change() {
	w.older = append(w.older, snapshot{maps.Clone(w.entries), w.index})
	for range 1 + w.IntN(w.size) {
		id := w.IntN(w.size)
		if w.IntN(4) == 0 {
			delete(w.entries, id)
			if w.index = w.index.Without(id); w.IntN(8) == 0 {
				delete(w.entries, w.IntN(w.size))
				w.index = w.index.Update(slices.Collect(maps.Values(w.entries)))
			}
			continue
		}
		e := Entry{ID: id, Sources: w.someSources(), Pattern: w.pattern(id)}
		w.entries[id] = e
		if w.IntN(8) > 0 {
			w.index = w.index.With(e)
		} else {
			w.index = w.index.Update(slices.Collect(maps.Values(w.entries)))
		}
	}
	if w.IntN(4) == 0 {
		w.index = NewIndex(slices.Collect(maps.Values(w.entries)))
	}
}

func (w *world) compare(matched, compared *int) string {
	current := snapshot{w.entries, w.index}
	anew := NewIndex(slices.Collect(maps.Values(w.entries)))
	for _, source := range []string{"s", "t", "u", "v"} {
		for i, g := range w.index.groups(source) {
			if !g.paths().equal(anew.groups(source)[i].paths()) {
				return "the index asks for other paths than one that is built anew"
			}
		}
	}
	for _, s := range append([]snapshot{current}, w.older[w.IntN(len(w.older))]) {
		for i := range w.events {
			doc := w.events[i]()
			got := s.index.MatchDoc(w.sources[i], doc, nil)
			if doc.LoadError() != nil {
				continue
			}
			want := []int{}
			for id := range w.size {
				e, found := s.entries[id]
				if !found || len(e.Sources) > 0 && !slices.Contains(e.Sources, w.sources[i]) {
					continue
				}
				*compared++
				if e.Pattern == nil || e.Pattern.Matches(w.events[i]()) {
					want = append(want, id)
				}
			}
			if *matched += len(want); !slices.Equal(got, want) {
				return w.describe(i, got, want)
			}
		}
	}
	return ""
}

func (g *group) paths() *asked {
	if g == nil {
		return nil
	}
	return g.asked
}

func (a *asked) equal(b *asked) bool {
	if a == nil || b == nil {
		return a == b
	}
	same := a.key == b.key && a.uses == b.uses && a.ends == b.ends && a.count == b.count
	a.kids.each(func(kid *asked) { same = same && kid.equal(b.kid(kid.key)) })
	return same
}

func (w *world) describe(i int, got, want []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "event %s\nthe index says %v, the patterns %v", w.names[i], got, want)
	for id, text := range w.texts {
		if slices.Contains(got, id) != slices.Contains(want, id) {
			fmt.Fprintf(&b, "\n%d: %s", id, text)
		}
	}
	return b.String()
}

func (w *world) someSources() []string {
	return [][]string{nil, {"s"}, {"s"}, {"s", "t"}, {"t"}, {"t", "t", "u"}}[w.IntN(6)]
}

func pick[T any](w *world, from ...T) T { return from[w.IntN(len(from))] }

// addEvent makes a document of one of the kinds that there are.
func (w *world) addEvent() {
	e := &event.Event{ID: w.text(), Source: "/s", Type: w.text(), Subject: w.text(), DataContentType: pick(w, "", "application/json")}
	if w.IntN(2) == 0 {
		e.Time = time.Unix(w.Int64N(5), 0).UTC()
	}
	e.Extensions = map[string]any{"n": int32(w.IntN(300)), "flag": w.IntN(2) == 0, "text": w.text()}
	for _, name := range []string{"id", "type", "subject", "text"} {
		l := map[string]string{"id": e.ID, "type": e.Type, "subject": e.Subject, "text": e.Extension("text")}[name]
		w.leaves = append(w.leaves, worldLeaf{name, quote(l)})
	}
	w.leaves = append(w.leaves, worldLeaf{"n", e.Extension("n")}, worldLeaf{"flag", e.Extension("flag")})
	data := w.value("data", 3)
	e.Data = []byte(data)
	doc := func() *Doc { return FromEvent(e) }
	large := func(load Loader) func() *Doc {
		e.Data, e.Large = nil, event.NewLarge("g", [32]byte{}, len(data))
		return func() *Doc { return FromStored(e, load) }
	}
	kind := w.IntN(16)
	switch kind {
	case 0:
		e.Data = nil
	case 1:
		e.Data = append(e.Data[:len(e.Data)/2], pick(w, "", "}", "\xff", "\x00", "]")...)
	case 2:
		e.DataContentType, e.Data = pick(w, "text/plain", "image/png"), []byte(w.text()+pick(w, "", "\xff"))
		w.leaves = append(w.leaves, worldLeaf{"data", quote(string(e.Data))}, worldLeaf{"data_base64", `"eA=="`})
	case 3:
		doc = large(func(*event.Large) ([]byte, error) { return []byte(data), nil })
	case 4:
		doc = large(func(*event.Large) ([]byte, error) { return nil, event.ErrLost })
	case 5:
		doc = large(func(*event.Large) ([]byte, error) { return nil, errors.New("not now") })
	case 6:
		if w.IntN(50) == 0 {
			e.Data = append(e.Data, bytes.Repeat([]byte(" "), MaxData)...)
		}
	case 7, 8, 9:
		text := fmt.Sprintf(`{"id":%q,"type":%s,"subject":[%s,{"text":%s}],"data":%s,"n":%s}`,
			e.ID, w.value("type", 1), w.value("subject", 2), w.value("subject.text", 1), data, w.value("n", 1))
		doc = func() *Doc {
			d, err := FromJSON([]byte(text))
			if err != nil {
				panic(text + err.Error())
			}
			return d
		}
		data = text
	}
	w.events = append(w.events, doc)
	w.sources = append(w.sources, pick(w, "s", "s", "t", "v"))
	w.names = append(w.names, fmt.Sprintf("%+v %s, kind %d", e.Type, data, kind))
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}

// value writes JSON for a value at a path, with keys that come twice or have
// dots, escapes, and lists in lists.
func (w *world) value(path string, depth int) string {
	kind := w.IntN(12)
	if depth == 0 {
		kind = 6 + w.IntN(6)
	}
	space := pick(w, "", "", " ", "\n\t")
	switch {
	case kind < 4:
		var parts []string
		for range w.IntN(5) {
			key := pick(w, "a", "b", "c", "a.b", "b.c.a", "", "é")
			written := quote(key)
			if w.IntN(8) == 0 {
				written = `"\u00` + fmt.Sprintf("%02x", "abc"[w.IntN(3)]) + `"`
				_ = json.Unmarshal([]byte(written), &key)
			}
			parts = append(parts, written+space+":"+space+w.value(path+"."+key, depth-1))
		}
		return "{" + space + strings.Join(parts, space+","+space) + "}"
	case kind < 6:
		var parts []string
		for range w.IntN(4) {
			parts = append(parts, w.value(path, depth-1))
		}
		return "[" + strings.Join(parts, ","+space) + space + "]"
	}
	leaf := w.leaf()
	w.leaves = append(w.leaves, worldLeaf{path, leaf})
	return leaf
}

func (w *world) leaf() string {
	switch w.IntN(6) {
	case 0:
		return pick(w, "true", "false", "null")
	case 1, 2:
		return w.number()
	}
	quoted := quote(w.text())
	if w.IntN(8) == 0 {
		quoted = strings.NewReplacer("a", `\u0061`, "/", `\/`).Replace(quoted)
	}
	if w.IntN(20) == 0 {
		quoted = `"` + pick(w, `\ud83d\ude00`, `\ud83d`, `\ude00x`, `\n\t\"\\`) + quoted[1:]
	}
	return quoted
}

func (w *world) number() string {
	return pick(w, "0", "-0", "5", "5.0", "5e0", "-1", "1e2", "100", "0.5", "50E-2", "12345678901234567891", "-3.25", "1e30", "7", "8", "9")
}

func (w *world) text() string {
	if w.IntN(4) == 0 {
		return pick(w, "10.0.0.1", "010.0.0.1", "10.0.1.1", "::1", "0:0::1", "::ffff:0a00:1", "1:2", "10.0.0", "a.b.c.d", "5", "true")
	}
	var text strings.Builder
	for range w.IntN(4) {
		text.WriteString(pick(w, "a", "b", "A", "in/", "k", "K", "\u212a", "ß", "ss", "SS", "ſ", "é", "É", ".jpg", ".JPG", "İ", "i", "😀", "*", `\`))
	}
	return text.String()
}

// pattern makes one that is likely to match one of the events.
func (w *world) pattern(id int) *Pattern {
	for {
		if w.IntN(30) == 0 {
			w.texts[id] = "none"
			return nil
		}
		text := "{" + w.fields(2) + "}"
		if p, err := Compile([]byte(text)); err == nil {
			w.texts[id] = text
			return p
		}
	}
}

func (w *world) fields(or int) string {
	var parts []string
	for range 1 + w.IntN(3) {
		l := pick(w, w.leaves...)
		clauses := []string{w.clause(l.json)}
		for w.IntN(3) == 0 {
			clauses = append(clauses, w.clause(w.leaf()))
		}
		parts = append(parts, quote(l.path)+":["+strings.Join(clauses, ",")+"]")
	}
	if or > 0 && w.IntN(5) == 0 {
		var branches []string
		for range 2 + w.IntN(2) {
			branches = append(branches, "{"+w.fields(or-1)+"}")
		}
		parts = append(parts, `"$or":[`+strings.Join(branches, ",")+"]")
	}
	return strings.Join(parts, ",")
}

// clause makes one that often matches the value.
func (w *world) clause(value string) string {
	if w.IntN(6) == 0 {
		value = w.leaf()
	}
	switch w.IntN(12) {
	case 0:
		return `{"exists":false}`
	case 1:
		return `{"exists":true}`
	}
	var text string
	if json.Unmarshal([]byte(value), &text) == nil && value != "null" {
		return w.textClause(text)
	}
	if value[0] == '-' || value[0] >= '0' && value[0] <= '9' {
		number := w.number()
		return pick(w, value, value, `{"numeric":["=",`+number+`]}`, `{"numeric":["<=",`+value+`]}`, `{"numeric":[">",`+number+`]}`,
			`{"numeric":[">=",-1,"<",`+number+`]}`, `{"anything-but":`+number+`}`, `{"anything-but":[7,`+number+`]}`)
	}
	return value
}

func (w *world) textClause(text string) string {
	cut := w.IntN(len(text) + 1)
	for !utf8.ValidString(text[:cut]) {
		cut--
	}
	if pick(w, true, false) {
		cut = pick(w, 0, len(text))
	}
	begin, end := quote(text[:cut]), quote(text[cut:])
	folded := quote(pick(w, strings.ToUpper, strings.ToLower)(text))
	escape := strings.NewReplacer(`*`, `\*`, `\`, `\\`)
	wildcard := escape.Replace(text[:cut]) + "*" + escape.Replace(text[cut:])
	some := quote(w.text())
	list := `[` + some + `,` + quote(w.text()) + `]`
	return pick(w, quote(text), quote(text), `{"exactly":`+quote(text)+`}`, `{"prefix":`+begin+`}`, `{"suffix":`+end+`}`,
		`{"prefix":{"equals-ignore-case":`+begin+`}}`, `{"suffix":{"equals-ignore-case":`+end+`}}`, `{"equals-ignore-case":`+folded+`}`,
		`{"wildcard":`+quote(wildcard)+`}`, `{"wildcard":`+quote(wildcard+"*")+`}`, `{"wildcard":`+quote("*"+escape.Replace(text[cut:])+"*")+`}`,
		`{"wildcard":`+quote("*"+wildcard)+`}`, `{"wildcard":"*"}`,
		`{"cidr":"10.0.0.0/24"}`, `{"cidr":"10.0.0.0/15"}`, `{"cidr":"::/64"}`,
		`{"anything-but":`+some+`}`, `{"anything-but":`+list+`}`, `{"anything-but":{"prefix":`+list+`}}`, `{"anything-but":{"suffix":`+some+`}}`,
		`{"anything-but":{"equals-ignore-case":`+list+`}}`, `{"anything-but":{"wildcard":`+quote(wildcard)+`}}`)
}
