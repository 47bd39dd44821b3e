"""The worker of a Python function, for Python 3.9 and newer, without dependencies.

It loads the module and serves the Lambda Runtime API, one invocation after the
other. sluice carries it in itself.

    python3 main.py MODULE FUNCTION[,FUNCTION] [FOLDER ...]

Of several functions it is the first one that there is. The folders are where
modules are looked for, the first one first. Exit codes: 1
after an error while loading; 0 when sluice has gone; what sys.exit says when the
function calls it.
"""

import importlib
import json
import logging
import os
import re
import socket
import sys
import time
import traceback

BASE = "/2018-06-01/runtime"

CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR = 0x20, 0x80, 0x200


# ---- The connection ----


class Gone(Exception):
    """sluice has closed the connection."""


class Connection:
    """One request at a time over one socket that is kept.

    http.client would cost more per call, and at the start, than all the rest.
    """

    def __init__(self, api):
        self.api = api
        self.socket = None
        self.rest = b""

    def request(self, method, path, headers=(), body=None):
        """Return the status, the headers by names in lower case, and the body."""
        lines = [f"{method} {BASE}{path} HTTP/1.1", f"Host: {self.api}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        try:
            self._open().sendall(head + (body or b""))
            return self._answer()
        except (OSError, Gone) as error:
            self._close()
            raise Gone(str(error)) from None

    def _open(self):
        if self.socket is None:
            host, port = self.api.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.rest = b""
        return self.socket

    def _close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def _answer(self):
        head = self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = self._chunks()
        else:
            body = self._exactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self._close()
        return int(first.split(" ")[1]), headers, body

    def _chunks(self):
        parts = []
        while True:
            size = int(self._until(b"\r\n"), 16)
            part = self._exactly(size)
            self._until(b"\r\n")
            if size == 0:
                return b"".join(parts)
            parts.append(part)

    def _until(self, end):
        while end not in self.rest:
            self.rest += self._receive(65536)
        found, _, self.rest = self.rest.partition(end)
        return found

    def _exactly(self, size):
        parts, left = [self.rest[:size]], size - len(self.rest)
        self.rest = self.rest[size:]
        while left > 0:
            parts.append(self._receive(min(left, 1 << 20)))
            left -= len(parts[-1])
        return b"".join(parts)

    def _receive(self, size):
        data = self.socket.recv(size)
        if not data:
            raise Gone()
        return data


# ---- Errors ----


class Fault(Exception):
    """An error of the runtime's own."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = "Runtime." + kind
        self.trace = list(trace)


def describe(error, request_id=""):
    """Make the service's fields of an error."""
    if isinstance(error, Fault):
        kind, trace = error.kind, error.trace
    else:
        kind, trace = type(error).__name__, traceback.format_list(frames(error))
    return {"errorMessage": text_of(error), "errorType": kind, "requestId": request_id, "stackTrace": trace}


def text_of(error):
    try:
        return str(error)
    except Exception:
        return "the error has no text: its __str__ fails"


def frames(error):
    """Return the frames of an error from the function's own on."""
    found = traceback.extract_tb(error.__traceback__)
    for i, frame in enumerate(found):
        if frame.filename != __file__ and not frame.filename.startswith("<frozen importlib"):
            if not frame.filename.startswith(os.path.dirname(importlib.__file__)):
                return found[i:]
    return []


def post_error(connection, path, fields, more=()):
    kind = fields["errorType"] if re.fullmatch(r"[\w.]{1,256}", fields["errorType"], re.ASCII) else "Unhandled"
    headers = [("Content-Type", "application/json"), ("Lambda-Runtime-Function-Error-Type", kind), *more]
    connection.request("POST", path, headers, to_json(fields))


# ---- Logs ----


class RequestFilter(logging.Filter):
    """Gives each record the invocation under way."""

    current = ""

    def filter(self, record):
        record.aws_request_id = self.current
        return True


class JSONFormatter(logging.Formatter):
    """One object a line, with what was given as extra."""

    known = set(vars(logging.makeLogRecord({}))) | {"aws_request_id", "message", "asctime", "color_message"}

    def format(self, record):
        entry = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": record.aws_request_id,
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields = describe(record.exc_info[1])
            entry.update({name: fields[name] for name in ("errorType", "errorMessage", "stackTrace")})
        entry.update({name: value for name, value in vars(record).items() if name not in self.known})
        return json.dumps(entry, default=str, ensure_ascii=False)


def as_json():
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def set_up_logs():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    text = logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S")
    handler.setFormatter(JSONFormatter() if as_json() else text)
    handler.addFilter(RequestFilter())
    logging.getLogger().addHandler(handler)
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(*2 * (os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper(),))
    if level in ("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL"):
        logging.getLogger().setLevel(level)


def log_error(fields):
    if as_json():
        entry = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "level": "ERROR", **fields}
        print(json.dumps(entry, ensure_ascii=False))
        return
    lines = [f"[ERROR] {fields['errorType']}: {fields['errorMessage']}"]
    if fields["stackTrace"]:
        lines += ["Traceback (most recent call last):"] + [part.rstrip("\n") for part in fields["stackTrace"]]
    print("\n".join(lines))


def flush():
    sys.stdout.flush()
    sys.stderr.flush()


# ---- Loading ----


