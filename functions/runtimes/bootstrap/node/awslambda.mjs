// The global awslambda, by which a function asks for response streaming.

export const mode = Symbol.for('aws.lambda.runtime.handler.streaming');
export const highWaterMark = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

class HttpResponseStream {
  // from puts status, headers and cookies in front of what is written.
  static from(stream, prelude) {
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    stream._onBeforeFirstWrite = (write) => {
      write(JSON.stringify(prelude));
      write(new Uint8Array(8));
    };
    return stream;
  }
}

// awslambda is the global of that name.
export const awslambda = {
  streamifyResponse(handler, options) {
    handler[mode] = 'response';
    handler[highWaterMark] = options?.highWaterMark;
    return handler;
  },
  HttpResponseStream,
};
