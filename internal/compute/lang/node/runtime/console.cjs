'use strict';
// The console as Lambda patches it. A record leaves at once, whole, framed as package lang/output reads it.

const { writeSync } = require('node:fs');
const { CLASSIC, formatted, intoError } = require('./errors.cjs');

const LEVELS = { trace: 1, debug: 2, info: 3, warn: 4, error: 5, fatal: 6 };
const MAX_RECORD = 65000; // characters in one frame, which may hold 256 KiB less 26 bytes
let json = false;

const current = { requestId: CLASSIC ? undefined : '-', tenantId: undefined };
let util;
const format = (...args) => (util ??= require('node:util')).format(...args);

function replacer(_key, value) {
  if (!(value instanceof Error)) return value;
  const stackTrace = typeof value.stack === 'string' ? value.stack.split('\n') : value.stack;
  return Object.assign({ errorType: value?.constructor?.name ?? 'UnknownError', errorMessage: value.message, stackTrace }, value);
}

function jsonRecord(timestamp, level, params) {
  const record = { timestamp, level, requestId: current.requestId };
  if (current.tenantId) record.tenantId = current.tenantId;
  if (params.length === 1) {
    record.message = params[0];
    try {
      return JSON.stringify(record, replacer);
    } catch {
      record.message = format(record.message);
      return JSON.stringify(record);
    }
  }
  record.message = format(...params);
  const error = params.slice(1).find((p) => p instanceof Error) ?? (CLASSIC && params[0] instanceof Error ? params[0] : undefined);
  if (error !== undefined) {
    record.errorType = error?.constructor?.name ?? 'UnknownError';
    record.errorMessage = error.message;
    record.stackTrace = typeof error.stack === 'string' ? error.stack.split('\n') : [];
  }
  return JSON.stringify(record);
}

// put writes a frame. The pipe may be full and, if a child of this process made it so, not wait.
function put(buffer) {
  for (let at = 0; at < buffer.length;) {
    try {
      at += writeSync(1, buffer, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function log(level, params) {
  const now = new Date();
  const name = level.toUpperCase();
  const text = json ? jsonRecord(now.toISOString(), name, params) : `${now.toISOString()}\t${current.requestId}\t${name}\t${format(...params)}`;
  for (let at = 0; at === 0 || at < text.length; at += MAX_RECORD) {
    const part = Buffer.from(text.length <= MAX_RECORD ? text : text.slice(at, at + MAX_RECORD));
    const head = Buffer.alloc(16);
    head.writeUInt32BE(((json ? 0xa55a0002 : 0xa55a0003) | (LEVELS[level] * 4)) >>> 0, 0);
    head.writeUInt32BE(part.length, 4);
    head.writeBigUInt64BE(BigInt(now.valueOf()) * 1000n, 8);
    put(Buffer.concat([head, part]));
  }
}

// patch follows the environment.
function patch() {
  json = (process.env.AWS_LAMBDA_LOG_FORMAT ?? '').toUpperCase() === 'JSON';
  const least = LEVELS[(process.env.AWS_LAMBDA_LOG_LEVEL ?? '').toLowerCase()] ?? LEVELS.trace;
  for (const level of Object.keys(LEVELS)) {
    const passes = LEVELS[level] >= least || (CLASSIC && level === 'fatal');
    console[level] = passes ? (message, ...params) => log(level, [message, ...params]) : () => {};
  }
  console.log = console.info;
}

// logError logs what ended a call or the function.
function logError(message, error) {
  if (json) console.error(intoError(error));
  else console.error(message, formatted(intoError(error)));
}

module.exports = { current, logError, patch };
