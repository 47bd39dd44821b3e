package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// ChunkSize is the size in bytes that the chunks of a snapshot aim at.
const ChunkSize = 512 << 10

// A Codec encodes and decodes records as CBOR (RFC 8949).
type Codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

// NewCodec returns the codec.
func NewCodec() (*Codec, error) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("cbor encoder: %w", err)
	}
	dec, err := cbor.DecOptions{MaxArrayElements: 4 << 20, DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("cbor decoder: %w", err)
	}
	return &Codec{enc: enc, dec: dec}, nil
}

// Encode returns the stored form of a record.
func (c *Codec) Encode(r *Record) ([]byte, error) {
	data, err := c.enc.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record %d of claim %d: %w", r.Number, r.Claim, err)
	}
	return data, nil
}

// A NewerFormatError means that a newer sluice has written the ledger.
type NewerFormatError struct{ Format int }

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("the ledger has format %d, and this sluice knows formats up to %d: use the newer sluice that has written it", e.Format, Format)
}

// Decode reads a stored record.
func (c *Codec) Decode(data []byte) (*Record, error) {
	var version struct {
		Format int `cbor:"1,keyasint"`
	}
	if err := c.dec.Unmarshal(data, &version); err != nil {
		return nil, fmt.Errorf("decode ledger record: %w", err)
	}
	if version.Format > Format {
		return nil, &NewerFormatError{Format: version.Format}
	}
	if version.Format != Format {
		return nil, fmt.Errorf("decode ledger record: format %d is not known", version.Format)
	}
	r := new(Record)
	if err := c.dec.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("decode ledger record: %w", err)
	}
	return r, nil
}

// Chunks returns the records of a snapshot: together they hold the whole state
// as of its last record. They carry the given claim and number.
func (s *State) Chunks(claim, number uint64, now int64) []*Record {
	b := &snapshotBuilder{state: s, claim: claim, number: number, now: now}
	b.next()
	b.chunk.Incarnation, b.chunk.NextTrigger, b.chunk.Gaps = s.Incarnation, s.NextTrigger, slices.Clone(s.Gaps)
	b.chunk.Doubt = s.Doubt
	for _, id := range slices.Sorted(maps.Keys(s.Triggers)) {
		t := s.Triggers[id]
		b.chunk.Triggers = append(b.chunk.Triggers, standing{Gate: t.Gate, Totals: t.Totals, Waiting: t.Waiting})
		b.grew(128 + len(t.Name) + len(t.Fingerprint))
		if t.Paused && t.Pause.Since != 0 {
			b.chunk.Pauses = append(b.chunk.Pauses, t.Pause)
			b.grew(32 + len(t.Pause.Error))
		}
		for _, sequence := range t.Settled.All() {
			b.chunk.Settled = append(b.chunk.Settled, Key{Trigger: id, Sequence: sequence})
			b.grew(12)
		}
		for _, sequence := range t.Known.All() {
			b.chunk.Known = append(b.chunk.Known, Key{Trigger: id, Sequence: sequence})
			b.grew(12)
		}
	}
	for _, key := range sortedKeys(s.Waiting) {
		w := s.Waiting[key]
		b.chunk.Waiting = append(b.chunk.Waiting, waitingKey{Key: key, Waiting: *w})
		size := 48 + len(w.Reason)
		for i := range w.History {
			size += 32 + len(w.History[i].Error)
		}
		b.grew(size)
	}
	for _, key := range sortedKeys(s.Suspects) {
		b.chunk.Suspects = append(b.chunk.Suspects, suspectKey{Key: key, Suspect: s.Suspects[key]})
		b.grew(16)
	}
	b.chunk.Last = true
	return b.records
}

func sortedKeys[V any](m map[Key]V) []Key {
	return slices.SortedFunc(maps.Keys(m), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.Trigger, b.Trigger))
	})
}

type snapshotBuilder struct {
	state   *State
	claim   uint64
	number  uint64
	now     int64
	records []*Record
	chunk   *Chunk
	size    int
}

