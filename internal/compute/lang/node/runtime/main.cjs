'use strict';
// From the environment of a function to its first call: what a process that was executed for it does at once, and one that was
// started ahead when it has its assignment.

const { statSync } = require('node:fs');
const path = require('node:path');
const channel = require('./channel.cjs');
const { CLASSIC, describe } = require('./errors.cjs');
const { ofFunction } = require('./context.cjs');
const environ = require('./environ.cjs');
const { logError, patch } = require('./console.cjs');
const { load, streamifyResponse } = require('./loader.cjs');
const calls = CLASSIC ? require('./classic.cjs') : require('./modern.cjs');

function globals() {
  if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    ...(CLASSIC ? {} : { InvokeStore: calls.store }),
    streamifyResponse,
    get HttpResponseStream() { return require('./stream.cjs').HttpResponseStream; },
  };
}

async function main() {
  process.argv[1] = path.join(__dirname, 'index.mjs');
  process.mainModule = undefined;
  patch();
  globals();
  const environment = ofFunction();
  const initialised = CLASSIC ? calls.watch() : undefined;
  const { LAMBDA_TASK_ROOT: root, _HANDLER: name } = process.env;
  let found;
  if (statSync(path.join(__dirname, 'code.cache'), { throwIfNoEntry: false })?.size > 0) require('./compiled.cjs').install(root);
  try {
    environ.watch();
    found = await load(root, name);
  } catch (error) {
    logError(CLASSIC ? 'Uncaught Exception' : 'Init Error', error);
    channel.sendError(describe(error));
    process.exit(CLASSIC ? 129 : 1);
  }
  initialised?.();
  channel.ready();
  calls.start(found, environment);
}

module.exports = { main };
