//go:build integration

package runtimes_test

import (
	"strings"
	"testing"

	"sluice/integration/debian"
)

func TestNodeStreams(t *testing.T) {
	debian.Node(t)
	const large = 3 << 20
	for _, c := range []struct{ name, code, answer, kind, fails, message string }{
		{"writes", `s.setContentType('text/plain'); s.write('a'); await new Promise((done) => setTimeout(done, 10)); s.write(Buffer.from('b')); s.end('c')`, "abc", "text/plain", "", ""},
		{"objects", `s.write({ a: 1 }); s.end()`, `{"a":1}`, "application/octet-stream", "", ""},
		{"nothing", `s.end()`, "", "application/octet-stream", "", ""},
		{"a pipeline", `await pipeline(Readable.from(['x', 'y']), s)`, "xy", "application/octet-stream", "", ""},
		{"much", `for (let i = 0; i < 48; i++) if (!s.write('z'.repeat(65536))) await once(s, 'drain'); s.end()`, strings.Repeat("z", large), "application/octet-stream", "", ""},
		{"a prelude", `s = awslambda.HttpResponseStream.from(s, { statusCode: 201, cookies: ['a=b'] }); s.write('body'); s.end()`, `{"statusCode":201,"cookies":["a=b"]}` + strings.Repeat("\x00", 8) + "body", "application/vnd.awslambda.http-integration-response", "", ""},
		{"a prelude alone", `s = awslambda.HttpResponseStream.from(s, { statusCode: 204 }); s.end()`, `{"statusCode":204}` + strings.Repeat("\x00", 8), "application/vnd.awslambda.http-integration-response", "", ""},
		{"the context", `s.end(String(c.getRemainingTimeInMillis() > 1000 && c.awsRequestId.length))`, "36", "application/octet-stream", "", ""},
		{"an error before it", `throw new RangeError('before')`, "", "", "RangeError", "before"},
		{"an error in it", `s.write('half'); throw new RangeError('ž within')`, "", "", "RangeError", "ž within"},
		{"an error of its source", `await pipeline(async function* () { yield 'half'; throw new TypeError('source') }, s)`, "", "", "TypeError", "source"},
		{"not ended", `s.write('half')`, "", "", "Error", "Response stream is not finished."},
		{"never settled", `s.write('half'); await new Promise(() => {})`, "", "", "Runtime.NodeJsExit", "The event loop is empty"},
		{"the content type too late", `s.write('a'); s.setContentType('b')`, "", "", "Runtime.InvalidStreamingOperation", "Cannot set content-type, too late."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code := "import { once } from 'node:events'; import { Readable } from 'node:stream'; import { pipeline } from 'node:stream/promises'\n" +
				"export const handler = awslambda.streamifyResponse(async (event, s, c) => { " + c.code + " })"
			w := start(t, "handler.mjs", map[string]string{"handler.mjs": code}, nil)
			for range 2 {
				o := w.invoke(`{}`)
				switch {
				case c.fails != "" && (o.failed == nil || o.failed.Type != c.fails || !strings.HasPrefix(o.failed.Message, c.message)):
					t.Fatalf("%s, not %s: %s; the worker has written:\n%s", o, c.fails, c.message, w.logs())
				case c.fails == "" && (o.answer == nil || string(o.answer.Payload) != c.answer || o.answer.ContentType != c.kind || !o.answer.Streaming):
					t.Fatalf("%s, not %q of %s; the worker has written:\n%s", o, short(c.answer), c.kind, w.logs())
				}
			}
		})
	}
}

func TestNodeStreamOfPlainFunction(t *testing.T) {
	debian.Node(t)
	w := start(t, "handler.cjs", map[string]string{"handler.cjs": "exports.handler = awslambda.streamifyResponse((event, s) => { s.end('x') })"}, nil)
	if o := w.invoke(`{}`); o.failed == nil || o.failed.Message != "Streaming does not support non-async handlers." {
		t.Error(o)
	}
}
