//go:build integration

package runtimes_test

import (
	"strings"
	"testing"

	"sluice/integration/debian"
)

// A nodeCase is one module, which is called with {"name":"a"}.
type nodeCase struct {
	name    string
	file    string            // handler.mjs
	handler string            // the file
	code    string            // of the file
	more    map[string]string // other files
	env     map[string]string
	want    string // the answer
	fails   string // or the errorType,
	message string // and the beginning of errorMessage,
	exit    int    // and the code the worker ends with, or 0 if it goes on
	logs    string // what is in the log
}

func nodeAnswers() []nodeCase {
	return []nodeCase{
		{name: "async", code: `export const handler = async (event) => ({ hello: event.name })`, want: `{"hello":"a"}`},
		{name: "an await at the top", code: `const x = await Promise.resolve(7); export const handler = async () => x`, want: `7`},
		{name: "a promise of a plain function", code: `export const handler = (event) => Promise.resolve(event.name)`, want: `"a"`},
		{name: "nothing", code: `export const handler = async () => {}`, want: `null`},
		{name: "a plain function without callback", code: `export const handler = () => 7`, want: `null`},
		{name: "callback", code: `export const handler = (event, context, callback) => { setTimeout(() => callback(null, event.name), 5) }`, want: `"a"`},
		{name: "callback waits for the loop", code: `export const handler = (event, context, callback) => { callback(null, 'early'); setTimeout(() => console.log('late'), 20) }`, want: `"early"`, logs: "\tINFO\tlate\n"},
		{name: "callback waits no longer", code: `export const handler = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1e6); callback(null, 1) }`, want: `1`},
		{name: "the first callback counts", code: `export const handler = (event, context, callback) => { callback(null, 1); callback(null, 2); callback('no') }`, want: `1`},
		{name: "succeed", code: `export const handler = (event, context) => context.succeed(event)`, want: `{"name":"a"}`},
		{name: "done", code: `export const handler = (event, context) => { setInterval(() => {}, 1e6); context.done(null, 'x') }`, want: `"x"`},
		{name: "a function in an object", handler: "handler.api.get", code: `export const api = { get: async () => 'got' }`, want: `"got"`},
		{name: "AWS's form in a folder", file: "src/index.mjs", handler: "src/index.run", code: `export const run = async () => process.env._HANDLER`, want: `"src/index.run"`},
		{name: "CommonJS", file: "handler.cjs", code: `exports.handler = async (e) => e.name`, want: `"a"`},
		{name: "CommonJS by default", file: "handler.js", code: `const os = require('os'); module.exports = Object.assign({}, { handler: async () => typeof os.tmpdir() })`, want: `"string"`},
		{name: "a module by package.json", file: "handler.js", more: map[string]string{"package.json": `{"type":"module"}`}, code: `import os from 'os'; export const handler = async () => typeof os.tmpdir()`, want: `"string"`},
		{name: "a file beside it", code: `import { x } from './lib/x.mjs'; export const handler = async () => x`, more: map[string]string{"lib/x.mjs": `export const x = 5`}, want: `5`},
		{name: "a package", code: `import x from 'x'; export const handler = async () => x`, more: map[string]string{"node_modules/x/index.js": `module.exports = 6`}, want: `6`},
		{name: "a name with dots", file: "a.b.mjs", code: `export const handler = async () => 1`, want: `1`},
		{name: "unicode", code: `export const handler = async () => 'žluť 😀 \u2028'`, want: "\"žluť 😀 \u2028\""},
		{name: "the heap is bounded", code: `import v8 from 'v8'; export const handler = async () => v8.getHeapStatistics().heap_size_limit < 200e6`, want: `true`},
		{name: "context", code: contextOfNode, want: `{"functionName":"thumbnail","functionVersion":"$LATEST","memoryLimitInMB":"128","logGroupName":"/aws/lambda/thumbnail","logStreamName":"2026/01/02/[$LATEST]0123","invokedFunctionArn":"` + arn + `","callbackWaitsForEmptyEventLoop":true,"remaining":true,"id":true}`},
		{name: "logs", code: `console.log('loading'); export const handler = async () => { console.log('a %d', 1, { b: [2] }); console.error('two\nlines'); console.debug('d') }`, want: `null`, logs: "\tundefined\tINFO\tloading\n|\tINFO\ta 1 { b: [ 2 ] }\n|\tERROR\ttwo\nlines\n|\tDEBUG\td\n"},
		{name: "logs from a level on", env: map[string]string{"AWS_LAMBDA_LOG_LEVEL": "WARN"}, code: `export const handler = async () => { console.log('low'); console.warn('high') }`, want: `null`, logs: "\tWARN\thigh\n|!low"},
		{name: "logs as JSON", env: map[string]string{"AWS_LAMBDA_LOG_FORMAT": "JSON"}, code: `export const handler = async () => { console.log({ a: 1 }); console.log('x', new TypeError('y')) }`, want: `null`, logs: `"level":"INFO",|"message":{"a":1}}|"errorType":"TypeError","errorMessage":"y"`},
	}
}

