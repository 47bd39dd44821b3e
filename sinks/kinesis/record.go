package kinesis

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"sluice/config"
	"sluice/event/transform"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

const (
	// maxKey is the longest partition key, in characters.
	maxKey = 256
	// hashBits is how many bits an explicit hash key has, and maxDigits how many
	// digits.
	hashBits  = 128
	maxDigits = 39
)

// keys are what a section says of the keys of records; nil where it says nothing.
type keys struct{ partition, hash *awssink.Text }

func newKeys(c *Config) (keys, error) {
	partition, partitionErr := newKey("partition_key", c.PartitionKey, checkKey)
	hash, hashErr := newKey("explicit_hash_key", c.ExplicitHashKey, checkHash)
	return keys{partition: partition, hash: hash}, errors.Join(partitionErr, hashErr)
}

// newKey reads the value of a key of the section. What is no template is checked
// at once.
func newKey(name, value string, check func(string) error) (*awssink.Text, error) {
	if value == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	text, err := awssink.NewText(name, value)
	if err == nil && !text.IsTemplate() {
		if wrong := check(value); wrong != nil {
			err = config.Invalid(name, "%v", wrong)
		}
	}
	return &text, err
}

// checkKey tells what is wrong with a partition key.
func checkKey(key string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > maxKey {
		return fmt.Errorf("a key of %d characters: it takes 1 to %d", n, maxKey)
	}
	return nil
}

// checkHash tells what is wrong with an explicit hash key: it is a number in
// decimal digits below 2 to the 128th, without zeros before it.
func checkHash(text string) error {
	ok := len(text) > 0 && len(text) <= maxDigits && (text[0] != '0' || len(text) == 1)
	for i := 0; ok && i < len(text); i++ {
		ok = text[i] >= '0' && text[i] <= '9'
	}
	if ok {
		var n *big.Int
		n, ok = new(big.Int).SetString(text, 10)
		ok = ok && n.BitLen() <= hashBits
	}
	if !ok {
		return fmt.Errorf("%q: it takes a whole number from 0 to 2^%d-1, in decimal digits", text[:min(len(text), maxKey)], hashBits)
	}
	return nil
}

// A maker makes records of deliveries.
type maker struct {
	mode  Mode
	keys  keys
	turns *transform.Turns
}

// entry makes the record of a delivery. Its errors are those of sinks.
func (m *maker) entry(ctx context.Context, _ *sinks.Attempt, d *sinks.Delivery) (awssink.Entry[types.PutRecordsRequestEntry], error) {
	r := types.PutRecordsRequestEntry{Data: m.data(d), PartitionKey: aws.String(partitionKey(d))}
	var err error
	if m.keys.partition != nil || m.keys.hash != nil {
		err = sinks.Fill(ctx, m.turns, d.Event, func(ctx context.Context, in *transform.Input) error { return m.fill(ctx, in, &r) })
	}
	return awssink.Entry[types.PutRecordsRequestEntry]{Value: r, Size: len(r.Data) + len(*r.PartitionKey), Group: *r.PartitionKey}, err
}

// fill sets the keys that the section has.
func (m *maker) fill(ctx context.Context, in *transform.Input, r *types.PutRecordsRequestEntry) error {
	if m.keys.partition != nil {
		key, err := m.keys.partition.Fill(ctx, in)
		if err != nil {
			return err
		}
		if err := checkKey(key); err != nil {
			return fmt.Errorf("partition_key makes %w", err)
		}
		r.PartitionKey = &key
	}
	if m.keys.hash != nil {
		hash, err := m.keys.hash.Fill(ctx, in)
		if err != nil {
			return err
		}
		if err := checkHash(hash); err != nil {
			return fmt.Errorf("explicit_hash_key makes %w", err)
		}
		r.ExplicitHashKey = &hash
	}
	return nil
}

// partitionKey returns the key of the event, or the id of the delivery. A key
// that is too long for a record is hashed: what has the same one stays together.
func partitionKey(d *sinks.Delivery) string {
	key := cmp.Or(d.Event.PartitionKey(), d.ID)
	if checkKey(key) == nil {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// data returns the data of a record; never nil, which the client takes for a record
// that was not filled in, and then sends none of the request.
func (m *maker) data(d *sinks.Delivery) []byte {
	switch {
	case m.mode != Raw:
		return sinks.Named(d).AppendJSON(nil)
	case d.Event.Data == nil:
		return []byte{}
	}
	return d.Event.Data
}
