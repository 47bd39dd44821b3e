package pattern

import (
	"slices"
	"strings"
)

// A radix keeps values by texts, as a tree of the beginnings that texts share.
// It is never changed: with returns another one, which shares with it all but
// the way to the text. The empty one is nil.
type radix[T any] struct {
	edge  string // what stands between the node above and this one
	value *T     // of the text that ends here; nil if none does
	first string // the first bytes of the edges below, in their order
	kids  []*radix[T]
}

// with returns a radix in which the value of the text is what change makes of
// it: change is given nil when there is none, and returns nil to remove it.
func (r *radix[T]) with(text string, change func(*T) *T) *radix[T] {
	if r == nil {
		r = &radix[T]{}
	}
	changed := r.below(text, change)
	if changed.value == nil && len(changed.kids) == 0 {
		return nil
	}
	return changed
}

// below changes what the text leads to from this node on.
func (r *radix[T]) below(text string, change func(*T) *T) *radix[T] {
	if text == "" {
		return &radix[T]{edge: r.edge, value: change(r.value), first: r.first, kids: r.kids}
	}
	i := strings.IndexByte(r.first, text[0])
	if i < 0 {
		value := change(nil)
		if value == nil {
			return r
		}
		return r.grown(&radix[T]{edge: text, value: value})
	}
	kid := r.kids[i]
	same := common(kid.edge, text)
	if same < len(kid.edge) {
		kid = kid.parted(same)
	}
	return r.replaced(i, kid.below(text[same:], change).tidy())
}

// grown has one more kid.
func (r *radix[T]) grown(kid *radix[T]) *radix[T] {
	i := 0
	for i < len(r.first) && r.first[i] < kid.edge[0] {
		i++
	}
	return &radix[T]{
		edge: r.edge, value: r.value, first: r.first[:i] + kid.edge[:1] + r.first[i:],
		kids: slices.Insert(slices.Clone(r.kids), i, kid),
	}
}

// replaced has another kid in the place of one, or none if it is nil.
func (r *radix[T]) replaced(i int, kid *radix[T]) *radix[T] {
	own := *r
	own.kids = slices.Clone(r.kids)
	if kid == nil {
		own.first, own.kids = r.first[:i]+r.first[i+1:], slices.Delete(own.kids, i, i+1)
	} else {
		own.kids[i] = kid
	}
	return &own
}

// parted has a node in the middle of its edge.
func (r *radix[T]) parted(at int) *radix[T] {
	lower := *r
	lower.edge = r.edge[at:]
	return &radix[T]{edge: r.edge[:at], first: lower.edge[:1], kids: []*radix[T]{&lower}}
}

// tidy leaves out a node that has no value and no choice below it.
func (r *radix[T]) tidy() *radix[T] {
	switch {
	case r.value != nil || len(r.kids) > 1:
		return r
	case len(r.kids) == 0:
		return nil
	}
	only := *r.kids[0]
	only.edge = r.edge + only.edge
	return &only
}

// get returns the value of the text, or nil.
func (r *radix[T]) get(text string) *T {
	for r != nil && text != "" {
		r, text = r.step(text)
	}
	if r == nil {
		return nil
	}
	return r.value
}

// step follows the text to the node below; rest is what stands behind it. It
// is nil where no text goes on so.
func (r *radix[T]) step(text string) (next *radix[T], rest string) {
	if text == "" {
		return nil, ""
	}
	i := strings.IndexByte(r.first, text[0])
	if i < 0 || !strings.HasPrefix(text, r.kids[i].edge) {
		return nil, ""
	}
	return r.kids[i], text[len(r.kids[i].edge):]
}

// stepBack is step for texts that are kept with their last byte first.
func (r *radix[T]) stepBack(text string) (next *radix[T], rest string) {
	if text == "" {
		return nil, ""
	}
	i := strings.IndexByte(r.first, text[len(text)-1])
	if i < 0 || len(r.kids[i].edge) > len(text) {
		return nil, ""
	}
	for k := range len(r.kids[i].edge) {
		if r.kids[i].edge[k] != text[len(text)-1-k] {
			return nil, ""
		}
	}
	return r.kids[i], text[:len(text)-len(r.kids[i].edge)]
}

// each calls yield with every value, in the order of the texts.
func (r *radix[T]) each(yield func(*T)) {
	if r == nil {
		return
	}
	if r.value != nil {
		yield(r.value)
	}
	for _, kid := range r.kids {
		kid.each(yield)
	}
}

// common is how many bytes two texts begin with alike.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// backwards is a text with its last byte first.
func backwards(text string) string {
	turned := []byte(text)
	slices.Reverse(turned)
	return string(turned)
}
