// The worker of a Node function, for Node 18 and newer, without dependencies: it
// loads the module and serves the Lambda Runtime API, one invocation after the
// other. sluice carries it in itself.
//
//   node main.mjs FILE EXPORT
//
// Exit codes: 128 after an unhandled rejection, 129 after an uncaught exception
// or an error while loading, as the service's own client has them; 0 when sluice
// has gone.

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { awslambda, mode } from './awslambda.mjs';
import { Connection, Gone } from './connection.mjs';
import { current, describe, errorHeaders, logError, patchConsole, runtimeError } from './report.mjs';

const env = process.env;
const connection = new Connection();

// ---- Loading ----

async function load(file, path) {
  const module = await importFile(file);
  const found = path.split('.').reduce((object, key) => object?.[key], module);
  if (found === undefined || found === null) throw runtimeError('HandlerNotFound', `${env._HANDLER} is undefined or not exported`);
  if (typeof found !== 'function') throw runtimeError('HandlerNotFound', `${env._HANDLER} is not a function`);
  return found;
}

async function importFile(file) {
  try {
    const module = await import(pathToFileURL(file));
    // Of CommonJS, import names only what it can see without running it.
    return createRequire(file).cache[file] ? module.default : module;
  } catch (error) {
    if (error instanceof SyntaxError) throw syntaxError(file, error);
    if (['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'].includes(error?.code)) throw runtimeError('ImportModuleError', String(error), error);
    throw error;
  }
}

// syntaxError puts the place first, which Node says of CommonJS modules only,
// in front of the message; `node --check` says it of others too.
function syntaxError(file, error) {
  let [place, ...found] = String(error.stack).split('SyntaxError:');
  if (place.trim() === '' || found.length === 0) {
    const checked = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', timeout: 5000 });
    [place, ...found] = String(checked.stderr ?? '').split('SyntaxError:');
  }
  const wrapped = runtimeError('UserCodeSyntaxError', String(error), error);
  if (found.length > 0 && place.trim() !== '') wrapped.stack = `${wrapped.name}: ${error}\n${place.trimEnd()}`;
  return wrapped;
}

// ---- Invocations ----

// emptied is called when the event loop has nothing left to do.
let emptied;
process.on('beforeExit', () => {
  const call = emptied;
  emptied = undefined;
  call?.();
});

const fixed = {
  functionName: env.AWS_LAMBDA_FUNCTION_NAME,
  functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
  memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
  logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
};

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    callbackWaitsForEmptyEventLoop: true,
    ...fixed,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: current.requestId,
    clientContext: fromHeader(headers['lambda-runtime-client-context'], 'ClientContext'),
    identity: fromHeader(headers['lambda-runtime-cognito-identity'], 'CognitoIdentity'),
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