func (b *snapshotBuilder) next() {
	b.chunk, b.size = &Chunk{Index: len(b.records)}, 0
	b.records = append(b.records, &Record{
		Format: Format, Claim: b.claim, Number: b.number, Time: b.now,
		Mark: b.state.Mark, Low: b.state.Low(), Stopped: b.state.Stopped, Chunk: b.chunk,
	})
}

func (b *snapshotBuilder) grew(bytes int) {
	if b.size += bytes; b.size >= ChunkSize {
		b.next()
	}
}

// A Fold reads the records of one claim, from the first chunk of a snapshot on.
type Fold struct {
	codec *Codec
	state *State
	whole bool
}

// NewFold returns a fold that has read nothing.
func NewFold(codec *Codec) *Fold { return &Fold{codec: codec} }

// Add reads the next stored record of the claim. sequence is its position in
// the ledger.
func (f *Fold) Add(sequence uint64, data []byte) error {
	r, err := f.codec.Decode(data)
	if err != nil {
		return fmt.Errorf("ledger sequence %d: %w", sequence, err)
	}
	if r.Chunk != nil {
		err = f.chunk(sequence, r)
	} else if !f.whole {
		err = fmt.Errorf("%w: a record before the end of the snapshot", ErrOrder)
	} else {
		err = f.state.Apply(r)
	}
	if err != nil {
		return fmt.Errorf("ledger sequence %d: %w", sequence, err)
	}
	return nil
}

// State returns the state, or nil when no whole snapshot was read.
func (f *Fold) State() *State {
	if !f.whole {
		return nil
	}
	return f.state
}

func (f *Fold) chunk(sequence uint64, r *Record) error {
	c := r.Chunk
	if c.Index == 0 {
		f.state, f.whole = NewState(c.Incarnation), false
		f.state.Claim, f.state.Number, f.state.Time = r.Claim, r.Number, r.Time
		f.state.Mark, f.state.Stopped, f.state.Snapshot = r.Mark, r.Stopped, sequence
		f.state.NextTrigger, f.state.Gaps, f.state.Doubt = c.NextTrigger, c.Gaps, c.Doubt
	}
	if f.state == nil || f.whole || f.state.Number != r.Number {
		return fmt.Errorf("%w: chunk %d of snapshot %d", ErrOrder, c.Index, r.Number)
	}
	if err := f.state.merge(c); err != nil {
		return err
	}
	f.whole = c.Last
	return nil
}

func (s *State) merge(c *Chunk) error {
	for _, known := range c.Triggers {
		t := &Trigger{Gate: known.Gate, Totals: known.Totals, Waiting: known.Waiting}
		s.Triggers[known.Gate.Trigger] = t
		s.index(t)
	}
	if err := s.mergeAhead(c.Settled, func(t *Trigger) *Sequences { return &t.Settled }); err != nil {
		return err
	}
	if err := s.mergeAhead(c.Known, func(t *Trigger) *Sequences { return &t.Known }); err != nil {
		return err
	}
	if err := s.pauses(c.Pauses); err != nil {
		return err
	}
	for _, w := range c.Waiting {
		if s.Triggers[w.Key.Trigger] == nil {
			return fmt.Errorf("sequence %d waits for trigger %d, which is not known", w.Key.Sequence, w.Key.Trigger)
		}
		waiting := w.Waiting
		s.Waiting[w.Key] = &waiting
		s.need.add(w.Key.Sequence)
	}
	for _, suspect := range c.Suspects {
		s.Suspects[suspect.Key] = suspect.Suspect
	}
	return nil
}

func (s *State) mergeAhead(keys []Key, of func(*Trigger) *Sequences) error {
	for _, key := range keys {
		t := s.Triggers[key.Trigger]
		if t == nil {
			return fmt.Errorf("settled sequence %d of trigger %d, which is not known", key.Sequence, key.Trigger)
		}
		of(t).Add(key.Sequence)
		s.ahead[key.Trigger] = t
	}
	return nil
}
