// The connection to the Lambda Runtime API: HTTP/1.1 over one socket, since
// node:http costs more per call than all the rest of the worker.

import net from 'node:net';

export const api = process.env.AWS_LAMBDA_RUNTIME_API;
export const base = '/2018-06-01/runtime';

// A Gone is the end of a connection while an answer was awaited.
export class Gone extends Error {}

// A Connection makes one request at a time, and keeps its socket. It keeps the
// event loop running only while a request is under way, so that the handler's
// own work decides when the loop is empty.
export class Connection {
  #socket;
  #waiting; // {resolve, reject, answer} of the request under way

  // request resolves with an Answer, or rejects with a Gone.
  request(method, path, headers, body) {
    const socket = this.#open();
    let head = `${method} ${base}${path} HTTP/1.1\r\nHost: ${api}\r\n`;
    for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
    if (body !== undefined) head += `Content-Length: ${Buffer.byteLength(body)}\r\n`;
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject, answer: new Answer() };
      socket.ref();
      socket.write(body !== undefined && body.length < 16384 ? `${head}\r\n${body}` : `${head}\r\n`);
      if (body?.length >= 16384) socket.write(body);
    });
  }

  #open() {
    if (this.#socket) return this.#socket;
    const colon = api.lastIndexOf(':');
    const socket = net.connect({ host: api.slice(0, colon), port: Number(api.slice(colon + 1)), noDelay: true });
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => {}); // close follows
    socket.on('close', () => this.#socket === socket && this.#end());
    this.#socket = socket;
    return socket;
  }

  #read(chunk) {
    const waiting = this.#waiting;
    if (!waiting?.answer.add(chunk)) return;
    this.#waiting = undefined;
    this.#socket.unref();
    if (waiting.answer.headers.connection === 'close') {
      this.#socket.destroy();
      this.#socket = undefined;
    }
    waiting.resolve(waiting.answer);
  }

  #end() {
    this.#socket = undefined;
    this.#waiting?.reject(new Gone('sluice has closed the connection'));
    this.#waiting = undefined;
  }
}

// An Answer is read piece by piece. Its body is as long as Content-Length says,
// or chunked.
class Answer {
  status = 0;
  headers = {}; // by names in lower case
  #chunks = [];
  #size = 0;
  #length = -1; // of the body; -1 while the head is not whole

  // add takes the next piece, and says whether the answer is whole.
  add(chunk) {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#length < 0 && !this.#head()) return false;
    if (this.headers['transfer-encoding'] === 'chunked') return this.#unchunk();
    return this.#size >= this.#length;
  }

  get body() {
    return Buffer.concat(this.#chunks);
  }

  #head() {
    const all = this.#join();
    const end = all.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const [first, ...lines] = all.toString('latin1', 0, end).split('\r\n');
    this.status = Number(first.split(' ')[1]);
    for (const line of lines) {
      const colon = line.indexOf(':');
      this.headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    this.#put(all.subarray(end + 4));
    this.#length = Number(this.headers['content-length'] ?? 0);
    return true;
  }

  #unchunk() {
    const all = this.#join();
    const parts = [];
    for (let at = 0; ; ) {
      const end = all.indexOf('\r\n', at);
      const size = parseInt(all.toString('latin1', at, Math.max(at, end)), 16);
      if (end < 0 || end + 2 + size + 2 > all.length) return false;
      if (size === 0) {
        this.#chunks = parts;
        return true;
      }
      parts.push(all.subarray(end + 2, end + 2 + size));
      at = end + 2 + size + 2;
    }
  }

  #join() {
    if (this.#chunks.length > 1) this.#put(Buffer.concat(this.#chunks));
    return this.#chunks[0];
  }

  #put(buffer) {
    this.#chunks = [buffer];
    this.#size = buffer.length;
  }
}
