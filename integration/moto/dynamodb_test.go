//go:build integration

package moto_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/config"
	"sluice/event"
	awsform "sluice/event/aws"
	"sluice/integration/adapters"
	"sluice/integration/moto"
	"sluice/sources"
	sourcedynamodb "sluice/sources/dynamodb"
	"sluice/sources/shards"
	"sluice/sources/sourcetest"
)

// A table is one at the server.
type table struct {
	endpoint, name string
	sent           atomic.Int64
}

// newTable makes a table with a stream.
func (b *bench) newTable(tb testing.TB) *table {
	tb.Helper()
	t := &table{endpoint: b.server.Endpoint, name: fmt.Sprintf("table%d", number.Add(1))}
	t.must(tb, "CreateTable", fmt.Sprintf(`{"TableName":%q,"BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
		"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"}}`, t.name))
	return t
}

func (t *table) must(tb testing.TB, operation, body string) {
	tb.Helper()
	if err := t.ask(tb.Context(), operation, body); err != nil {
		tb.Fatal(err)
	}
}

// ask makes a request of the tables' own protocol, which needs no client: the
// server looks at no signature.
func (t *table) ask(ctx context.Context, operation, body string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=none")
	defer http.DefaultClient.CloseIdleConnections()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	said, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", operation, response.Status, said)
	}
	return err
}

// put writes n items, each with its number, over some that were there.
func (t *table) put(ctx context.Context, n, size int) error {
	for range n {
		number := t.sent.Add(1) - 1
		err := t.ask(ctx, "PutItem", fmt.Sprintf(`{"TableName":%q,"Item":{"id":{"S":"k%d"},"n":{"N":"%d"},"x":{"S":%q}}}`, t.name, number%keys, number, strings.Repeat("x", size)))
		if err != nil {
			return err
		}
	}
	return nil
}

// itemOf returns the number of the item that an event shows.
func itemOf(e *event.Event) int {
	var data struct {
		NewImage struct {
			N struct {
				N json.Number `json:"N"`
			} `json:"n"`
		}
	}
	if json.Unmarshal(e.Data, &data) != nil {
		return -1
	}
	n, err := data.NewImage.N.N.Int64()
	if err != nil {
		return -1
	}
	return int(n)
}

func tableSource(tb testing.TB, endpoint string, key moto.Key, table string, env sources.Env) sources.Source {
	tb.Helper()
	c := sourcedynamodb.NewConfig()
	c.AWS, c.Table, c.Start, c.Poll = section(endpoint, key), table, "trim_horizon", config.Duration(shards.MinPoll)
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// tableUpstream is a table behind a relay.
func (b *bench) tableUpstream(tb testing.TB) sourcetest.Upstream {
	tb.Helper()
	t := b.newTable(tb)
	relay := moto.StartRelay(tb, b.server.Endpoint)
	with := func(table string, key moto.Key) func(tb testing.TB, env sources.Env) sources.Source {
		return func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			b.server.Strict(tb)
			return tableSource(tb, b.server.Endpoint, key, table, env)
		}
	}
	return sourcetest.Upstream{
		Source: func(tb testing.TB) sources.Source {
			tb.Helper()
			return tableSource(tb, relay.Endpoint, b.all, t.name, sourcetest.Env("changes", nil))
		},
		Section: fmt.Sprintf("dynamodb: {endpoint: %q, access_key: %s, secret_key: %s, table: %s, start: trim_horizon, poll: 200ms}", relay.Endpoint, b.all.ID, b.all.Secret, t.name),
		Send:    func(ctx context.Context, n int) error { return t.put(ctx, n, 0) },
		Fill:    t.put,
		Keeps:   true, Exact: true, Number: itemOf,
		Restart: func(tb testing.TB) { tb.Helper(); relay.Restart(tb) },
		Wrong: []sourcetest.Wrong{
			{Name: "no such table", Source: with("missing", b.all), Want: `the table "missing" has no stream, or is not there`},
			{Name: "an unknown key", Source: with(t.name, moto.Key{ID: "AKIDUNKNOWN", Secret: "secret"}), Want: "the credentials are not accepted"},
			{Name: "a wrong secret", Source: with(t.name, moto.Key{ID: b.all.ID, Secret: "wrong"}), Want: "the credentials are not accepted"},
			{Name: "a key that may do nothing", Source: with(t.name, b.nothing), Want: "the credentials are not accepted, or do not allow it"},
		},
	}
}

func testTable(t *testing.T, b *bench) {
	t.Helper()
	sourcetest.Exercise(t, sourcetest.Fixture{
		Name: sourcedynamodb.Kind, Kill: adapters.KillSource, Start: b.tableUpstream,
		Without: map[string]string{"I5: same id twice": "a stream shows each record once to who reads on from where he was"},
	})
}

// testWhatAChangeBecomes has an item added, changed and removed: a function is
// given what Lambda gives it.
func testWhatAChangeBecomes(t *testing.T, b *bench) {
	t.Helper()
	table := b.newTable(t)
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, tableSource(t, b.server.Endpoint, b.all, table.name, sourcetest.Env("changes", nil)), out)
	for _, state := range []string{"new", "paid"} {
		table.must(t, "PutItem", fmt.Sprintf(`{"TableName":%q,"Item":{"id":{"S":"o-7"},"state":{"S":%q},"tags":{"SS":["a"]}}}`, table.name, state))
	}
	table.must(t, "DeleteItem", fmt.Sprintf(`{"TableName":%q,"Key":{"id":{"S":"o-7"}}}`, table.name))
	events := out.Wait(t, 3)
	stop()
	for i, want := range []string{"INSERT", "MODIFY", "REMOVE"} {
		e := &events[i]
		if e.Type != "dynamodb."+strings.ToLower(want) || e.PartitionKey() != "o-7" || e.Source != "dynamodb://"+table.name {
			t.Errorf("event %d is %+v", i, e)
		}
		payload, err := awsform.Encode(awsform.ShapeAWS, []*event.Event{e}, awsform.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{
			`"eventName":"` + want + `"`, `"eventSource":"aws:dynamodb"`, `"Keys":{"id":{"S":"o-7"}}`, `"StreamViewType":"NEW_AND_OLD_IMAGES"`,
			`"eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/` + table.name + `/stream/20`,
		} {
			if !bytes.Contains(payload.JSON, []byte(part)) {
				t.Errorf("a function is given %s: no %s", payload.JSON, part)
			}
		}
	}
	if image := `"OldImage":{"id":{"S":"o-7"},"state":{"S":"new"},"tags":{"SS":["a"]}}`; !bytes.Contains(events[1].Data, []byte(image)) {
		t.Errorf("the change is %s", events[1].Data)
	}
}
