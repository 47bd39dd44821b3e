package aws

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Failed reads a partial batch response: which of the events have failed, by
// their index. Those of a stream from the lowest failed sequence number of its
// shard on have failed too, because their order is kept.
//
// An answer that is null, or that is JSON without a member batchItemFailures, or
// with an empty or null one, means that none has failed. The whole batch has,
// and an *AnswerError is returned, when the answer is no JSON, or when an
// identifier is missing, empty, misnamed or unknown.
func Failed(answer []byte, p Payload) (map[int]bool, error) {
	items, err := failures(answer)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	known := make(map[string][]int, len(p.Identifiers))
	for i, identifier := range p.Identifiers {
		known[identifier] = append(known[identifier], i)
	}
	failed := make(map[int]bool, len(items))
	for n, item := range items {
		identifier, err := identify(n, item)
		if err != nil {
			return nil, err
		}
		indexes, found := known[identifier]
		if !found {
			return nil, answerError("batchItemFailures[%d].itemIdentifier %s is no item of the batch: want %s",
				n, brief(strconv.Quote(identifier)), p.example())
		}
		for _, i := range indexes {
			failed[i] = true
		}
	}
	p.cut(failed)
	return failed, nil
}

// example returns what an identifier of the batch looks like.
func (p *Payload) example() string {
	if len(p.Identifiers) == 0 {
		return "none"
	}
	return "one such as " + strconv.Quote(p.Identifiers[0])
}

// failures returns the items of the list batchItemFailures.
func failures(answer []byte) ([]json.RawMessage, error) {
	answer = bytes.TrimSpace(answer)
	if len(answer) == 0 {
		return nil, nil
	}
	if !json.Valid(answer) {
		return nil, &AnswerError{Reason: "text is not JSON: " + brief(strconv.Quote(string(answer[:min(len(answer), most)])))}
	}
	if answer[0] != '{' {
		return nil, nil
	}
	const name = "batchItemFailures"
	var members map[string]json.RawMessage
	if err := json.Unmarshal(answer, &members); err != nil {
		return nil, answerError("text cannot be read: %v", err)
	}
	list, found := members[name]
	if !found {
		return nil, misnamed(members, name, "")
	}
	var items []json.RawMessage
	if err := json.Unmarshal(list, &items); err != nil {
		return nil, answerError("%s is %s: want a list of objects such as {%q: …}", name, brief(string(list)), "itemIdentifier")
	}
	return items, nil
}

// identify returns the identifier of one failed item: a string, or for Kafka
// an object with partition and offset.
func identify(n int, item json.RawMessage) (string, error) {
	const name = "itemIdentifier"
	at := "batchItemFailures[" + strconv.Itoa(n) + "]"
	var members map[string]json.RawMessage
	if err := json.Unmarshal(item, &members); err != nil || members == nil {
		return "", answerError("%s is %s: want an object with %s", at, brief(string(item)), name)
	}
	value, found := members[name]
	if !found {
		if err := misnamed(members, name, at+"."); err != nil {
			return "", err
		}
		return "", answerError("%s has no %s: %s", at, name, brief(string(item)))
	}
	var identifier string
	switch value[0] {
	case '{':
		identifier = offset(value)
	case '"':
		_ = json.Unmarshal(value, &identifier)
	}
	if identifier == "" {
		return "", answerError("%s.%s is %s: want the identifier of an item as a string, or for Kafka {%q: \"topic-0\", %q: 42}",
			at, name, brief(string(value)), "partition", "offset")
	}
	return identifier, nil
}

// offset returns the identifier that an object with partition and offset
// stands for; empty when it is none.
func offset(value []byte) string {
	var at struct {
		Partition string
		Offset    *int64
	}
	if json.Unmarshal(value, &at) != nil || at.Partition == "" || at.Offset == nil {
		return ""
	}
	return at.Partition + "-" + strconv.FormatInt(*at.Offset, 10)
}

// misnamed refuses a member that was meant to have the name, so that what has
// failed is not lost for a letter.
func misnamed(members map[string]json.RawMessage, name, at string) error {
	for other := range members {
		if strings.EqualFold(other, name) {
			return answerError("member %s%s is misnamed: write %s", at, other, name)
		}
	}
	return nil
}

// cut adds what follows the lowest failed item of each shard.
func (p *Payload) cut(failed map[int]bool) {
	if p.streams == nil {
		return
	}
	lowest := make(map[string]string, 1)
	for i := range failed {
		stream, sequence := p.streams[i], p.Identifiers[i]
		if low, found := lowest[stream]; !found || lower(sequence, low) {
			lowest[stream] = sequence
		}
	}
	for i, sequence := range p.Identifiers {
		low, found := lowest[p.streams[i]]
		if found && !lower(sequence, low) {
			failed[i] = true
		}
	}
}

// lower tells whether a sequence number is lower than another one. They are
// decimal and have too many digits for an integer.
func lower(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// most is how many bytes of an answer stand in an error.
const most = 80

// brief shortens text from outside for an error.
func brief(text string) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
