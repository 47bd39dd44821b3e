package transform

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

// bombs are expressions that would take all memory, or for ever.
var bombs = []string{
	`"x" * 1e9`, `[range(1e9)]`, `last(range(1e9))`, `[repeat(1)]`, `def f: 1 + f; f`, `def f: f; f`,
	`def f(g): f(g | g); f(.)`, `def g: label $x | g; g`, `try ("x" * 1e9) catch 1`, `[repeat(try ("x" * 1e9) catch 1)]`,
	`reduce range(60) as $_ ("x"; . + .)`, `reduce range(60) as $_ ([1]; . + .)`, `reduce range(60) as $_ (1; [., .])`,
	`reduce range(60) as $_ (1; [., .]) | tojson`, `reduce range(60) as $_ (1; [., .]) | "\(.)"`, `reduce range(60) as $_ (1; [., .]) | . == [.[0], .[1]]`,
	`reduce range(60) as $_ (1; [., .]) | flatten`, `error(reduce range(60) as $_ (1; [., .]))`,
	`reduce range(1e9) as $_ (2; . * .)`, `reduce range(1e6) as $_ (1; [.]) | tojson`, `"9" * 1000000 | tonumber | . + 1`,
	`.data.a[100000000] = 1`, `"9" * 1000000 | fromjson | . + 1`, `.["a"][1e8] |= 1`, `setpath(["a", 100000000]; 1)`, `pick(.z[100000000])`, `reduce range(1e9) as $i (null; .[$i][100000] = 1)`,
	`[range(100000)] | join("x" * 1000)`, `[range(100000)] as $a | $a - $a`, `[range(30000)] as $a | [$a[] | $a[]]`,
	`[range(100000)] as $a | def g: $a[] | g; g`, `"\u0001" * 1000000 | tojson | tojson | tojson | tojson`,
	`"a" * 1000000 | [explode, explode, explode]`, `"a" * 2000000 | split("")`, `"a" * 1000000 | [match(""; "g")]`, `"a" * 100000 | gsub("a"; "bb")`,
	`"a" * 1000000 | test("((a*)*(a*)*){900}b")`, `("a" * 500000) as $a | $a | indices("a" * 250000)`, `[range(200000)] | index([range(100000)])`,
	`[range(100000)] | walk([., .])`, `[range(200000)] | map({a: .}) | group_by(.a)`, `[range(100000)] | until(false; . + [1])`,
}

// TestBombs checks that each bomb ends as too hungry, in little memory. What is
// allocated at once is bounded by what is allocated altogether.
func TestBombs(t *testing.T) {
	const most = 512 << 20
	in := input(t)
	for _, bomb := range bombs {
		t.Run(bomb, func(t *testing.T) {
			x, err := Compile(bomb)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			_, err = x.Run(t.Context(), in)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrHungry) && !errors.Is(err, ErrSlow) && !errors.Is(err, errDeep) {
				t.Errorf("it ended with %v", err)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > most {
				t.Errorf("it allocated %d MiB", allocated>>20)
			}
			if took > 2*MaxTime {
				t.Errorf("it took %v", took)
			}
			t.Logf("%v, %d MiB", took.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20)
		})
	}
}