const contextOfNode = `export const handler = async (event, c) => ({
  functionName: c.functionName, functionVersion: c.functionVersion, memoryLimitInMB: c.memoryLimitInMB, logGroupName: c.logGroupName, logStreamName: c.logStreamName,
  invokedFunctionArn: c.invokedFunctionArn, callbackWaitsForEmptyEventLoop: c.callbackWaitsForEmptyEventLoop, clientContext: c.clientContext, identity: c.identity,
  remaining: c.getRemainingTimeInMillis() > 5000 && c.getRemainingTimeInMillis() <= 10000, id: /^[0-9a-f-]{36}$/.test(c.awsRequestId),
})`

func nodeErrors() []nodeCase {
	return []nodeCase{
		{name: "thrown", code: `export const handler = async () => { throw new RangeError('bad range') }`, fails: "RangeError", message: "bad range", logs: "\tERROR\tInvoke Error \t{\"errorType\":\"RangeError\",\"errorMessage\":\"bad range\",\"stack\":[\"RangeError: bad range\""},
		{name: "thrown at once", code: `export const handler = () => { throw new Error('at once') }`, fails: "Error", message: "at once"},
		{name: "an error of its own", code: `class Mine extends Error { constructor(m) { super(m); this.name = 'Mine' } }; export const handler = async () => { throw new Mine('m') }`, fails: "Mine", message: "m"},
		{name: "a name that no header can hold", code: `export const handler = async () => { const e = new Error('m'); e.name = 'a\r\nb: ž'; throw e }`, fails: "a\r\nb: ž", message: "m"},
		{name: "a text thrown", code: `export const handler = async () => { throw 'only a text' }`, fails: "string", message: "only a text"},
		{name: "an object thrown", code: `export const handler = async () => { throw { code: 7 } }`, fails: "object", message: "{ code: 7 }"},
		{name: "nothing thrown", code: `export const handler = async () => { throw undefined }`, fails: "string", message: "handled"},
		{name: "what cannot be read", code: `export const handler = async () => { throw { get name() { throw 1 } } }`, fails: "handled", message: "the function has failed with a value"},
		{name: "callback", code: `export const handler = (event, context, callback) => callback(new Error('called'))`, fails: "Error", message: "called"},
		{name: "fail", code: `export const handler = (event, context) => context.fail(new Error('failed'))`, fails: "Error", message: "failed"},
		{name: "circular", code: `export const handler = async () => { const a = {}; a.a = a; return a }`, fails: "Error", message: "Unable to stringify response body: Converting circular"},
		{name: "a big integer", code: `export const handler = async () => 1n`, fails: "Error", message: "Unable to stringify response body: Do not know how to serialize a BigInt"},
		{name: "a promise that is never settled", code: `export const handler = async () => new Promise(() => {})`, fails: "Runtime.NodeJsExit", message: "The event loop is empty"},
		{name: "uncaught", code: `export const handler = async () => { setTimeout(() => { throw new Error('uncaught') }); await new Promise((done) => setTimeout(done, 1e6)) }`, fails: "Error", message: "uncaught", exit: 129, logs: "\tERROR\tUncaught Exception \t{"},
		{name: "an unhandled rejection", code: `export const handler = async () => { Promise.reject(new Error('left alone')); await new Promise((done) => setTimeout(done, 1e6)) }`, fails: "Runtime.UnhandledPromiseRejection", message: "Error: left alone", exit: 128, logs: "\tERROR\tUnhandled Promise Rejection \t{"},
		{name: "no file", code: `import './missing.mjs'; export const handler = 1`, fails: "Runtime.ImportModuleError", message: "Error [ERR_MODULE_NOT_FOUND]: Cannot find module '", exit: 129},
		{name: "no package", code: `import x from 'nothing-there'; export const handler = x`, fails: "Runtime.ImportModuleError", message: "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'nothing-there'", exit: 129},
		{name: "no package of CommonJS", file: "handler.cjs", code: `require('nothing-there')`, fails: "Runtime.ImportModuleError", message: "Error: Cannot find module 'nothing-there'\nRequire stack:", exit: 129},
		{name: "not exported", code: `const handler = async () => 1`, fails: "Runtime.HandlerNotFound", message: "handler.handler is undefined or not exported", exit: 129},
		{name: "no function", code: `export const handler = 7`, fails: "Runtime.HandlerNotFound", message: "handler.handler is not a function", exit: 129},
		{name: "syntax", code: "export const x = 1\nexport const handler = = 1\n", fails: "Runtime.UserCodeSyntaxError", message: "SyntaxError: Unexpected token '='", exit: 129, logs: "handler.mjs:2\"|export const handler = = 1"},
		{name: "syntax of CommonJS", file: "handler.cjs", code: "let a = 1\nlet b = = 1\n", fails: "Runtime.UserCodeSyntaxError", message: "SyntaxError: Unexpected token '='", exit: 129, logs: "handler.cjs:2\"|let b = = 1"},
		{name: "thrown while loading", code: `throw new TypeError('no settings')`, fails: "TypeError", message: "no settings", exit: 129},
		{name: "a rejection while loading", code: `Promise.reject(new Error('early')); await new Promise((done) => setTimeout(done, 1e6))`, fails: "Runtime.UnhandledPromiseRejection", message: "Error: early", exit: 128},
		{name: "loading never ends", code: `await new Promise(() => {})`, fails: "Runtime.NodeJsExit", message: "The event loop is empty, but the module was never loaded", exit: 129},
	}
}

