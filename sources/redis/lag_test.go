package redis

import (
	"testing"
	"time"
)

func TestLags(t *testing.T) {
	now := time.Now()
	cases := map[string]struct {
		all   []lag
		age   time.Duration
		items int64
	}{
		"nothing is known": {nil, -1, -1},
		"nothing waits":    {[]lag{{}, {}}, 0, 0},
		"some wait":        {[]lag{{oldest: now.Add(-time.Minute), items: 3}, {}}, time.Minute, 3},
		"the oldest":       {[]lag{{oldest: now.Add(-time.Minute), items: 3}, {oldest: now.Add(-time.Hour), items: 1}}, time.Hour, 4},
		"no times":         {[]lag{{items: 3}, {oldest: now.Add(-time.Hour), items: 1}}, -1, 4},
		"no numbers":       {[]lag{{items: -1, oldest: now.Add(-time.Hour)}, {items: 3, oldest: now}}, time.Hour, -1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var l lags
			for i, one := range c.all {
				l.set(string(rune('a'+i)), one)
			}
			if age, items := l.sum(now); age != c.age || items != c.items {
				t.Errorf("%v, %d; want %v, %d", age, items, c.age, c.items)
			}
			l.clear()
			if age, items := l.sum(now); age != -1 || items != -1 {
				t.Errorf("after the end: %v, %d", age, items)
			}
		})
	}
}
