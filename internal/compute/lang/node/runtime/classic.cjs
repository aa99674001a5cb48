'use strict';
// How calls go before Node.js 24: a handler may also answer by callback, and a call may end when the event loop is empty.

const { sendAnswer, sendError } = require('./channel.cjs');
const { follow, tell } = require('./context.cjs');
const { describe, fault, serialise } = require('./errors.cjs');
const { logError } = require('./console.cjs');
const turns = require('./turns.cjs');

const nothing = { empty() {} };
let atEmpty = nothing; // whose empty is called when nothing is left in the event loop
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
  process.on('beforeExit', () => atEmpty.empty());
  return () => { initialised = true; };
}

// Outcome is how a call ends. What the function says first counts.
class Outcome {
  constructor(Kind) {
    this.context = new Kind(this);
    this.number = 0; // of the call
    this.waits = true; // for the event loop to be empty, once called back
    this.answered = false;
    this.finished = false;
    this.called = false; // back, with value, and waits
    this.value = null;
  }

  complete(value) {
    if (this.answered) {
      console.error('Invocation has already been reported as done. Cannot call complete more than once per invocation.');
      return;
    }
    this.answered = true;
    answer(value, this.number);
    next();
  }

  refuse(error) {
    logError('Invoke Error', error);
    fail(error, this.number);
    next();
  }

  done(error, value) {
    if (this.finished) return;
    atEmpty = nothing;
    if (error === undefined || error === null) this.complete(value);
    else this.refuse(error);
    this.finished = true;
  }

  callback(error, value) {
    if (this.finished) return;
    atEmpty = nothing;
    if (error !== undefined && error !== null) this.refuse(error);
    else if (!this.waits) this.complete(value);
    else this.wait(value);
    this.finished = true;
  }

  wait(value) {
    this.called = true;
    this.value = value;
    atEmpty = this;
  }

  empty() {
    if (this.called) setImmediate(() => this.complete(this.value));
    else this.complete(null);
  }
}

// Seal gives an object an outcome that nobody else sees, at no cost; a member that lists leave out would take a microsecond.
class Seal extends (class { constructor(object) { return object; } }) {
  #outcome;

  constructor(object, outcome) {
    super(object);
    this.#outcome = outcome;
  }

  // of returns the outcome of a context, or of what inherits from one. What stands for a context in another way is taken to mean the last.
  static of(object) {
    for (let o = object; o; o = Object.getPrototypeOf(o)) if (#outcome in o) return o.#outcome;
    return last;
  }
}

let last; // outcome

// The functions are the same in all contexts, so that all have one shape: an engine compiles for that.
const waits = {
  enumerable: true,
  configurable: true,
  get() { return Seal.of(this).waits; },
  set(value) { Seal.of(this).waits = value; },
};

// Context is what a handler gets, a plain object to it. The order of members is Lambda's.
function Context(outcome) {
  new Seal(this, outcome);
  Object.defineProperty(this, 'callbackWaitsForEmptyEventLoop', waits);
}

Context.prototype = Object.prototype;

// Answering is the context of a handler that may answer by it.
function Answering(outcome) {
  Context.call(this, outcome);
  this.succeed = (value) => outcome.done(null, value);
  this.fail = (error) => outcome.done(error ?? 'handled');
  this.done = (error, value) => outcome.done(error, value);
}

Answering.prototype = Object.prototype;

// Runtime is what stack traces of Lambda's name before a handler: Runtime.handler.
class Runtime {
  constructor(handler) { this.handler = handler; }
}

let environment; // what is the same in the contexts of all calls
let runtime;
let Making; // of which kind contexts are
let ready; // the outcome of the next call, and its context

const backTo = (outcome) => (error, value) => outcome.callback(error, value);

// next has the next call come. What can be made before that is.
function next() {
  ready = new Outcome(Making);
  turns.over();
}

// take makes what is ready that of a call.
function take(call) {
  open = call.number;
  last = ready ?? new Outcome(Making);
  ready = undefined;
  last.number = call.number;
  follow(call);
  return last;
}

function serve(call) {
  const outcome = take(call);
  const { context } = outcome;
  const callback = backTo(outcome);
  atEmpty = outcome;
  try {
    const event = JSON.parse(call.event);
    tell(context, environment, call.fields);
    const result = runtime.handler(event, context, callback);
    if (isPromise(result)) result.then(context.succeed, context.fail).catch(context.fail);
  } catch (error) {
    callback(error);
  }
}

const atLast = {
  empty() {
    atEmpty = nothing;
    next();
  },
};

function serveStream(highWaterMark) {
  const { answerStream } = require('./stream.cjs');
  return async (call) => {
    const outcome = take(call);
    const { context } = outcome;
    const stream = answerStream(call.number, highWaterMark);
    atEmpty = nothing;
    try {
      tell(context, environment, call.fields);
      const result = runtime.handler(JSON.parse(call.event), stream.writable, context);
      if (!isPromise(result)) throw 'Streaming does not support non-async handlers.';
      if (await result !== undefined) console.warn('Streaming handlers ignore return values.');
      await stream.done;
    } catch (error) {
      logError('Invoke Error', error);
      await stream.fail(error);
    }
    open = undefined;
    if (outcome.waits) atEmpty = atLast;
    else next();
  };
}

function start({ handler, streams, highWaterMark }, ofFunction) {
  environment = ofFunction;
  runtime = new Runtime(handler);
  Making = streams ? Context : Answering;
  ready = new Outcome(Making);
  turns.start(streams ? serveStream(highWaterMark) : serve);
}

module.exports = { start, watch };