def load(module, functions):
    """Return the handler, the first one of the functions that there is."""
    name = module.replace("/", ".")
    if name in sys.modules or name.split(".")[0] in sys.builtin_module_names:
        raise Fault("BuiltInModuleConflict", f"Cannot use built-in module {module} as a handler module: rename the file")
    try:
        loaded = importlib.import_module(name)
    except ImportError as error:
        raise Fault("ImportModuleError", f"Unable to import module '{module}': {error}", traceback.format_list(frames(error))) from None
    except SyntaxError as error:
        place = f'  File "{error.filename}" Line {error.lineno}\n    {error.text or ""}'
        raise Fault("UserCodeSyntaxError", f"Syntax error in module '{module}': {error}", [place]) from None
    for function in functions:
        handler = getattr(loaded, function, None)
        if handler is not None:
            break
    else:
        raise Fault("HandlerNotFound", f"Handler '{functions[0]}' missing on module '{module}'")
    if not callable(handler):
        raise Fault("HandlerNotFound", f"Handler '{function}' on module '{module}' is not callable")
    refuse(handler, function)
    return handler


def refuse(handler, name):
    """Refuse what can never have a result.

    The flags are those of inspect, which takes longer to import than all the
    rest.
    """
    flags = getattr(getattr(handler, "__code__", None), "co_flags", 0)
    if flags & (CO_COROUTINE | CO_ASYNC_GENERATOR):
        raise Fault("HandlerNotFound", f"Handler '{name}' is an async function, which a Python function cannot be: call asyncio.run in a plain one")
    if flags & CO_GENERATOR:
        raise Fault("HandlerNotFound", f"Handler '{name}' is a generator, which has no result to send: return a value instead of using yield")


# ---- Invocations ----


class Fields:
    """Has an attribute for each of the names."""

    def __init__(self, names, values):
        for name in names:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return "(" + ", ".join(f"{name}={value!r}" for name, value in vars(self).items()) + ")"


class Context:
    """What the function is told about the invocation."""

    function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
    function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
    memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
    log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")

    def __init__(self, headers):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self._deadline = int(headers.get("lambda-runtime-deadline-ms", 0))
        self.client_context = client_context(json_header(headers, "lambda-runtime-client-context"))
        identity = json_header(headers, "lambda-runtime-cognito-identity") or {}
        self.identity = Fields(("cognito_identity_id", "cognito_identity_pool_id"), {
            "cognito_identity_id": identity.get("cognitoIdentityId"),
            "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId"),
        })

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return f"LambdaContext(aws_request_id={self.aws_request_id}, function_name={self.function_name}, memory_limit_in_mb={self.memory_limit_in_mb})"


def json_header(headers, name):
    if name not in headers:
        return None
    try:
        return json.loads(headers[name].encode("latin-1"))
    except ValueError as error:
        raise Fault("LambdaContextUnmarshalError", f"Unable to parse {name} JSON: {error}") from None


def client_context(given):
    if not isinstance(given, dict):
        return None
    found = Fields(("custom", "env", "client"), given)
    if isinstance(found.client, dict):
        found.client = Fields(("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"), found.client)
    return found


def to_json(value):
    text = json.dumps(value, default=plain, allow_nan=False, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value, default=plain, allow_nan=False).encode()


def plain(value):
    """Make numbers of decimals, as the service does."""
    decimal = sys.modules.get("decimal")  # if the function uses it
    if decimal is not None and isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    kind = type(value).__name__
    if kind in ("coroutine", "generator", "async_generator"):
        raise TypeError(f"the function has returned a {kind}, which has not run: return a value")
    raise TypeError(f"Object of type {kind} is not JSON serializable")


def marshal(result):
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        return to_json(result), "application/json"
    except Exception as error:
        raise Fault("MarshalError", f"Unable to marshal response: {error}") from None


def unmarshal(headers, body):
    if headers.get("content-type", "application/json") != "application/json":
        return body
    try:
        return json.loads(body)
    except ValueError as error:
        raise Fault("UnmarshalError", f"Unable to unmarshal input: {error}") from None


def invoke(connection, handler, headers, body):
    """Run one invocation, and tell sluice what came of it."""
    request_id = headers["lambda-runtime-aws-request-id"]
    same = [(name, headers[name]) for name in ("lambda-runtime-invocation-id",) if name in headers]
    try:
        result, content_type = marshal(handler(unmarshal(headers, body), Context(headers)))
    except Exception as error:
        fields = describe(error, request_id)
        log_error(fields)
        flush()
        post_error(connection, f"/invocation/{request_id}/error", fields, same)
        return
    flush()
    connection.request("POST", f"/invocation/{request_id}/response", [("Content-Type", content_type), *same], result)


def trace_with(trace_id):
    if trace_id is not None:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)


def serve(connection, handler):
    while True:
        status, headers, body = connection.request("GET", "/invocation/next")
        if status != 200:
            raise RuntimeError(f"The runtime API has answered with status {status}: {body!r}")
        RequestFilter.current = headers["lambda-runtime-aws-request-id"]
        trace_with(headers.get("lambda-runtime-trace-id"))
        try:
            invoke(connection, handler, headers, body)
        except Gone:
            # What was too large, for example, is known where it was refused.
            # Whether sluice has gone, the next request finds out.
            pass
        RequestFilter.current = ""


def main(module, functions, *folders):
    sys.path[0:1] = folders
    connection = Connection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    set_up_logs()
    try:
        handler = load(module, functions.split(","))
    except Exception as error:
        fields = describe(error)
        log_error(fields)
        flush()
        post_error(connection, "/init/error", fields)
        leave(1)
    serve(connection, handler)


def leave(code):
    """End the process, whatever threads the function has left."""
    flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Gone:
        leave(0)
