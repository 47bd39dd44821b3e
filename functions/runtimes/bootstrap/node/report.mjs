// Errors and logs, in the service's own forms.

import { format, inspect, types } from 'node:util';

const asJSON = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
const levels = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

// current is the invocation under way: its id, for the lines of the log too, and
// the headers that go with its answer.
export const current = { requestId: undefined, headers: {} };

// patchConsole makes the console write "time, request, level, text", or JSON,
// of the levels that are wanted.
export function patchConsole() {
  const least = levels.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase());
  const write = asJSON ? jsonLine : textLine;
  levels.forEach((level, i) => {
    console[level.toLowerCase()] = i < least ? () => {} : (...args) => void process.stdout.write(write(level, args));
  });
  console.log = console.info;
}

function textLine(level, args) {
  return `${new Date().toISOString()}\t${current.requestId}\t${level}\t${format(...args)}\n`;
}

function jsonLine(level, args) {
  const entry = { timestamp: new Date().toISOString(), level, requestId: current.requestId };
  const error = args.length > 1 && args.find((arg) => arg instanceof Error);
  if (error) Object.assign(entry, fieldsOf(error));
  try {
    entry.message = args.length === 1 ? args[0] : format(...args);
    return JSON.stringify(entry, (_, value) => (value instanceof Error ? fieldsOf(value) : value)) + '\n';
  } catch {
    return JSON.stringify({ ...entry, message: format(...args) }) + '\n';
  }
}

function fieldsOf(error) {
  return { errorType: error.constructor?.name ?? 'UnknownError', errorMessage: error.message, stackTrace: String(error.stack).split('\n') };
}

// logError writes an error under a title.
export function logError(title, error) {
  if (asJSON) {
    console.error(error instanceof Error ? error : new Error(describe(error).errorMessage));
    return;
  }
  const { errorType, errorMessage, trace } = describe(error);
  let text = JSON.stringify({ errorType, errorMessage, stack: trace });
  try {
    if (error instanceof Error) text = JSON.stringify({ errorType, errorMessage, code: error.code, ...error, stack: trace });
  } catch {
    // Its own fields cannot be written.
  }
  console.error(title, '\t' + text);
}

// describe makes the service's fields of whatever was thrown.
export function describe(error) {
  try {
    if (types.isNativeError(error) || isLikeError(error)) {
      return { errorType: error.name, errorMessage: error.message, trace: String(error.stack).split('\n') };
    }
    return { errorType: typeof error, errorMessage: typeof error === 'object' ? inspect(error) : String(error), trace: [] };
  } catch {
    return { errorType: 'handled', errorMessage: 'the function has failed with a value that cannot be read', trace: [] };
  }
}

function isLikeError(error) {
  return [error?.name, error?.message, error?.stack].every((part) => part && typeof part === 'string');
}

// runtimeError makes an error of the runtime's own, with the place of its cause.
export function runtimeError(type, message, cause) {
  const error = new Error(message);
  error.name = `Runtime.${type}`;
  const frames = String(cause?.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  error.stack = [`${error.name}: ${message}`, ...frames].join('\n');
  return error;
}

// errorHeaders are those of a request that tells of an error.
export function errorHeaders(fields) {
  const type = /^[\w.:$-]{1,256}$/.test(fields.errorType) ? fields.errorType : 'Unhandled';
  return { 'Content-Type': 'application/json', 'Lambda-Runtime-Function-Error-Type': type };
}
