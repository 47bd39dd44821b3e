// Response streaming, for handlers made by awslambda.streamifyResponse.

import http from 'node:http';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { api, base } from './connection.mjs';
import { highWaterMark } from './awslambda.mjs';
import { current, describe, runtimeError } from './report.mjs';

const errorType = 'Lambda-Runtime-Function-Error-Type';
const errorBody = 'Lambda-Runtime-Function-Error-Body';

// A ResponseStream opens its request with the first write, so that an error
// before it can be told like any other.
class ResponseStream extends Writable {
  #path;
  #request;
  #answered;
  #ended = false;
  #contentType = 'application/octet-stream';

  constructor(requestId, highWaterMark) {
    super({ highWaterMark });
    this.#path = `${base}/invocation/${requestId}/response`;
  }

  // opened says whether the answer has begun.
  get opened() {
    return this.#request !== undefined;
  }

  setContentType(contentType) {
    if (this.opened) throw runtimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    this.#contentType = contentType;
  }

  write(chunk, ...rest) {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) chunk = JSON.stringify(chunk);
    return super.write(chunk, ...rest);
  }

  _write(chunk, encoding, callback) {
    this.#open().write(chunk, encoding, callback);
  }

  _final(callback) {
    this.#open().end();
    this.#wait();
    this.#answered.then(() => callback(), callback);
  }

  // A stream that is destroyed with an error, by a pipeline for example, tells
  // of it at its end.
  _destroy(error, callback) {
    if (error && this.opened) this.#fail(error);
    callback(error);
  }

  #fail(error) {
    const fields = describe(error);
    this.#request.addTrailers({ [errorType]: fields.errorType, [errorBody]: Buffer.from(JSON.stringify(fields)).toString('base64') });
    this.#request.end();
    this.#wait();
  }

  // wait keeps the event loop running for the answer of sluice. Before that, the
  // handler's own work decides when the loop is empty.
  #wait() {
    this.#ended = true;
    this.#request.socket?.ref();
  }

  // ended resolves when sluice has answered, or has gone.
  ended() {
    return this.#answered.catch(() => {});
  }

  #open() {
    if (this.#request) return this.#request;
    const [host, port] = api.split(':');
    const headers = { 'Lambda-Runtime-Function-Response-Mode': 'streaming', 'Content-Type': this.#contentType, Trailer: `${errorType}, ${errorBody}`, 'Transfer-Encoding': 'chunked', ...current.headers };
    this.#request = http.request({ host, port, path: this.#path, method: 'POST', headers, agent: false });
    this.#answered = new Promise((resolve, reject) => {
      this.#request.on('response', (answer) => answer.resume().on('close', resolve));
      this.#request.on('error', reject);
    });
    this.#answered.catch(() => {});
    this.#request.on('socket', (socket) => this.#ended || socket.unref());
    this._onBeforeFirstWrite?.((chunk) => this.#request.write(chunk));
    return this.#request;
  }
}

// stream runs a streaming handler until its answer has ended, or never rejects.
// It throws what went wrong before the answer has begun, and returns what went
// wrong after that, of which the end of the answer tells.
export async function stream(handler, event, context, never) {
  const response = new ResponseStream(context.awsRequestId, handler[highWaterMark]);
  response.on('error', () => {}); // the handler has it too, or may ignore it
  try {
    const result = handler(event, response, context);
    if (typeof result?.then !== 'function') throw new Error('Streaming does not support non-async handlers.');
    if ((await Promise.race([result, never])) !== undefined) console.warn('Streaming handlers ignore return values.');
    if (!response.writableEnded) throw new Error('Response stream is not finished.');
    await finished(response);
  } catch (error) {
    if (!response.opened) throw error;
    response.destroy(error);
    await response.ended();
    return error;
  }
}
