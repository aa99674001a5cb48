'use strict';
// How calls go before Node.js 24: a handler may also answer by callback, and a call may end when the event loop is empty.

const { receive, sendAnswer, sendError } = require('./channel.cjs');
const { follow, ofCall } = require('./context.cjs');
const { describe, fault, serialise } = require('./errors.cjs');
const { logError } = require('./console.cjs');

const nothing = () => {};
let atEmpty = nothing; // runs when nothing is left in the event loop
let open; // the number of the call that has not been answered

const isPromise = (value) => value && typeof value.then === 'function';

function answer(value, number) {
  const text = serialise(value);
  open = undefined;
  sendAnswer(text, number);
}

function fail(error, number) {
  open = undefined;
  sendError(describe(error), number);
}

// watch reports what nobody caught, as long as somebody waits for it, and ends the process.
function watch() {
  let initialised = false;
  const end = (message, error, status) => {
    logError(message, error);
    if (!initialised) sendError(describe(error));
    else if (open !== undefined) fail(error, open);
    process.exit(status);
  };
  process.on('uncaughtException', (error) => end('Uncaught Exception', error, 129));
  process.on('unhandledRejection', (reason, promise) => {
    end('Unhandled Promise Rejection', Object.assign(fault('UnhandledPromiseRejection', reason), { reason, promise }), 128);
  });
  process.on('beforeExit', () => atEmpty());
  return () => { initialised = true; };
}

// outcome returns the ways in which a function can say how call ended; what it says first counts.
function outcome(call) {
  let answered = false;
  let finished = false;
  let waits = true;
  const complete = (value) => {
    if (answered) {
      console.error('Invocation has already been reported as done. Cannot call complete more than once per invocation.');
      return;
    }
    answered = true;
    answer(value, call.number);
    next();
  };
  const end = (error, proceed) => {
    atEmpty = nothing;
    if (error === undefined || error === null) {
      proceed();
      return;
    }
    logError('Invoke Error', error);
    fail(error, call.number);
    next();
  };
  const once = (f) => (...args) => {
    if (finished) return;
    f(...args);
    finished = true;
  };
  const done = (error, value) => end(error, () => complete(value));
  const callback = (error, value) => end(error, () => {
    if (!waits) complete(value);
    else atEmpty = () => setImmediate(complete, value);
  });
  atEmpty = () => {
    answered = true;
    answer(null, call.number);
    next();
  };
  const context = {
    get callbackWaitsForEmptyEventLoop() { return waits; },
    set callbackWaitsForEmptyEventLoop(value) { waits = value; },
    succeed: once((value) => done(null, value)),
    fail: once((error) => done(error ?? 'handled')),
    done: once(done),
  };
  return [context, once(callback)];
}

// Runtime is what stack traces of Lambda's name before a handler: Runtime.handler.
class Runtime {
  constructor(handler) { this.handler = handler; }
}

let environment; // what is the same in the contexts of all calls
let run;
let runtime;

function next() {
  setImmediate(receive, run);
}

function serve(call) {
  open = call.number;
  follow(call);
  const [context, callback] = outcome(call);
  try {
    const event = JSON.parse(call.event);
    const result = runtime.handler(event, Object.assign(context, environment, ofCall(call.fields)), callback);
    if (isPromise(result)) result.then(context.succeed, context.fail).catch(context.fail);
  } catch (error) {
    callback(error);
  }
}

function serveStream(highWaterMark) {
  const { answerStream } = require('./stream.cjs');
  return async (call) => {
    open = call.number;
    follow(call);
    let waits = true;
    const stream = answerStream(call.number, highWaterMark);
    atEmpty = nothing;
    const context = {
      get callbackWaitsForEmptyEventLoop() { return waits; },
      set callbackWaitsForEmptyEventLoop(value) { waits = value; },
    };
    try {
      Object.assign(context, environment, ofCall(call.fields));
      const result = runtime.handler(JSON.parse(call.event), stream.writable, context);
      if (!isPromise(result)) throw 'Streaming does not support non-async handlers.';
      if (await result !== undefined) console.warn('Streaming handlers ignore return values.');
      await stream.done;
    } catch (error) {
      logError('Invoke Error', error);
      await stream.fail(error);
    }
    open = undefined;
    if (waits) atEmpty = () => { atEmpty = nothing; next(); };
    else next();
  };
}

function start({ handler, streams, highWaterMark }, ofFunction) {
  environment = ofFunction;
  runtime = new Runtime(handler);
  run = streams ? serveStream(highWaterMark) : serve;
  next();
}

module.exports = { start, watch };
