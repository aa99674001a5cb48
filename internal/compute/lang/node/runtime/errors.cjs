'use strict';
// Lambda's forms of errors: in answers, in logs, and its own kinds. Lambda changed them in Node.js 24; CLASSIC is before.

const GENERATION = Number(/^AWS_Lambda_nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV)?.[1] ?? 24);
const CLASSIC = GENERATION < 24;

// fault returns an error of Lambda's own kinds, such as Runtime.HandlerNotFound.
function fault(kind, cause) {
  const error = new Error(String(cause));
  Object.defineProperty(error, 'name', { value: `Runtime.${kind}`, enumerable: !CLASSIC, configurable: true, writable: true });
  if (CLASSIC) Error.captureStackTrace(error, fault); // its first line has the name
  else if (kind === 'UserCodeSyntaxError') error.stack = cause.stack;
  return error;
}

const isErrorLike = (e) => ['name', 'message', 'stack'].every((k) => e && e[k] && typeof e[k] === 'string');
const isError = (e) => (CLASSIC ? require('node:util').types.isNativeError(e) || isErrorLike(e) : e instanceof Error);
const escaped = (text) => text?.replace(/\x7F/g, '%7F');

// describe returns the document of whatever was thrown.
function describe(error) {
  try {
    if (!isError(error)) {
      return { errorType: typeof error, errorMessage: CLASSIC ? error.toString() : String(error), trace: [] };
    }
    const errorType = escaped(error.name);
    const errorMessage = escaped(error.message);
    const lines = CLASSIC ? escaped(error.stack).split('\n') : escaped(error.stack)?.split('\n') || [];
    return { errorType, errorMessage, trace: lines };
  } catch {
    const errorMessage = 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack';
    return { errorType: 'handled', errorMessage, ...(CLASSIC ? {} : { trace: [] }) };
  }
}

const intoError = (e) => (e instanceof Error ? e : new Error(CLASSIC ? e : String(e)));

function enumerable(_key, value) {
  if (!(value instanceof Error)) return value;
  const out = Object.assign({ errorType: value.name, errorMessage: value.message, code: value.code }, value);
  if (typeof value.stack === 'string') out.stack = value.stack.split('\n');
  return out;
}

// formatted returns an error as text logs have it.
function formatted(error) {
  try {
    return `\t${JSON.stringify(error, enumerable)}`;
  } catch {
    return `\t${JSON.stringify(describe(error))}`;
  }
}

// serialise returns the JSON text of an answer.
function serialise(value) {
  let text;
  try {
    text = JSON.stringify(value === undefined ? null : value);
  } catch {
    const message = 'Unable to stringify response body';
    throw CLASSIC ? new Error(message) : fault('JSONStringifyError', message);
  }
  if (text === undefined) throw new TypeError('Wrong arguments'); // a function or a symbol
  return text;
}

module.exports = { CLASSIC, describe, fault, formatted, intoError, serialise };
