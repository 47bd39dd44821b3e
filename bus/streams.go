package bus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// metaIncarnation is the key of the stream's metadata that holds its
// incarnation.
const metaIncarnation = "sluice-incarnation"

// markerTTL is how long the trace of an expired key stays in the bucket.
const markerTTL = time.Minute

// An IncompatibleError says that a stream exists that sluice cannot use. It
// was made by somebody else, or changed by hand.
type IncompatibleError struct {
	Stream string
	// Field is the setting by its name in the stream's configuration.
	Field         string
	Found, Wanted any
}

func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("stream %s: %s is %v, but sluice needs %v", e.Stream, e.Field, e.Found, e.Wanted)
}

// openStreams creates what is missing, and brings limits up to date.
func (b *Bus) openStreams(ctx context.Context) (err error) {
	if b.events, err = b.ensureStream(ctx, b.eventsConfig()); err != nil {
		return err
	}
	if b.ledger, err = b.ensureStream(ctx, b.ledgerConfig()); err != nil {
		return err
	}
	if _, err = b.ensureStream(ctx, b.lettersConfig()); err != nil {
		return err
	}
	if b.objectStream, err = b.ensureStream(ctx, b.objectsConfig()); err != nil {
		return err
	}
	b.incarnation = b.events.CachedInfo().Config.Metadata[metaIncarnation]
	return b.ensureState(ctx)
}

func (b *Bus) eventsConfig() jetstream.StreamConfig {
	n := b.names
	c := b.baseConfig(n.Events, "events, in the order of their acceptance", b.options.MaxBytes)
	c.Subjects = []string{n.all(kindEvent), n.all(kindDirected), n.all(kindCursor), n.all(kindJob)}
	c.Duplicates = b.options.Duplicates
	c.MaxMsgSize = maxMessage
	c.Metadata = map[string]string{metaIncarnation: nuid.Next()}
	return c
}

// maxMessage is the largest message of EVENTS: a cursor or an event, with its
// headers.
const maxMessage = maxPosition + 1<<17

func (b *Bus) objectsConfig() jetstream.StreamConfig {
	c := b.baseConfig(b.names.Objects, "data that is too large to be stored with its event", b.options.ObjectBytes)
	c.Subjects = []string{b.names.all(kindObject)}
	return c
}

func (b *Bus) ledgerConfig() jetstream.StreamConfig {
	c := b.baseConfig(b.names.Ledger, "what became of each delivery", b.options.LedgerBytes)
	c.Subjects = []string{b.names.all(kindLedger)}
	return c
}

func (b *Bus) lettersConfig() jetstream.StreamConfig {
	c := b.baseConfig(b.names.Letters, "letters: deliveries that could not be made", b.options.LetterBytes)
	c.Subjects = []string{b.names.all(kindLetter)}
	// They are read from the leader: a replica that lags says of one that it is gone.
	c.AllowDirect = false
	return c
}

// baseConfig is what the streams have in common. DiscardNew turns a full
// stream into backpressure: nothing is ever dropped to make room.
func (b *Bus) baseConfig(name, description string, maxBytes int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Placement:          b.placement(),
		Name:               name,
		Description:        description,
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardNew,
		Storage:            jetstream.FileStorage,
		Replicas:           b.options.Replicas,
		MaxBytes:           maxBytes,
		MaxMsgs:            -1,
		MaxMsgsPerSubject:  -1,
		MaxConsumers:       -1,
		MaxMsgSize:         -1,
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
}

// placement says which servers hold the streams; nil is any.
func (b *Bus) placement() *jetstream.Placement {
	if b.options.Cluster == "" && len(b.options.Tags) == 0 {
		return nil
	}
	return &jetstream.Placement{Cluster: b.options.Cluster, Tags: b.options.Tags}
}