func TestNode(t *testing.T) {
	debian.Node(t)
	for _, c := range append(nodeAnswers(), nodeErrors()...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.file == "" {
				c.file = "handler.mjs"
			}
			if c.handler == "" {
				c.handler = c.file
			}
			if c.more == nil {
				c.more = map[string]string{}
			}
			c.more[c.file] = c.code
			w := start(t, c.handler, c.more, c.env)
			check(t, w, expected{answer: c.want, fails: c.fails, message: c.message, exit: c.exit, logs: c.logs, trace: `"trace":[`})
		})
	}
}

// expected is what must become of an invocation.
type expected struct {
	answer, fails, message, trace, logs string
	exit                                int
}

func check(t *testing.T, w *worker, want expected) {
	t.Helper()
	o := w.invoke(`{"name":"a"}`)
	switch {
	case want.fails == "" && want.answer == "":
		if !o.exited {
			t.Fatalf("%s, and not the end of the worker", o)
		}
	case want.fails == "" && (o.answer == nil || string(o.answer.Payload) != want.answer):
		t.Fatalf("%s, not %s; the worker has written:\n%s", o, want.answer, w.logs())
	case want.fails != "" && (o.failed == nil || o.failed.Type != want.fails || !strings.HasPrefix(o.failed.Message, want.message)):
		t.Fatalf("%s, not an error %s: %s; the worker has written:\n%s", o, want.fails, want.message, w.logs())
	case want.fails != "" && want.fails != "handled" && !strings.Contains(string(o.failed.Payload), want.trace):
		t.Errorf("no %s in %s", want.trace, o.failed.Payload)
	}
	if want.exit != 0 {
		if code := w.exit(); code != want.exit {
			t.Errorf("the worker has ended with %d, not %d", code, want.exit)
		}
	} else if again := w.invoke(`{"name":"a"}`); again.exited || (again.answer == nil) != (o.answer == nil) {
		t.Errorf("the second invocation: %s; the worker has written:\n%s", again, w.logs())
	}
	checkLogs(t, w, want.logs)
}

// checkLogs looks for the parts, between bars, and with ! in front for none of
// it.
func checkLogs(t *testing.T, w *worker, parts string) {
	t.Helper()
	_ = w.api.Close() // so that the worker ends, and all is read
	w.exit()
	logs := w.logs()
	for part := range strings.SplitSeq(parts, "|") {
		unwanted, not := strings.CutPrefix(part, "!")
		if part != "" && strings.Contains(logs, unwanted) == not {
			t.Errorf("looked for %q in the log:\n%s", part, logs)
		}
	}
}
