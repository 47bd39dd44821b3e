package event

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// DedupID returns the message id by which the log knows that it has an event
// already: a hash of the sluice source's name, and the CloudEvents source and
// id. It is 22 letters, digits, - and _.
func DedupID(sluiceSource, ceSource, id string) string {
	buffer := make([]byte, 0, 256)
	for _, part := range [...]string{sluiceSource, ceSource, id} {
		buffer = binary.AppendUvarint(buffer, uint64(len(part)))
		buffer = append(buffer, part...)
	}
	sum := sha256.Sum256(buffer)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Part returns the partition of an event, from 0 to Parts-1: FNV-1a, 32 bits,
// of its partitionkey, else of its id, modulo Parts.
func Part(e *Event) int {
	key := e.PartitionKey()
	if key == "" {
		key = e.ID
	}
	const offset, prime = 2166136261, 16777619
	hash := uint32(offset)
	for i := range len(key) {
		hash = (hash ^ uint32(key[i])) * prime
	}
	return int(hash % Parts)
}

// A DeliveryID names one delivery for ever: one position of one log for one
// trigger.
type DeliveryID struct {
	// Incarnation is the id that the log was given when it was created.
	Incarnation string
	// Sequence is the position in the log, from 1.
	Sequence uint64
	Trigger  string
}

// String returns incarnation.sequence.trigger.
func (d DeliveryID) String() string {
	buffer := make([]byte, 0, len(d.Incarnation)+len(d.Trigger)+22)
	buffer = append(buffer, d.Incarnation...)
	buffer = append(buffer, '.')
	buffer = strconv.AppendUint(buffer, d.Sequence, 10)
	buffer = append(buffer, '.')
	return string(append(buffer, d.Trigger...))
}

// ParseDeliveryID reads what String returns, and nothing else.
func ParseDeliveryID(text string) (DeliveryID, error) {
	incarnation, rest, _ := strings.Cut(text, ".")
	number, trigger, _ := strings.Cut(rest, ".")
	sequence, err := strconv.ParseUint(number, 10, 64)
	id := DeliveryID{Incarnation: incarnation, Sequence: sequence, Trigger: trigger}
	if err != nil || sequence == 0 || !isToken(incarnation) || !isToken(trigger) || id.String() != text {
		return DeliveryID{}, fmt.Errorf("%s is not a delivery id: one is incarnation.sequence.trigger, such as kX3vT9.42.resize", quoted(text))
	}
	return id, nil
}

// An EntryID names one entry of one log for ever.
type EntryID struct {
	// Incarnation is the id that the log was given when it was created.
	Incarnation string
	// Sequence is the position in the log, from 1.
	Sequence uint64
}

// String returns incarnation.sequence. It is never the id of a delivery.
func (id EntryID) String() string {
	return id.Incarnation + "." + strconv.FormatUint(id.Sequence, 10)
}

// ParseEntryID reads what String returns, and nothing else.
func ParseEntryID(text string) (EntryID, error) {
	incarnation, number, _ := strings.Cut(text, ".")
	sequence, err := strconv.ParseUint(number, 10, 64)
	id := EntryID{Incarnation: incarnation, Sequence: sequence}
	if err != nil || sequence == 0 || !isToken(incarnation) || id.String() != text {
		return EntryID{}, fmt.Errorf("%s is not the id of an entry: one is incarnation.sequence, such as kX3vT9.42", quoted(text))
	}
	return id, nil
}

// isToken tells whether text can be one token of a subject: letters, digits, -
// and _.
func isToken(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return text != ""
}
