'use strict';
// Compiles a package's CommonJS files and writes the code to file descriptor 3, in the form that compiled.cjs reads. Nothing of the
// package is executed. Functions that a file defines are compiled with it: which of them will be needed only running it would tell.

const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');
const Module = require('node:module');
const { MAGIC, flags, origin, script } = require('./compiled.cjs');

const LEAST = 2 << 10; // bytes of a source that are worth it
const MOST_FILES = 2000;
const MOST = 24 << 20; // bytes of sources

// sources yields the names of what may be CommonJS below a folder; type is that of the nearest package.json.
function* sources(root, folder, type) {
  const entries = fs.readdirSync(path.join(root, folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  if (entries.some((e) => e.name === 'package.json' && e.isFile())) {
    try {
      type = JSON.parse(fs.readFileSync(path.join(root, folder, 'package.json'), 'utf8')).type;
    } catch {
      type = undefined;
    }
  }
  for (const e of entries) {
    const name = path.join(folder, e.name);
    if (e.isDirectory()) yield* sources(root, name, type);
    else if (e.isFile() && (e.name.endsWith('.cjs') || (e.name.endsWith('.js') && type !== 'module'))) yield name;
  }
}

const parses = (source) => {
  try {
    return new vm.Script(Module.wrap(source)) !== undefined;
  } catch {
    return false;
  }
};

const IMPORT = /\bimport\b(?=\s*(?:[(.]|\/[*/]))/g;
const MOST_IMPORTS = 32;

// imports reports whether code uses import(), or may. Within a text or a comment anything else can stand in its place.
function imports(source) {
  const all = [...source.matchAll(IMPORT)];
  if (all.length > MOST_IMPORTS) return true;
  if (all.length > 0 && /\b(?:eval|Function)\s*\(/.test(source)) return true;
  return all.some(({ index }) => !parses(`${source.slice(0, index)}imp@rt${source.slice(index + 6)}`));
}

// compile returns the code of one source, undefined for what is no CommonJS, or what V8 would not take back.
function compile(source, filename, own) {
  let code;
  v8.setFlagsFromString('--no-lazy');
  try {
    code = new vm.Script(Module.wrap(source), origin(filename)).createCachedData();
  } catch {
    return undefined;
  } finally {
    v8.setFlagsFromString('--lazy');
  }
  return script(source, filename, code, own) && code;
}

function main(root) {
  const own = flags();
  const index = [];
  const parts = [];
  let at = 0;
  let left = MOST;
  for (const name of sources(root, '', undefined)) {
    const size = fs.statSync(path.join(root, name)).size;
    if (size < LEAST || size > left || index.length === MOST_FILES) continue;
    const filename = path.join(root, name);
    const source = fs.readFileSync(filename, 'utf8');
    const code = imports(source) ? undefined : compile(source, filename, own);
    if (code === undefined) continue;
    left -= size;
    index.push([name, at, code.length]);
    parts.push(code);
    at += code.length;
  }
  if (index.length === 0) return;
  let text = '';
  for (let base = 0, next = 1; base !== next;) { // places count from the file's beginning, and so depend on their own length
    base = next;
    text = JSON.stringify(index.map(([name, place, size]) => [name, base + place, size]));
    next = 8 + Buffer.byteLength(text);
  }
  const head = Buffer.alloc(8);
  head.writeUInt32BE(MAGIC);
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  for (const part of [head, Buffer.from(text), ...parts]) {
    for (let done = 0; done < part.length;) done += fs.writeSync(3, part, done);
  }
}

main(process.argv[2]);
