package kinesis

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the format's checksum
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// A part is one of the records that the Kinesis Producer Library has put into
// one (its aggregation format): magic bytes, a message of protocol buffers, and
// the MD5 of that.
type part struct {
	key  string
	data []byte
}

// magic begins an aggregated record.
const magic = "\xf3\x89\x9a\xc2"

// The numbers of the fields of the messages AggregatedRecord and Record.
const (
	fieldKeyTable = 1
	fieldRecords  = 3

	fieldKeyIndex = 1
	fieldData     = 3
)

// deaggregate returns the parts of an aggregated record, and whether it is one.
// What begins like one and is none is taken for a record as it stands.
func deaggregate(data []byte) (parts []part, is bool) {
	inner, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok || len(inner) < md5.Size {
		return nil, false
	}
	message := inner[:len(inner)-md5.Size]
	if sum := md5.Sum(message); !bytes.Equal(sum[:], inner[len(message):]) { //nolint:gosec // as above
		return nil, false
	}
	var keys []string
	var records [][]byte
	ok = fields(message, func(number int, value []byte, _ uint64) {
		switch number {
		case fieldKeyTable:
			keys = append(keys, string(value))
		case fieldRecords:
			records = append(records, value)
		}
	})
	if !ok {
		return nil, false
	}
	return partsOf(records, keys)
}

func partsOf(records [][]byte, keys []string) (parts []part, ok bool) {
	parts = make([]part, 0, len(records))
	for _, record := range records {
		var p part
		key := uint64(len(keys))
		ok := fields(record, func(number int, value []byte, index uint64) {
			switch number {
			case fieldKeyIndex:
				key = index
			case fieldData:
				p.data = slices.Clip(value)
			}
		})
		if !ok || key >= uint64(len(keys)) {
			return nil, false
		}
		p.key = keys[key]
		parts = append(parts, p)
	}
	return parts, true
}

// fields calls visit with each field of a message that is bytes or a number,
// and tells whether it is a message.
func fields(message []byte, visit func(number int, value []byte, index uint64)) bool {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		switch kind {
		case protowire.BytesType:
			value, size := protowire.ConsumeBytes(message)
			if n = size; n >= 0 {
				visit(int(number), value, 0)
			}
		case protowire.VarintType:
			index, size := protowire.ConsumeVarint(message)
			if n = size; n >= 0 {
				visit(int(number), nil, index)
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return false
		}
		message = message[n:]
	}
	return true
}
