'use strict';
// How calls go from Node.js 24 on: a handler's value, or what its promise comes to, is the answer.

const { sendAnswer, sendError } = require('./channel.cjs');
const { follow, tell } = require('./context.cjs');
const { describe, serialise } = require('./errors.cjs');
const { logError } = require('./console.cjs');
const turns = require('./turns.cjs');

const PROTECTED_KEYS = {
  REQUEST_ID: Symbol.for('_AWS_LAMBDA_REQUEST_ID'),
  X_RAY_TRACE_ID: Symbol.for('_AWS_LAMBDA_X_RAY_TRACE_ID'),
  TENANT_ID: Symbol.for('_AWS_LAMBDA_TENANT_ID'),
};

// store is what libraries for logging and tracing ask about the current call: awslambda.InvokeStore.
const store = {
  PROTECTED_KEYS,
  context: undefined,
  getContext() { return this.context; },
  hasContext() { return this.context !== undefined; },
  get(key) { return this.context?.[key]; },
  set(key, value) {
    if (this.isProtectedKey(key)) throw new Error(`Cannot modify protected Lambda context field: ${String(key)}`);
    (this.context ??= {})[key] = value;
  },
  run(context, f) {
    this.context = context;
    return f();
  },
  isProtectedKey(key) { return Object.values(PROTECTED_KEYS).includes(key); },
  getRequestId() { return this.get(PROTECTED_KEYS.REQUEST_ID) ?? '-'; },
  getXRayTraceId() { return this.get(PROTECTED_KEYS.X_RAY_TRACE_ID); },
  getTenantId() { return this.get(PROTECTED_KEYS.TENANT_ID); },
};

// The classes are what stack traces of Lambda's name before a handler.
class BufferedInvokeProcessor {
  constructor(handler) { this.handler = handler; }
}

class StreamingInvokeProcessor extends BufferedInvokeProcessor {}

async function buffered(processor, call, event, context) {
  try {
    const result = await processor.handler(event, context);
    await turns.settling();
    sendAnswer(serialise(result), call.number);
  } catch (error) {
    await turns.settling();
    logError('Invoke Error', error);
    sendError(describe(error), call.number);
  }
}

async function streamed(processor, call, event, context, highWaterMark) {
  const stream = require('./stream.cjs').answerStream(call.number, highWaterMark);
  try {
    const result = processor.handler(event, stream.writable, context);
    if (typeof result?.then !== 'function') throw new Error('Streaming does not support non-async handlers.');
    if (await result !== undefined) console.warn('Streaming handlers ignore return values.');
    await stream.done;
  } catch (error) {
    await turns.settling();
    logError('Invoke Error', error);
    await stream.fail(error);
  }
}

function start({ handler, streams, highWaterMark }, environment) {
  const processor = new (streams ? StreamingInvokeProcessor : BufferedInvokeProcessor)(handler);
  const answer = streams ? streamed : buffered;
  turns.start((call) => {
    const context = {};
    tell(context, environment, call.fields);
    follow(call);
    const event = JSON.parse(call.event);
    store.context = { [PROTECTED_KEYS.REQUEST_ID]: call.fields[0], [PROTECTED_KEYS.X_RAY_TRACE_ID]: context.xRayTraceId, [PROTECTED_KEYS.TENANT_ID]: context.tenantId };
    answer(processor, call, event, context, highWaterMark).then(turns.over);
  });
}

module.exports = { start, store };