// ensureStream creates the stream, or checks the one that exists and changes
// its limits where they differ.
func (b *Bus) ensureStream(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = b.js.CreateStream(ctx, want)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, storeError(err))
	}
	have := stream.CachedInfo().Config
	if err := compatible(have, want); err != nil {
		return nil, err
	}
	next := withLimits(have, want)
	if reflect.DeepEqual(have, next) {
		return stream, nil
	}
	stream, err = b.js.UpdateStream(ctx, next)
	if err != nil {
		return nil, fmt.Errorf("stream %s: changing its limits: %w", want.Name, storeError(err))
	}
	return stream, nil
}

// withLimits returns have with the settings that may change at any time.
func withLimits(have, want jetstream.StreamConfig) jetstream.StreamConfig {
	have.MaxBytes, have.MaxMsgSize, have.Replicas = want.MaxBytes, want.MaxMsgSize, want.Replicas
	have.AllowDirect = have.AllowDirect && want.AllowDirect
	if want.Placement != nil {
		have.Placement = want.Placement
	}
	if want.Duplicates != 0 {
		have.Duplicates = want.Duplicates
	}
	return have
}

// compatible returns an IncompatibleError for each setting that is not as
// sluice needs it, joined.
func compatible(have, want jetstream.StreamConfig) error {
	var problems []error
	check := func(field string, found, wanted any) {
		if !reflect.DeepEqual(found, wanted) {
			problems = append(problems, &IncompatibleError{Stream: want.Name, Field: field, Found: found, Wanted: wanted})
		}
	}
	check("subjects", sorted(have.Subjects), sorted(want.Subjects))
	check("retention", have.Retention, want.Retention)
	check("storage", have.Storage, want.Storage)
	check("discard", have.Discard, want.Discard)
	check("discard_new_per_subject", have.DiscardNewPerSubject, false)
	check("max_age", have.MaxAge, want.MaxAge)
	check("max_msgs", have.MaxMsgs, want.MaxMsgs)
	check("max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	check("no_ack", have.NoAck, false)
	check("sealed", have.Sealed, false)
	check("deny_delete", have.DenyDelete, false)
	check("deny_purge", have.DenyPurge, false)
	check("allow_direct", have.AllowDirect, have.AllowDirect || want.AllowDirect)
	check("allow_atomic", have.AllowAtomicPublish, true)
	check("allow_msg_counter", have.AllowMsgCounter, false)
	check("persist_mode", have.PersistMode, want.PersistMode)
	check("mirror", have.Mirror != nil, false)
	check("sources", len(have.Sources), 0)
	check("subject_transform", have.SubjectTransform != nil, false)
	if want.Metadata[metaIncarnation] != "" && have.Metadata[metaIncarnation] == "" {
		problems = append(problems, &IncompatibleError{
			Stream: want.Name, Field: "metadata " + metaIncarnation, Found: "absent", Wanted: "the value from its creation",
		})
	}
	return errors.Join(problems...)
}

func sorted(subjects []string) string {
	return strings.Join(slices.Sorted(slices.Values(subjects)), " ")
}

// ensureState creates the bucket. Its keys can have a time to live of their
// own, for leases.
func (b *Bus) ensureState(ctx context.Context) error {
	want := jetstream.KeyValueConfig{
		Bucket:         b.names.State,
		Description:    "leases and other small state",
		MaxBytes:       b.options.StateBytes,
		Storage:        jetstream.FileStorage,
		Replicas:       b.options.Replicas,
		Placement:      b.placement(),
		LimitMarkerTTL: markerTTL,
	}
	kv, err := b.js.KeyValue(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = b.js.CreateKeyValue(ctx, want)
		return wrapState(want.Bucket, err)
	}
	if err != nil {
		return wrapState(want.Bucket, err)
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return wrapState(want.Bucket, err)
	}
	if have := status.Config(); have.MaxBytes != want.MaxBytes || have.Replicas != want.Replicas || have.LimitMarkerTTL != want.LimitMarkerTTL {
		_, err = b.js.UpdateKeyValue(ctx, want)
	}
	return wrapState(want.Bucket, err)
}

func wrapState(bucket string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("bucket %s: %w", bucket, storeError(err))
}
