//go:build integration

package runtimes_test

import (
	"cmp"
	"maps"
	"testing"

	"sluice/integration/debian"
)

// A pythonCase is one module, which is called with {"name":"a"}.
type pythonCase struct {
	name    string
	file    string            // app.py
	handler string            // the file
	code    string            // of the file
	more    map[string]string // other files
	env     map[string]string
	want    string // the answer
	fails   string // or the errorType,
	message string // and the beginning of errorMessage,
	trace   string // and a part of its JSON
	exit    int    // and the code the worker ends with, or 0 if it goes on
	logs    string // what is in the log
}

func pythonAnswers() []pythonCase {
	return []pythonCase{
		{name: "handler", code: "def handler(event, context):\n    return {'hello': event['name']}", want: `{"hello": "a"}`},
		{name: "lambda_handler", code: "def lambda_handler(event, context):\n    return [1, 2.5, None, True]", want: `[1, 2.5, null, true]`},
		{name: "the handler goes first", code: "def lambda_handler(event, context):\n    return 1\nhandler = lambda event, context: 2", want: `2`},
		{name: "nothing", code: "def handler(event, context): pass", want: `null`},
		{name: "an object that can be called", code: "class Api:\n    def __call__(self, event, context):\n        return 'called'\nhandler = Api()", want: `"called"`},
		{name: "AWS's form in a folder", file: "src/api/app.py", handler: "src/api/app.run", code: "import beside\ndef run(event, context):\n    import os\n    return [__name__, beside.x, os.environ['_HANDLER']]", more: map[string]string{"src/api/beside.py": "x = 3"}, want: `["src.api.app", 3, "src/api/app.run"]`},
		{name: "dots are folders", file: "src/app.py", handler: "src.app.run", code: "def run(event, context): return __name__", want: `"src.app"`},
		{name: "a package", file: "app/__init__.py", handler: "app.run", code: "from .inner import x\ndef run(event, context): return x", more: map[string]string{"app/inner.py": "x = 4"}, want: `4`},
		{name: "a file beside it", code: "from lib.x import x\ndef handler(event, context): return x", more: map[string]string{"lib/x.py": "x = 5"}, want: `5`},
		{name: "its folder is the working one", code: "def handler(event, context): return open('t.txt', encoding='utf-8').read()", more: map[string]string{"t.txt": "žluť"}, want: `"žluť"`},
		{name: "unicode", code: "def handler(event, context): return 'žluť 😀'", want: `"žluť 😀"`},
		{name: "half a character", code: `def handler(event, context): return '\ud83d'`, want: `"\ud83d"`},
		{name: "decimals", code: "from decimal import Decimal\ndef handler(event, context): return [Decimal('7'), Decimal('1.25'), Decimal('1e3')]", want: `[7, 1.25, 1000]`},
		{name: "bytes", code: "def handler(event, context): return b'{}'", want: `{}`},
		{name: "context", code: contextOfPython, want: `["thumbnail", "$LATEST", "128", "/aws/lambda/thumbnail", "2026/01/02/[$LATEST]0123", "` + arn + `", true, null, 36]`},
		{name: "print and logging", code: logsOfPython, want: `null`, logs: "loading\n|a b\n|no end of line|[WARNING]\t|Z\t\tearly\n|\twarned 1\n|!informed|ValueError: inner\n|on stderr\n"},
		{name: "a level of the function's own", code: "import logging\nlogging.getLogger().setLevel('INFO')\nlogging.basicConfig(level='DEBUG')\ndef handler(event, context):\n    logging.info('informed')\n    logging.debug('debugged')", want: `null`, logs: "[INFO]\t|\tinformed\n|!debugged"},
		{name: "a level from outside", env: map[string]string{"AWS_LAMBDA_LOG_LEVEL": "debug"}, code: "import logging\ndef handler(event, context): logging.debug('debugged')", want: `null`, logs: "\tdebugged\n"},
		{name: "logs as JSON", env: map[string]string{"AWS_LAMBDA_LOG_FORMAT": "JSON"}, code: "import logging\ndef handler(event, context): logging.warning('w %d', 1, extra={'order': 7})", want: `null`, logs: `"level": "WARNING", "message": "w 1", "logger": "root", "requestId": "|"order": 7}`},
	}
}

const contextOfPython = `def handler(event, c):
    left = c.get_remaining_time_in_millis()
    return [c.function_name, c.function_version, c.memory_limit_in_mb, c.log_group_name, c.log_stream_name, c.invoked_function_arn, 5000 < left <= 10000, c.identity.cognito_identity_id, len(c.aws_request_id)]
`

