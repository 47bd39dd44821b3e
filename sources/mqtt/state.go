package mqtt

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"sluice/sources"
)

// A memory is what a source keeps in its cursor.
type memory struct {
	Version int `json:"version"`
	// Client is the client id: the server keeps the session under it.
	Client string `json:"client"`
	// Topics are the subscriptions of the session, with their QoS.
	Topics map[string]int `json:"topics,omitempty"`
	// Received are the identifiers of messages of QoS 2 that are published, and that
	// the server has not released yet.
	Received []uint16 `json:"received,omitempty"`
}

// memoryVersion is the format of the cursor.
const memoryVersion = 1

// shard is where the cursor is kept: a source with another client id has another
// session.
func (s *source) shard() string {
	if s.cfg.ClientID == "" {
		return "client"
	}
	sum := sha256.Sum256([]byte(s.cfg.ClientID))
	return "client-" + hex.EncodeToString(sum[:8])
}

// recall reads the cursor, or makes the first one.
func (s *source) recall(ctx context.Context, out sources.Out) (*memory, error) {
	data, err := out.Cursor(ctx, s.shard())
	if err != nil {
		return nil, err
	}
	if data == nil {
		m := &memory{Version: memoryVersion, Client: s.cfg.ClientID}
		if m.Client == "" {
			m.Client = clientID(s.env.Name)
		}
		// It is stored before it is used: a session under a name that is forgotten
		// would keep messages for nobody.
		return m, out.PublishAt(ctx, s.shard(), m.encode())
	}
	return decodeMemory(data)
}

// errMemory is that of a cursor that this sluice cannot read.
var errMemory = errors.New("the cursor cannot be used")

func decodeMemory(data []byte) (*memory, error) {
	m := &memory{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%w: %w", errMemory, err)
	}
	if m.Version != memoryVersion {
		return nil, fmt.Errorf("%w: it has format %d, and this sluice reads %d: run the newer one", errMemory, m.Version, memoryVersion)
	}
	return m, nil
}

func (m *memory) encode() []byte {
	data, _ := json.Marshal(m) // texts and numbers: it cannot fail
	return data
}

var notInClientID = regexp.MustCompile(`[^0-9A-Za-z]+`)

// clientID makes a client id that no other installation has. Servers of 3.1.1 have
// to take 23 letters and digits (section 3.1.3.1 there): it has no more.
func clientID(name string) string {
	short := notInClientID.ReplaceAllString(name, "")
	return "sluice" + short[:min(len(short), 7)] + rand.Text()[:10]
}
