'use strict';
// The conversation over file descriptor 3, as package lang/framed describes it: one read and one write a call.

const { readSync, writeSync } = require('node:fs');

const CHANNEL = 3;
const VERSION = 1;
const MAX_ANSWER = (6 << 20) + 100;
const HEAD = 5; // type and length
const CALL = 4; // the call's number

const input = Buffer.allocUnsafeSlow(64 << 10);
const output = Buffer.allocUnsafeSlow(64 << 10);

function write(buffer, end) {
  for (let at = 0; at < end;) at += writeSync(CHANNEL, buffer, at, end - at);
}

function frame(kind, body) {
  const head = Buffer.alloc(HEAD);
  head.write(kind, 'latin1');
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

// frameOf returns a frame that belongs to a call.
function frameOf(kind, number, body = Buffer.alloc(0)) {
  const call = Buffer.alloc(CALL);
  call.writeUInt32BE(number);
  return frame(kind, Buffer.concat([call, body]));
}

const send = (buffer) => write(buffer, buffer.length);
const hello = () => send(frame('H', Buffer.from([VERSION])));
const ready = () => send(frame('R', Buffer.alloc(0)));

const tooLarge = () => ({
  errorType: 'Function.ResponseSizeTooLarge',
  errorMessage: `Response payload size exceeded maximum allowed payload size (${MAX_ANSWER} bytes).`,
});

// sendError sends an error's document; number is the call's, none while the function is initialised.
function sendError(document, number) {
  const text = Buffer.from(JSON.stringify(document));
  if (text.length > MAX_ANSWER) return sendError(tooLarge(), number);
  const type = Buffer.from(String(document.errorType)).subarray(0, 256);
  const body = Buffer.concat([Buffer.from([type.length >> 8, type.length & 255]), type, text]);
  send(number === undefined ? frame('I', body) : frameOf('E', number, body));
}

// sendAnswer sends the JSON text that answers a call.
function sendAnswer(text, number) {
  let buffer = output;
  let size;
  if (text.length * 3 <= output.length - HEAD - CALL) {
    size = output.utf8Write(text, HEAD + CALL);
  } else {
    size = Buffer.byteLength(text);
    if (size > MAX_ANSWER) return sendError(tooLarge(), number);
    buffer = Buffer.allocUnsafeSlow(HEAD + CALL + size);
    buffer.utf8Write(text, HEAD + CALL);
  }
  buffer[0] = 0x41; // A
  buffer.writeUInt32BE(CALL + size, 1);
  buffer.writeUInt32BE(number, HEAD);
  write(buffer, HEAD + CALL + size);
}

// parse returns the call whose first n bytes are in the input, after reading the rest of it.
function parse(n) {
  while (n > 0 && n < HEAD) {
    const more = readSync(CHANNEL, input, n, input.length - n, null);
    n = more === 0 ? 0 : n + more;
  }
  if (n === 0) process.exit(0);
  const size = HEAD + input.readUInt32BE(1);
  let data = input;
  if (size > input.length) {
    data = Buffer.allocUnsafeSlow(size);
    input.copy(data, 0, 0, n);
  }
  while (n < size) {
    const more = readSync(CHANNEL, data, n, size - n, null);
    if (more === 0) process.exit(0);
    n += more;
  }
  const end = HEAD + 8 + data.readUInt32BE(HEAD + CALL);
  return {
    number: data.readUInt32BE(HEAD),
    fields: data.utf8Slice(HEAD + 8, end).split('\0'),
    event: data.utf8Slice(end, size),
  };
}

// assignment waits for what this process is to be: see package lang/framed.
function assignment() {
  const fill = (buffer) => {
    for (let at = 0, n; at < buffer.length; at += n) {
      n = readSync(CHANNEL, buffer, at, buffer.length - at, null);
      if (n === 0) process.exit(0);
    }
    return buffer;
  };
  const head = fill(Buffer.alloc(HEAD));
  if (head[0] !== 0x42) throw new Error('no assignment'); // B
  const body = fill(Buffer.alloc(head.readUInt32BE(1)));
  const [folder, ...rest] = body.utf8Slice(1, body.length - 1).split('\0');
  const environment = new Map();
  for (const variable of rest.slice(body[0])) {
    const end = variable.indexOf('=');
    environment.set(variable.slice(0, end), variable.slice(end + 1));
  }
  return { folder, arguments: rest.slice(0, body[0]), environment };
}

let listens = false; // to a signal, or did
process.on('newListener', (name) => { listens ||= typeof name === 'string' && name.startsWith('SIG'); });
const isPipe = (name) => name === 'PipeWrap';
let unheld = false;

// quiet reports whether nothing but the next call can make anything happen in this process. That standard output is open,
// which is written without waiting, counts for nothing.
function quiet() {
  if (listens || process.getActiveResourcesInfo === undefined) return false;
  const active = process.getActiveResourcesInfo();
  if (active.length === 0) return true;
  if (unheld || !active.every(isPipe)) return false;
  unheld = true;
  for (const stream of [process.stdout, process.stderr]) stream._handle?.unref?.();
  return process.getActiveResourcesInfo().length === 0;
}

let socket; // the channel as the event loop reads it, once it has had to
let waiting;

function arrived(n) {
  socket.unref();
  socket._handle.setBlocking(true); // every write is one that waits
  const serve = waiting;
  waiting = undefined;
  serve(parse(n));
  return false; // read no more
}

function listen(serve) {
  waiting = serve;
  if (socket === undefined) {
    const { Socket } = require('node:net');
    socket = new Socket({ fd: CHANNEL, manualStart: true, onread: { buffer: input, callback: arrived } });
    socket.on('end', () => process.exit(0)).on('error', () => process.exit(0));
  } else {
    socket._handle.setBlocking(false);
    socket.ref();
  }
  socket.resume();
}

// receive waits for the next call, and nothing else happens meanwhile.
const receive = () => parse(readSync(CHANNEL, input, 0, input.length, null));

module.exports = { CHANNEL, assignment, frameOf, hello, listen, quiet, ready, receive, sendAnswer, sendError };
