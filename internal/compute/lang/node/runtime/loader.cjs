'use strict';
// Finds the handler: file, folder/file, one of the forms that a module may have, and the names in it.

const { existsSync, readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { CLASSIC, fault } = require('./errors.cjs');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const BUFFER = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
// Error messages name the module that asked, and Lambda's is this one.
const requireUser = createRequire(path.join(__dirname, 'index.mjs'));

// split returns folder, file and exported name of src/app.handler.
function split(name) {
  if (name.includes('..')) {
    throw fault('MalformedHandlerName', `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(name);
  const parts = /^([^.]*)\.(.*)$/.exec(base);
  if (!parts) throw fault('MalformedHandlerName', 'Bad handler');
  return [name.substring(0, name.indexOf(base)), parts[1], parts[2]];
}

// isModulePackage says whether the nearest package.json makes .js files ES modules.
function isModulePackage(folder) {
  if (folder.endsWith('/node_modules')) return false;
  const file = path.join(folder, 'package.json');
  if (existsSync(file)) {
    try {
      return JSON.parse(readFileSync(file))?.type === 'module';
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return folder !== '/' && isModulePackage(path.resolve(folder, '..'));
}

const requireFile = (file) => (existsSync(file) ? requireUser(file) : undefined);
const importFile = async (file) => (existsSync(file) ? import(file) : undefined);

async function loadClassic(file) {
  const isModule = existsSync(`${file}.js`) && isModulePackage(path.dirname(file));
  return requireFile(file)
    || (!isModule && requireFile(`${file}.js`))
    || (isModule && await importFile(`${file}.js`))
    || await importFile(`${file}.mjs`)
    || requireFile(`${file}.cjs`);
}

async function loadModern(file) {
  for (const extension of ['', '.js', '.mjs', '.cjs']) {
    const found = await importFile(file + extension);
    if (found) return found;
  }
  return undefined;
}

async function loadModule(root, folder, name) {
  try {
    const found = await (CLASSIC ? loadClassic : loadModern)(path.resolve(root, folder, name));
    return found || requireUser(requireUser.resolve(name, { paths: [root, CLASSIC ? folder : path.join(root, folder)] }));
  } catch (error) {
    if (error instanceof SyntaxError) throw fault('UserCodeSyntaxError', error);
    if (error?.code === 'MODULE_NOT_FOUND') throw fault('ImportModuleError', error);
    throw error;
  }
}

function member(object, name) {
  return name.split('.').reduce((in_, key) => (in_ && (CLASSIC || typeof in_ === 'object') ? in_[key] : CLASSIC ? in_ : undefined), object);
}

// load returns the handler and how it wants to be called.
async function load(root, name) {
  const [folder, file, exported] = split(name);
  const found = await loadModule(root, folder, file);
  let handler = member(found, exported);
  if (!CLASSIC && !handler && typeof found === 'object' && found !== null && 'default' in found) handler = member(found.default, exported);
  if (!handler) throw fault('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw fault('HandlerNotFound', `${name} is not a function`);
  if (handler[STREAMING] && handler[STREAMING] !== 'response') throw fault('MalformedStreamingHandler', 'Only response streaming is supported.');
  const streams = Boolean(handler[STREAMING]);
  if (!CLASSIC && !streams && handler.length >= 3) {
    throw fault('CallbackHandlerDeprecated', 'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. '
      + 'You need to modify this function to use a supported handler signature to use Node.js 24 or later. '
      + 'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.');
  }
  return { handler, streams, highWaterMark: Number(handler[BUFFER]) || undefined };
}

// streamifyResponse marks a handler as one that writes its answer to a stream.
function streamifyResponse(handler, options) {
  handler[STREAMING] = 'response';
  if (typeof options?.highWaterMark === 'number') handler[BUFFER] = Math.trunc(options.highWaterMark);
  return handler;
}

module.exports = { load, streamifyResponse };
