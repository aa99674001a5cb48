'use strict';
// Answers that a handler writes to a stream, which leave as they are written.

const { write } = require('node:fs');
const { Writable } = require('node:stream');
const { CHANNEL, frameOf, sendError } = require('./channel.cjs');
const { describe, fault } = require('./errors.cjs');

const PIECE = 64 << 10;
const HTTP_TYPE = 'application/vnd.awslambda.http-integration-response';

// send writes a frame in the background and calls back: a slow reader holds up the stream and not the event loop.
function send(buffer, done) {
  write(CHANNEL, buffer, 0, buffer.length, null, (error, n) => {
    if (error) done(error);
    else if (n < buffer.length) send(buffer.subarray(n), done);
    else done();
  });
}

class AnswerStream extends Writable {
  #number;
  #type = 'application/octet-stream';
  #touched = false; // the function has written something
  #begun = false;
  #busy = false;
  #idle = () => {};

  constructor(number, highWaterMark) {
    super({ highWaterMark, emitClose: true });
    this.#number = number;
  }

  setContentType(type) {
    if (this.#touched) throw fault('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    this.#type = String(type);
  }

  write(chunk, ...rest) {
    const data = typeof chunk === 'string' || chunk instanceof Uint8Array ? chunk : JSON.stringify(chunk);
    if (!this.#touched) {
      this.#touched = true;
      this._onBeforeFirstWrite?.((first) => super.write(first));
    }
    return super.write(data, ...rest);
  }

  end(chunk, encoding, done) {
    if (typeof chunk === 'function') return super.end(chunk);
    if (chunk !== undefined && chunk !== null) this.write(chunk, typeof encoding === 'string' ? encoding : undefined);
    return super.end(typeof encoding === 'function' ? encoding : done);
  }

  #begin() {
    if (this.#begun) return [];
    this.#begun = true;
    return [frameOf('S', this.#number, Buffer.from(this.#type.slice(0, 256).replace(/[^\x20-\x7e]/g, '?')))];
  }

  #send(frames, done) {
    this.#busy = true;
    send(Buffer.concat(frames), (error) => {
      this.#busy = false;
      this.#idle();
      done(error);
    });
  }

  _write(chunk, _encoding, done) {
    const frames = this.#begin();
    for (let at = 0; at < chunk.length; at += PIECE) frames.push(frameOf('D', this.#number, chunk.subarray(at, at + PIECE)));
    this.#send(frames, done);
  }

  _final(done) {
    this.#send([...this.#begin(), frameOf('F', this.#number)], done);
  }

  // settle returns when no write is under way.
  settle() {
    return this.#busy ? new Promise((resolve) => { this.#idle = resolve; }) : Promise.resolve();
  }
}

// answerStream returns the stream that answers a call, a promise of its end, and what ends it with an error instead. The
// event loop isn't empty while it is open.
function answerStream(number, highWaterMark) {
  const writable = new AnswerStream(number, highWaterMark);
  const alive = setInterval(() => {}, 1 << 30);
  const done = new Promise((resolve, reject) => {
    writable.once('finish', resolve);
    writable.once('error', reject);
    writable.once('close', () => (writable.writableFinished ? resolve() : reject(new Error('Response stream is not finished.'))));
  });
  done.catch(() => {}).then(() => clearInterval(alive));
  const fail = async (error) => {
    clearInterval(alive);
    writable.on('error', () => {});
    while (writable.writableEnded && !writable.writableFinished && !writable.destroyed) await new Promise((resolve) => { setImmediate(resolve); });
    if (writable.writableFinished) return;
    writable.destroy();
    await writable.settle();
    sendError(describe(error), number);
  };
  return { writable, done, fail };
}

// HttpResponseStream.from has a stream begin with the status, headers and cookies of an HTTP answer.
class HttpResponseStream {
  static from(stream, metadata) {
    stream.setContentType(HTTP_TYPE);
    const prelude = JSON.stringify(metadata);
    stream._onBeforeFirstWrite = (first) => {
      first(prelude);
      first(new Uint8Array(8));
    };
    return stream;
  }
}

module.exports = { HttpResponseStream, answerStream };
