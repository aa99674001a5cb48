'use strict';
// Stands in for the native part of AWS's runtime interface client, rapid-client.node, which only speaks HTTP: building it takes
// minutes, a C++ compiler and headers from nodejs.org. All that decides what a function sees is in the client's JavaScript.
const Module = require('node:module');
const http = require('node:http');
const { execFileSync } = require('node:child_process');

const base = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`;

function next() {
  return new Promise((resolve, reject) => {
    http.get(`${base}next`, { agent: false }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part)).on('end', () => {
        const bodyJson = Buffer.concat(parts).toString();
        const cut = bodyJson.indexOf('\0');
        const headers = { ...response.headers, 'lambda-runtime-deadline-ms': Number(response.headers['lambda-runtime-deadline-ms']) };
        resolve({ bodyJson: cut < 0 ? bodyJson : bodyJson.slice(0, cut), headers });
      });
    }).on('error', reject);
  });
}

// post returns when the answer has come, as the native client does.
function post(id, what, text) {
  execFileSync('curl', ['-sS', '-o', '/dev/null', '-H', 'Content-Type: application/json', '-H', 'Expect:', '--data-binary', '@-', `${base}${id}/${what}`], { input: text });
}

function strings(...all) {
  if (!all.every((s) => typeof s === 'string')) throw new TypeError('Wrong arguments');
}

const client = {
  next,
  done(id, text) { strings(id, text); post(id, 'response', text); },
  error(id, text, cause) { strings(id, text, cause); post(id, 'error', text); },
};

const load = Module._load;
Module._load = function (request, ...rest) {
  return request.endsWith('rapid-client.node') ? client : load.call(this, request, ...rest);
};