function fromHeader(text, name) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(text, 'latin1'));
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error}`);
  }
}

// settle runs the handler until it has a result: by its promise, by the
// callback, or by the methods of the context. The first one counts. A callback
// without an error waits until the event loop is empty, unless the context says
// otherwise; a handler that leaves nothing to wait for has the result null.
function settle(handler, event, context) {
  return new Promise((resolve, reject) => {
    const fail = (error) => reject(error ?? 'handled');
    const done = (error, result) => ((error ?? null) === null ? resolve(result) : reject(error));
    let called = false;
    const callback = (error, result) => {
      if (called) return;
      called = true;
      if ((error ?? null) === null && context.callbackWaitsForEmptyEventLoop) emptied = () => resolve(result);
      else done(error, result);
    };
    Object.assign(context, { done, fail, succeed: resolve });
    emptied = () => (isAsync(handler) ? reject(unsettled()) : resolve(null));
    const result = handler(event, context, callback);
    if (typeof result?.then === 'function') result.then(resolve, fail);
  });
}

function isAsync(handler) {
  return handler.constructor?.name === 'AsyncFunction';
}

function unsettled() {
  return runtimeError('NodeJsExit', 'The event loop is empty, but the promise of the function was never settled.');
}

// buffered runs a handler whose answer is sent as a whole.
async function buffered(handler, event, context) {
  const result = toJSON(await settle(handler, event, context));
  await post(`/invocation/${current.requestId}/response`, { 'Content-Type': 'application/json', ...current.headers }, result);
}

function toJSON(result) {
  try {
    return JSON.stringify(result) ?? 'null';
  } catch (error) {
    throw new Error(`Unable to stringify response body: ${error.message}`, { cause: error });
  }
}

// streamed runs a handler made by awslambda.streamifyResponse.
async function streamed(handler, event, context) {
  const { stream } = await import('./stream.mjs');
  const never = new Promise((_, reject) => {
    emptied = () => reject(unsettled());
  });
  never.catch(() => {}); // when nobody waits for it any more
  const failed = await stream(handler, event, context, never);
  if (failed) logError('Invoke Error', failed);
}

async function serve(handler) {
  const run = handler[mode] === 'response' ? streamed : buffered;
  while (!dying) {
    const next = await connection.request('GET', '/invocation/next', {});
    if (next.status !== 200) throw new Error(`The runtime API has answered with status ${next.status}: ${next.body}`);
    current.requestId = next.headers['lambda-runtime-aws-request-id'];
    const id = next.headers['lambda-runtime-invocation-id'];
    current.headers = id === undefined ? {} : { 'Lambda-Runtime-Invocation-Id': id };
    traceWith(next.headers['lambda-runtime-trace-id']);
    await once(run, handler, next);
    current.requestId = undefined;
    current.headers = {};
  }
}

// once runs one invocation, and tells sluice what came of it.
async function once(run, handler, next) {
  try {
    await run(handler, JSON.parse(next.body), contextOf(next.headers));
  } catch (error) {
    logError('Invoke Error', error);
    await postError(connection, `/invocation/${current.requestId}/error`, error);
  } finally {
    emptied = undefined;
  }
}

function traceWith(id) {
  if (id === env._X_AMZN_TRACE_ID) return;
  if (id === undefined) delete env._X_AMZN_TRACE_ID;
  else env._X_AMZN_TRACE_ID = id;
}

// post makes a request whose answer decides nothing: that something was too
// large is known where it was refused, and that sluice has gone is seen by the
// next request.
async function post(path, headers, body, over = connection) {
  try {
    await over.request('POST', path, headers, body);
  } catch (error) {
    if (!(error instanceof Gone)) throw error;
  }
}

function postError(over, path, error) {
  const fields = describe(error);
  return post(path, { ...errorHeaders(fields), ...current.headers }, JSON.stringify(fields), over);
}

// ---- The process ----

let initialized = false;
let dying = false;

// die tells of an error after which the process cannot go on.
async function die(code, title, error) {
  if (dying) return;
  dying = true;
  emptied = undefined;
  logError(title, error);
  // A connection of its own, since a request may be under way.
  if (!initialized) await postError(new Connection(), '/init/error', error);
  else if (current.requestId) await postError(new Connection(), `/invocation/${current.requestId}/error`, error);
  process.exit(code);
}

function unhandled(reason) {
  return runtimeError('UnhandledPromiseRejection', reason instanceof Error ? String(reason) : describe(reason).errorMessage, reason);
}

async function main(file, path) {
  patchConsole();
  process.on('uncaughtException', (error) => die(129, 'Uncaught Exception', error));
  process.on('unhandledRejection', (reason) => die(128, 'Unhandled Promise Rejection', unhandled(reason)));
  if (env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA !== '1') globalThis.awslambda = awslambda;
  emptied = () => die(129, 'Uncaught Exception', runtimeError('NodeJsExit', 'The event loop is empty, but the module was never loaded: one of its awaits was never settled.'));
  const handler = await load(file, path);
  emptied = undefined;
  initialized = true;
  await serve(handler);
}

main(process.argv[2], process.argv[3]).catch((error) => (error instanceof Gone ? process.exit(0) : die(129, 'Uncaught Exception', error)));
