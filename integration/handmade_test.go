//go:build integration

package integration_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func zip(t *testing.T, body string) string {
	t.Helper()
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	if _, err := writer.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// handmade are requests of which each must have the answer that it deserves.
func handmade(t *testing.T) []attack {
	t.Helper()
	all := slices.Concat(framing(), headers(), targets(), bodies(), cloudEvents(), zips(t), senders())
	for i := range all {
		if len(all[i].may) == 0 {
			t.Fatalf("%s may have any answer", all[i].name)
		}
	}
	return all
}

const (
	start    = "POST /plain HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	smuggled = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)

// framing are requests whose end is said in two ways, or in none.
func framing() []attack {
	return []attack{
		{"a chunk that is no number", start + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", []int{400}},
		{"a negative chunk", start + "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n", []int{400}},
		{"a chunk too large to count", start + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n", []int{400}},
		{"a chunk that is cut off", start + "Transfer-Encoding: chunked\r\n\r\n10\r\n{}", []int{400}},
		{"a chunk without an end", start + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", []int{400}},
		{"no last chunk", start + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", []int{400}},
		{"an endless chunk extension", start + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("x", 8<<10) + "\r\n{}\r\n0\r\n\r\n", []int{400}},
		{"many tiny chunks with extensions", start + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("x", 2000)+"\r\n \r\n", 50) + "0\r\n\r\n", []int{400}},
		{"chunks larger than a body may be", start + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", 20) + "0\r\n\r\n", []int{413}},
		{"an encoding that hides chunked", start + "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{501}},
		{"chunked twice", start + "Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{501}},
		{"chunked in two headers", start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{400, 501}},
		{"identity and chunked", start + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{400, 501}},
		{"chunked with a tab", start + "Transfer-Encoding: \x0bchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{400, 501}},
		{"chunked in HTTP/1.0", strings.Replace(start, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{400}},
		{"a length and chunks", start + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{400}},
		{"chunks and a length", start + "Transfer-Encoding: chunked\r\nContent-Length: 100\r\n\r\n0\r\n\r\n" + smuggled, []int{400}},
		{"two lengths", start + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", []int{400}},
		{"a list of lengths", start + "Content-Length: 2, 2\r\n\r\n{}", []int{400}},
		{"a length with a sign", start + "Content-Length: +2\r\n\r\n{}", []int{400}},
		{"a negative length", start + "Content-Length: -2\r\n\r\n{}", []int{400}},
		{"a length in hex", start + "Content-Length: 0x2\r\n\r\n{}", []int{400}},
		{"a length too large to count", start + "Content-Length: 99999999999999999999\r\n\r\n{}", []int{400}},
		{"an empty length", start + "Content-Length: \r\n\r\n{}", []int{400}},
		{"a length with a space before the colon", start + "Content-Length : 2\r\n\r\n{}", []int{400}},
		{"a length beyond the limit", start + "Content-Length: 2000000\r\n\r\n{}", []int{413}},
		{"a body that is cut off", start + "Content-Length: 100\r\n\r\n{\"a\":1}", []int{400}},
		{"a body shorter than it is", start + "Connection: close\r\nContent-Length: 1\r\n\r\n{}", []int{400}},
		{"no body", start + "Connection: close\r\n\r\n", []int{400}},
	}
}

// headers are requests with headers that are no headers.
func headers() []attack {
	const body = "Content-Length: 2\r\nConnection: close\r\n\r\n{}"
	many := strings.Builder{}
	for i := range 2000 {
		fmt.Fprintf(&many, "X-%d: some value\r\n", i)
	}
	return []attack{
		{"a large header", start + "X-Large: " + strings.Repeat("x", 40<<10) + "\r\n" + body, []int{431}},
		{"many headers", start + many.String() + body, []int{431}},
		{"a header without an end", start + "X-Large: " + strings.Repeat("x", 40<<10), []int{431}},
		{"a header with NUL", start + "X-Nul: a\x00b\r\n" + body, []int{400}},
		{"a header with CR", start + "X-Cr: a\rb\r\n" + body, []int{400}},
		{"a header with a control character", start + "X-Bell: \x07\r\n" + body, []int{400}},
		{"a header without a colon", start + "X-Nothing\r\n" + body, []int{400}},
		{"a header without a name", start + ": x\r\n" + body, []int{400}},
		{"a name with a space", start + "X Y: x\r\n" + body, []int{400}},
		{"a name with NUL", start + "X\x00Y: x\r\n" + body, []int{400}},
		{"a name that is not ASCII", start + "X-é: x\r\n" + body, []int{400}},
		{"no host", "POST /plain HTTP/1.1\r\nContent-Type: application/json\r\n" + body, []int{400}},
		{"two hosts", start + "Host: y\r\n" + body, []int{400}},
		{"a host that is none", "POST /plain HTTP/1.1\r\nHost: a b\r\nContent-Type: application/json\r\n" + body, []int{400}},
		{"an expectation", start + "Expect: a-miracle\r\n" + body, []int{417}},
		{"two content types", start + "Content-Type: text/plain\r\nCe-Id: 1\r\nCe-Source: /s\r\nCe-Type: t\r\nCe-Specversion: 1.0\r\n" + body, []int{400}},
		{"headers of the log", start + "Nats-Rollup: all\r\nNats-Msg-Id: 1\r\nNats-Expected-Last-Sequence: 7\r\nNats-TTL: 1s\r\n" + body, []int{202}},
		{"headers of a delivery", start + "Sluice-Delivery: x\r\nSluice-Attempt: 99\r\n" + body, []int{202}},
		{"a connection that takes everything away", start + "Connection: content-type, content-length, host\r\n" + body, []int{415}},
		{"another site", start + "Origin: https://evil.example\r\n" + body, []int{403}},
		{"another site's GET", "GET /whole/a HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: cross-site\r\nConnection: close\r\n\r\n", []int{403}},
	}
}

// targets are requests for what is not there.
func targets() []attack {
	end := " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	return []attack{
		{"nothing", "\r\n\r\n", []int{400}},
		{"no HTTP", "hello\r\n\r\n", []int{400}},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 100) + "\r\n\r\n", []int{400}},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{404}},
		{"HTTP/3", "POST /plain HTTP/3.0\r\nHost: x\r\n\r\n", []int{505}},
		{"HTTP/0.9", "GET /plain\r\n\r\n", []int{400}},
		{"an endless line", "POST /" + strings.Repeat("a", 40<<10) + end, []int{431}},
		{"a path that climbs", "POST /whole/../plain" + end, []int{404}},
		{"a path that climbs in disguise", "POST /whole/%2e%2e/plain" + end, []int{404}},
		{"two slashes", "POST //plain" + end, []int{404}},
		{"many slashes", "POST /whole" + strings.Repeat("/", 20_000) + end, []int{404}},
		{"many parts", "POST " + strings.Repeat("/a", 12_000) + end, []int{404}},
		{"a path with NUL", "POST /whole/%00" + end, []int{400}},
		{"a path that is not UTF-8", "POST /whole/%ff" + end, []int{400}},
		{"a path that is no path", "POST /whole/%zz" + end, []int{400}},
		{"a query that is none", "POST /whole/a?%zz" + end, []int{400}},
		{"a query that is not UTF-8", "POST /whole/a?a=%ff" + end, []int{400}},
		{"a semicolon in the query", "POST /whole/a?a;b" + end, []int{400}},
		{"no path", "POST *" + end, []int{400, 404}},
		{"a proxy's", "CONNECT example.com:443" + end, []int{404, 405}},
		{"a trace", "TRACE /plain" + end, []int{405}},
		{"a method of its own", "EXPLODE /plain" + end, []int{405}},
		{"a method that is none", "PO ST /plain" + end, []int{400}},
		{"an upgrade", strings.Replace("GET /plain"+end, "Connection: close", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", 1), []int{405}},
	}
}

// bodies are plain bodies that are not what they say.
func bodies() []attack {
	plain := func(contentType, body string) string {
		return request("POST /plain", "Content-Type: "+contentType+"\r\n", body)
	}
	const json = "application/json"
	return []attack{
		{"JSON with NUL", plain(json, "{\"a\":\"\x00\"}"), []int{400}},
		{"NUL", plain(json, "\x00"), []int{400}},
		{"JSON that is not UTF-8", plain(json, "{\"a\":\"\xff\"}"), []int{400}},
		{"JSON in UTF-16", plain(json, "\xff\xfe{\x00}\x00"), []int{400}},
		{"JSON with a mark", plain(json, "\xef\xbb\xbf{}"), []int{400}},
		{"an overlong slash", plain(json, "{\"a\":\"\xc0\xaf\"}"), []int{400}},
		{"JSON that ends too early", plain(json, `{"a":`), []int{400}},
		{"JSON that ends too late", plain(json, `{}{}`), []int{400}},
		{"deep JSON", plain(json, strings.Repeat("[", 500_000)+strings.Repeat("]", 500_000)), []int{400}},
		{"deep objects", plain(json, strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000)), []int{400}},
		{"no number", plain(json, "NaN"), []int{400}},
		{"a form that is JSON", plain("application/x-www-form-urlencoded", "{}"), []int{415}},
		{"no content type", request("POST /plain", "", "{}"), []int{415}},
		{"a content type that is none", plain("json", "{}"), []int{400}},
		{"a content type with a control character", plain("text/plain; a=\"\x01\"", "x"), []int{400}},
		{"a form that is none", request("POST /whole/a", "Content-Type: application/x-www-form-urlencoded\r\n", "a=%zz"), []int{400}},
		{"a form that is not UTF-8", request("POST /whole/a", "Content-Type: application/x-www-form-urlencoded\r\n", "a=%ff"), []int{400}},
		{"a header that is not UTF-8", request("POST /whole/a", "Content-Type: text/plain\r\nX-Other: \xe9\r\n", "x"), []int{400}},
		{"more than a body may be", plain("text/plain", strings.Repeat("x", 1<<20+1)), []int{413}},
		{"more than an event may be", plain("text/plain", strings.Repeat("x", 1<<20)), []int{413}},
	}
}

// cloudEvents are events that break CloudEvents 1.0.
func cloudEvents() []attack {
	structured := func(body string) string {
		return request("POST /plain", "Content-Type: application/cloudevents+json\r\n", body)
	}
	batch := func(body string) string {
		return request("POST /plain", "Content-Type: application/cloudevents-batch+json\r\n", body)
	}
	binary := func(headers string) string {
		return request("POST /plain", "Ce-Specversion: 1.0\r\nCe-Id: 1\r\nCe-Source: /s\r\nCe-Type: t\r\nContent-Type: text/plain\r\n"+headers, "x")
	}
	const one = `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
	with := func(members string) string { return structured(one[:len(one)-1] + "," + members + "}") }
	return []attack{
		{"no event", structured("{}"), []int{400}},
		{"an array", structured("[]"), []int{400}},
		{"a member twice", with(`"id":"2"`), []int{400}},
		{"both kinds of data", with(`"data":1,"data_base64":"AA=="`), []int{400}},
		{"no base64", with(`"data_base64":"*"`), []int{400}},
		{"a name with capitals", with(`"Ext":"1"`), []int{400}},
		{"a name of the log", with(`"nats-msg-id":"1"`), []int{400}},
		{"an extension that is an object", with(`"ext":{}`), []int{400}},
		{"a number too large", with(`"ext":99999999999`), []int{400}},
		{"half a character", with(`"ext":"\ud800"`), []int{400}},
		{"a control character", with(`"ext":"\u0000"`), []int{400}},
		{"a line end in the subject", with(`"subject":"a\r\nNats-Rollup: all"`), []int{400}},
		{"a time that is none", with(`"time":"2026-02-30T00:00:00Z"`), []int{400}},
		{"a schema that is no URI", with(`"dataschema":"a b"`), []int{400}},
		{"deep data", with(`"data":` + strings.Repeat("[", 300_000) + strings.Repeat("]", 300_000)), []int{400}},
		{"too many attributes", with(`"big":"` + strings.Repeat("x", 17<<10) + `"`), []int{413}},
		{"attributes that grow", with(`"subject":"` + strings.Repeat("€", 4<<10) + `"`), []int{413}},
		{"another version", structured(strings.Replace(one, "1.0", "0.3", 1)), []int{400}},
		{"a batch that is none", batch(one), []int{400}},
		{"a batch with a bad one", batch("[" + one + ",{}]"), []int{400}},
		{"a batch that is too long", batch("[" + strings.Repeat(one+",", 1000) + one + "]"), []int{413}},
		{"a batch within a batch", batch("[[" + one + "]]"), []int{400}},
		{"another format", request("POST /plain", "Content-Type: application/cloudevents+avro\r\n", "x"), []int{415}},
		{"another charset", request("POST /plain", "Content-Type: application/cloudevents+json; charset=utf-16\r\n", one), []int{415}},
		{"an id twice", binary("Ce-Id: 2\r\n"), []int{400}},
		{"an escape that is none", binary("Ce-Subject: 50%\r\n"), []int{400}},
		{"an escaped line end", binary("Ce-Subject: a%0D%0ANats-Rollup: all\r\n"), []int{400}},
		{"an escaped NUL", binary("Ce-Ext: %00\r\n"), []int{400}},
		{"an escape that is not UTF-8", binary("Ce-Ext: %ff\r\n"), []int{400}},
		{"a name with a dash", binary("Ce-Nats-Msg-Id: 1\r\n"), []int{400}},
	}
}

// zips are bodies that are more than they seem.
func zips(t *testing.T) []attack {
	t.Helper()
	zipped := func(contentType, body string) string {
		return request("POST /plain", "Content-Encoding: gzip\r\nContent-Type: "+contentType+"\r\n", body)
	}
	megabyte := strings.Repeat("x", 1<<20)
	return []attack{
		{"a bomb", zipped("text/plain", zip(t, strings.Repeat(megabyte, 64))), []int{413}},
		{"a bomb in a bomb", zipped("text/plain", zip(t, zip(t, strings.Repeat(megabyte, 256)))), []int{202, 413}},
		{"many bombs", zipped("text/plain", strings.Repeat(zip(t, megabyte), 50)), []int{413}},
		{"no gzip", zipped("text/plain", "hello"), []int{400}},
		{"a gzip that is cut off", zipped("text/plain", zip(t, "hello")[:20]), []int{400}},
		{"a gzip with a wrong sum", zipped("text/plain", zip(t, "hello")[:23]+"\x00\x00\x00\x00\x00\x00\x00\x00"), []int{400}},
		{"garbage behind a gzip", zipped("text/plain", zip(t, "hello")+megabyte[:100]), []int{400}},
		{"a gzip of nothing", zipped("text/plain", zip(t, "")), []int{400}},
		{"a gzip of no JSON", zipped("application/json", zip(t, "{")), []int{400}},
		{"brotli", request("POST /plain", "Content-Encoding: br\r\nContent-Type: text/plain\r\n", "x"), []int{415}},
		{"two encodings", request("POST /plain", "Content-Encoding: gzip, gzip\r\nContent-Type: text/plain\r\n", "x"), []int{415}},
		{"two encodings in two headers", request("POST /plain", "Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\n", "x"), []int{415}},
	}
}

// senders are requests of those who are not who they say.
func senders() []attack {
	const body = `{"id":"evt_1"}`
	signed := func(path, headers string) string {
		return request("POST "+path, headers+"Content-Type: application/json\r\n", body)
	}
	github, stripe := hook(githubHook(), body), hook(stripeHook(), body)
	return []attack{
		{"no token", signed("/token", ""), []int{401}},
		{"a wrong token", signed("/token", "Authorization: Bearer a-token-of-the-hool\r\n"), []int{401}},
		{"a token twice", signed("/token", strings.Repeat("Authorization: Bearer a-token-of-the-hook\r\n", 2)), []int{400}},
		{"no signature", signed("/github", ""), []int{401}},
		{"the signature of another body", signed("/github", hook(githubHook(), "{}")), []int{401}},
		{"the signature of another secret", signed("/github", strings.Replace(hook(stripeHook(), body), "Stripe-Signature: t=", "X-Hub-Signature-256: sha256=", 1)), []int{400}},
		{"a signature twice", signed("/github", github+github), []int{400}},
		{"an empty signature", signed("/github", "X-Hub-Signature-256: sha256=\r\n"), []int{400}},
		{"the older signature", signed("/github", strings.Replace(github, "256: sha256", ": sha1", 1)), []int{401}},
		{"a binary event with a signature", signed("/github", github+"Ce-Specversion: 1.0\r\nCe-Id: 1\r\nCe-Source: /s\r\nCe-Type: t\r\n"), []int{400}},
		{"a signature without its time", signed("/stripe", strings.Replace(stripe, "t=", "x=", 1)), []int{400}},
		{"a signature of long ago", signed("/stripe", "Stripe-Signature: t=1,v1="+strings.Repeat("00", 32)+"\r\n"), []int{401}},
		{"a signature of the far future", signed("/stripe", "Stripe-Signature: t=99999999999,v1="+strings.Repeat("00", 32)+"\r\n"), []int{401}},
		{"thousands of signatures", signed("/stripe", strings.TrimSpace(strings.Replace(stripe, "v1=", strings.Repeat("v1=00,", 4000)+"v1=0", 1))+"\r\n"), []int{400, 401}},
		{"no id", signed("/grid", ""), []int{400}},
		{"an id twice", signed("/grid", "X-Id: 1\r\nX-Id: 2\r\n"), []int{400}},
		{"a handshake of nobody", "OPTIONS /grid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []int{400}},
		{"a handshake of another", "OPTIONS /grid HTTP/1.1\r\nHost: x\r\nConnection: close\r\nWebHook-Request-Origin: evil.example\r\n\r\n", []int{403}},
		{"a handshake that wants everything", "OPTIONS /grid HTTP/1.1\r\nHost: x\r\nConnection: close\r\nWebHook-Request-Origin: a.example.com\r\nWebHook-Request-Rate: -1\r\n\r\n", []int{400}},
	}
}
