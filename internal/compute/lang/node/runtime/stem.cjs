'use strict';
// The Node.js runtime started ahead, before anybody knows for which function: loads what functions commonly need, says that it
// is ready, and waits for its assignment. From then on it is what index.cjs is.

const channel = require('./channel.cjs');
const { patch } = require('./console.cjs');
const { load } = require('./loader.cjs');
const { main } = require('./main.cjs');

// Chosen by what they save a function that needs them, in time, for what they cost one that doesn't, in memory.
const COMMON = ['async_hooks', 'child_process', 'crypto', 'dns', 'events', 'fs/promises', 'http', 'http2', 'https', 'net', 'os', 'perf_hooks',
  'querystring', 'stream', 'stream/promises', 'stream/web', 'string_decoder', 'timers/promises', 'tls', 'url', 'util', 'zlib'];

function preload() {
  for (const name of COMMON) require(`node:${name}`);
  for (const name of ['compiled', 'stream']) require(`./${name}.cjs`);
  if (typeof Headers === 'function') new Headers(); // loads all that belongs to fetch
}

// assume makes this process one that was executed with that environment, in that folder.
function assume(folder, environment) {
  for (const name of Object.keys(process.env)) if (!environment.has(name)) delete process.env[name];
  for (const [name, value] of environment) if (process.env[name] !== value) process.env[name] = value;
  process.chdir(folder);
  require('node:module')._initPaths(); // NODE_PATH
}

// rehearse goes the way to a handler once: its code is compiled, and the loader of ES modules is there.
async function rehearse() {
  for (const name of ['dry', 'dry-run']) await load(__dirname, `${name}.handler`);
  assume(process.cwd(), new Map(Object.entries(process.env)));
  patch();
}

async function stem() {
  preload();
  await rehearse();
  await new Promise(setImmediate);
  gc();
  channel.hello();
  const { folder, environment } = channel.assignment();
  assume(folder, environment);
  setImmediate(main); // timers count from the time at which the loop last turned
}

stem();
