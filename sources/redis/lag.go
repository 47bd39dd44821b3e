package redis

import (
	"sync"
	"time"
)

// lagEvery is how often a server is asked what waits.
const lagEvery = 5 * time.Second

// A lag is what waits under one key.
type lag struct {
	oldest time.Time // zero when it is not known, or nothing waits
	items  int64     // -1 when it is not known
}

// lags are those of all keys of a source.
type lags struct {
	mu  sync.Mutex
	all map[string]lag
}

func (l *lags) set(key string, of lag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]lag{}
	}
	l.all[key] = of
}

func (l *lags) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = nil
}

// sum returns the age of the oldest of all, and how many there are; -1 for what
// is not known.
func (l *lags) sum(now time.Time) (age time.Duration, items int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return -1, -1
	}
	known := true
	for _, one := range l.all {
		known = known && one.items >= 0
		items += one.items
		switch {
		case !one.oldest.IsZero():
			if age >= 0 {
				age = max(age, now.Sub(one.oldest), 0)
			}
		case one.items != 0:
			age = -1
		}
	}
	if !known {
		items = -1
	}
	return age, items
}
