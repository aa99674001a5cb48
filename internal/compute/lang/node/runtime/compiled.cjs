'use strict';
// Functions load their CommonJS files from code that was compiled when the package was published (compile.cjs). The file with it
// belongs to exactly this package, which cannot change; V8 refuses what another version of it wrote, and compiles anew.

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const vm = require('node:vm');

const FILE = path.join(__dirname, 'code.cache');
const MAGIC = 0x41434331;
const FLAGS = [12, 16]; // where V8 notes by which flags it runs: among them the memory's sizes, of which code does not depend

// index returns where the code of which file is; undefined unless all of it is there: V8 does not look whether code is whole.
function index(file) {
  const head = Buffer.alloc(8);
  if (fs.readSync(file, head, 0, 8, 0) < 8 || head.readUInt32BE() !== MAGIC) return undefined; // nothing was compiled
  const size = head.readUInt32BE(4);
  const { size: all } = fs.fstatSync(file);
  if (8 + size > all) return undefined;
  const text = Buffer.alloc(size);
  fs.readSync(file, text, 0, size, 8);
  const entries = JSON.parse(text);
  const [, at, last] = entries[entries.length - 1];
  return at + last === all ? new Map(entries.map(([name, from, length]) => [name, { at: from, size: length }])) : undefined;
}

// script returns the wrapped source as a script, unless V8 did not take the code for it. The code must not use import(): V8 forgets
// by whom a script that it got as code was loaded.
function script(source, filename, code, own) {
  own.copy(code, FLAGS[0], ...FLAGS);
  const made = new vm.Script(Module.wrap(source), { ...origin(filename), cachedData: code });
  return made.cachedDataRejected ? undefined : made;
}

// origin is where the wrapped source begins.
const origin = (filename) => ({ filename, columnOffset: -Module.wrapper[0].length });

const flags = () => new vm.Script('0').createCachedData();

// run has Node.js call the code of a script as that of the module: with its own require, and all else that it gives.
const TRAMPOLINE = 'return module.compiled.call(this, exports, require, module, __filename, __dirname)';
function run(module, filename, made) {
  const code = made.runInThisContext();
  module.compiled = function compiled(...given) {
    delete module.compiled;
    return code.apply(this, given);
  };
  module._compile(TRAMPOLINE, filename);
}

// install has require use what is there for files of folder root.
function install(root) {
  if (process.env.NODE_OPTIONS) return; // flags that code may depend on, programs that change sources
  let file;
  let known;
  try {
    file = fs.openSync(FILE);
    known = index(file);
  } catch {
    known = undefined;
  }
  if (known === undefined) {
    if (file !== undefined) fs.closeSync(file);
    return;
  }
  const plain = Module._extensions['.js'];
  const compile = Module.prototype._compile;
  const { readFileSync, readSync } = fs;
  let own;
  Module._extensions['.js'] = function load(module, filename) {
    const entry = filename.startsWith(root + path.sep) ? known.get(filename.slice(root.length + 1)) : undefined;
    if (entry === undefined || module._compile !== compile) return plain(module, filename); // or somebody changes sources as they are loaded
    const code = Buffer.allocUnsafeSlow(entry.size);
    readSync(file, code, 0, entry.size, entry.at);
    const made = script(readFileSync(filename, 'utf8'), filename, code, own ??= flags());
    if (made === undefined) return plain(module, filename);
    return run(module, filename, made);
  };
}

module.exports = { MAGIC, flags, install, origin, script };
