package pattern

// An asked is a step of the paths that the patterns of a group ask for, and what
// is read of events is read by them. It is never changed; a path that nobody
// asks for is nil.
type asked struct {
	key   string
	uses  int // how many fields lead here or further
	ends  int // how many of them end here
	kids  *radix[asked]
	count int // of the kids
}

// with returns the paths with one use of a path more or, if by is -1, less.
func (a *asked) with(steps []string, by int) *asked {
	own := &asked{}
	if a != nil {
		*own = *a
	}
	own.uses += by
	if len(steps) == 0 {
		own.ends += by
	} else {
		own.kids = own.kids.with(steps[0], func(old *asked) *asked {
			kid := old.with(steps[1:], by)
			if kid != nil {
				kid.key = steps[0]
			}
			own.count += present(kid) - present(old)
			return kid
		})
	}
	if own.uses == 0 {
		return nil
	}
	return own
}

// change adds the paths of a branch, or takes them away.
func (a *asked) change(b *branch, by int) *asked {
	if b == nil {
		return a
	}
	for _, f := range b.fields {
		a = a.with(f.steps, by)
	}
	return a
}

// kid is the step below, or nil.
func (a *asked) kid(key string) *asked {
	if a == nil {
		return nil
	}
	return a.kids.get(key)
}

// A wanted is what is asked for at or below a value by either of two groups, or
// everything.
type wanted struct {
	all  bool
	a, b *asked
}

var everything = wanted{all: true}

// none tells whether nobody asks for anything.
func (w wanted) none() bool { return !w.all && w.a == nil && w.b == nil }

// ends tells whether the value itself is asked for.
func (w wanted) ends() bool {
	return w.all || w.a != nil && w.a.ends > 0 || w.b != nil && w.b.ends > 0
}

// members is how many members of the value are asked for, at most.
func (w wanted) members() int {
	count := 0
	for _, a := range [...]*asked{w.a, w.b} {
		if a != nil {
			count += a.count
		}
	}
	return count
}

// each calls yield with the keys of these members; some may come twice.
func (w wanted) each(yield func(key string)) {
	for _, a := range [...]*asked{w.a, w.b} {
		if a != nil {
			a.kids.each(func(kid *asked) { yield(kid.key) })
		}
	}
}

// below is what is asked for of the member key.
func (w wanted) below(key string) wanted {
	if w.all {
		return w
	}
	return wanted{a: w.a.kid(key), b: w.b.kid(key)}
}

// follow goes along the steps of a key with dots, as far as they are asked for,
// and returns so much of the key. Nothing is wanted of it if it goes further.
// It is not found if not even the first step is asked for.
func (w wanted) follow(key string) (name string, inner wanted, found bool) {
	if w.all {
		return key, w, true
	}
	start := 0
	for {
		end := start
		for end < len(key) && key[end] != '.' {
			end++
		}
		if w = w.below(key[start:end]); w.none() {
			return key[:max(start-1, 0)], w, start > 0
		}
		if end == len(key) {
			return key, w, true
		}
		start = end + 1
	}
}