const logsOfPython = `import logging, sys
print('loading')
logging.warning('early')
def handler(event, context):
    print('a', 'b')
    print('no end of line', end='')
    logging.getLogger('mine').warning('warned %d', 1)
    logging.info('informed')
    try:
        raise ValueError('inner')
    except ValueError:
        logging.exception('caught')
    print('on stderr', file=sys.stderr)
`

func pythonErrors() []pythonCase {
	return []pythonCase{
		{name: "raised", code: "def handler(event, context):\n    inner()\ndef inner():\n    raise ValueError('bad')", fails: "ValueError", message: "bad", trace: `"stackTrace": ["  File \"`, logs: "[ERROR] ValueError: bad\nTraceback (most recent call last):\n  File \"|, line 4, in inner\n    raise ValueError('bad')\n|!main.py"},
		{name: "a KeyError", code: "def handler(event, context): return event['x']", fails: "KeyError", message: "'x'", trace: `"requestId": "`},
		{name: "an error without a text", code: "class E(Exception):\n    def __str__(self): raise Exception\ndef handler(event, context): raise E()", fails: "E", message: "the error has no text"},
		{name: "a name that no header can hold", code: "E = type('Ž', (Exception,), {})\ndef handler(event, context): raise E('x')", fails: "Ž", message: "x"},
		{name: "what is no JSON", code: "def handler(event, context): return {1, 2}", fails: "Runtime.MarshalError", message: "Unable to marshal response: Object of type set is not JSON serializable"},
		{name: "not a number", code: "def handler(event, context): return float('nan')", fails: "Runtime.MarshalError", message: "Unable to marshal response: Out of range float values"},
		{name: "a coroutine", code: "async def run(): return 1\ndef handler(event, context): return run()", fails: "Runtime.MarshalError", message: "Unable to marshal response: the function has returned a coroutine, which has not run"},
		{name: "async", code: "async def handler(event, context): return 1", fails: "Runtime.HandlerNotFound", message: "Handler 'handler' is an async function", exit: 1},
		{name: "a generator", code: "def handler(event, context): yield 1", fails: "Runtime.HandlerNotFound", message: "Handler 'handler' is a generator", exit: 1},
		{name: "exit", code: "import sys\ndef handler(event, context): print('bye'); sys.exit(3)", exit: 3, logs: "bye\n"},
		{name: "exit while loading", code: "import sys\nsys.exit('no settings')", exit: 1, logs: "no settings\n"},
		{name: "a thread that goes on", code: "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\nraise RuntimeError('loading')", fails: "RuntimeError", message: "loading", trace: `app.py`, exit: 1},
		{name: "no module", code: "import nothing_there", fails: "Runtime.ImportModuleError", message: "Unable to import module 'app': No module named 'nothing_there'", exit: 1},
		{name: "no name in a module", code: "from os import nothing_there", fails: "Runtime.ImportModuleError", message: "Unable to import module 'app': cannot import name 'nothing_there' from 'os'", exit: 1},
		{name: "no function", code: "def other(event, context): pass", fails: "Runtime.HandlerNotFound", message: "Handler 'handler' missing on module 'app'", exit: 1},
		{name: "not callable", code: "handler = 7", fails: "Runtime.HandlerNotFound", message: "Handler 'handler' on module 'app' is not callable", exit: 1},
		{name: "syntax", code: "x = 1\ndef handler(event, context)\n", fails: "Runtime.UserCodeSyntaxError", message: "Syntax error in module 'app': ", trace: `app.py\" Line 2\n    def handler(event, context)`, exit: 1},
		{name: "a name of Python's own", file: "json.py", code: "def handler(event, context): return 1", fails: "Runtime.BuiltInModuleConflict", message: "Cannot use built-in module json as a handler module: rename the file", exit: 1},
	}
}

func TestPython(t *testing.T) {
	debian.Python(t)
	for _, c := range append(pythonAnswers(), pythonErrors()...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.file = cmp.Or(c.file, "app.py")
			files := map[string]string{c.file: c.code + "\n"}
			maps.Copy(files, c.more)
			w := start(t, cmp.Or(c.handler, c.file), files, c.env)
			check(t, w, expected{answer: c.want, fails: c.fails, message: c.message, exit: c.exit, logs: c.logs, trace: cmp.Or(c.trace, `"stackTrace": [`)})
		})
	}
}
