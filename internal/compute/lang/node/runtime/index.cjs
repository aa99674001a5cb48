'use strict';
// The Node.js runtime inside a sandbox: loads the handler and answers calls over file descriptor 3. What a function sees of
// it (errors, context, console, JSON) is AWS Lambda's. What a handler may never need is loaded when it is first needed.

const channel = require('./channel.cjs');

channel.hello();

const path = require('node:path');
const { CLASSIC, describe } = require('./errors.cjs');
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
  const initialised = CLASSIC ? calls.watch() : undefined;
  let found;
  try {
    found = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
  } catch (error) {
    logError(CLASSIC ? 'Uncaught Exception' : 'Init Error', error);
    channel.sendError(describe(error));
    process.exit(CLASSIC ? 129 : 1);
  }
  initialised?.();
  channel.ready();
  calls.start(found);
}

main();
