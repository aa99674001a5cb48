'use strict';
// _X_AMZN_TRACE_ID, the one variable that changes with each call. To set a variable is the dearest part of a short call, and the C
// library keeps what it ever was set to. So nothing is set until the environment is looked at for the first time. From then on it is set
// for each call: whoever has process.env once can look at it again without being noticed.

let awaited = false; // the first look
let trace;

function set() {
  if (trace) process.env._X_AMZN_TRACE_ID = trace;
  else delete process.env._X_AMZN_TRACE_ID;
}

// follow makes value, which may be empty, the current one.
function follow(value) {
  if (value === trace) return;
  trace = value;
  if (!awaited) set();
}

// Where to look: at the environment, by the function's code or by Node.js for it (for that of a child process or of a thread); at a report
// on the process, which has it; past both, by a native module, which must be loaded.
const PLACES = ['env', 'report', 'dlopen'];

const LOADER = /\(node:internal\/modules\/esm\/loader:\d+:\d+\)$/;

// byLoader reports whether look was called by Node.js's loader of ES modules, which asks for one variable at each module and keeps nothing.
function byLoader(look) {
  const at = {};
  const limit = Error.stackTraceLimit;
  Reflect.set(Error, 'stackTraceLimit', 1);
  Error.captureStackTrace(at, look);
  Reflect.set(Error, 'stackTraceLimit', limit);
  return LOADER.test(at.stack);
}

// watch waits for the first look.
function watch() {
  const members = Object.fromEntries(PLACES.map((name) => [name, Object.getOwnPropertyDescriptor(process, name)]));
  const seen = () => {
    Object.defineProperties(process, members);
    awaited = false;
    if (trace !== undefined) set();
  };
  awaited = true;
  for (const name of PLACES) {
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: members[name].enumerable,
      get: function look() {
        if (name === 'env' && byLoader(look)) return members.env.value;
        seen();
        return process[name];
      },
      set(value) {
        seen();
        process[name] = value;
      },
    });
  }
}

module.exports = { follow, watch };
