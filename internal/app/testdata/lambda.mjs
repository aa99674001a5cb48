// AWS's SDK for JavaScript, unmodified, through the life of Node.js functions. It stops at what is not as AWS documents it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.env.CLIENTS);
const {
  CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand, InvokeCommand, InvokeWithResponseStreamCommand, LambdaClient,
  PublishVersionCommand, UpdateFunctionCodeCommand, UpdateFunctionConfigurationCommand, paginateListFunctions,
  waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2,
} = require('@aws-sdk/client-lambda');

const client = new LambdaClient({});
const send = (command) => client.send(command);
const zip = (name) => readFileSync(`${process.env.ZIPS}/${name}.zip`);
const text = new TextDecoder();
const Role = 'arn:aws:iam::000000000000:role/test';
const waiting = (FunctionName) => [{ client, maxWaitTime: 30, minDelay: 1 }, { FunctionName }];

async function create(FunctionName, Runtime, settings) {
  const made = await send(new CreateFunctionCommand({ FunctionName, Runtime, Handler: 'index.handler', Role, Code: { ZipFile: zip(FunctionName) }, MemorySize: 256, Timeout: 20, ...settings }));
  assert.equal(made.FunctionArn, `arn:aws:lambda:us-east-1:000000000000:function:${FunctionName}`);
  await waitUntilFunctionActiveV2(...waiting(FunctionName));
}

async function invoke(FunctionName, payload, settings) {
  const out = await send(new InvokeCommand({ FunctionName, Payload: JSON.stringify(payload), ...settings }));
  return { ...out, value: JSON.parse(text.decode(out.Payload)) };
}

async function stream(FunctionName, payload) {
  const out = await send(new InvokeWithResponseStreamCommand({ FunctionName, Payload: JSON.stringify(payload) }));
  let body = '';
  let end;
  for await (const e of out.EventStream) {
    if (e.PayloadChunk) body += text.decode(e.PayloadChunk.Payload);
    if (e.InvokeComplete) end = e.InvokeComplete;
  }
  return { body, end };
}

await create('module', 'nodejs18.x', { Environment: { Variables: { GREETING: 'hi' } } });
await create('callback', 'nodejs16.x');
await create('streaming', 'nodejs18.x');

let out = await invoke('module', { name: 'Ada' }, { LogType: 'Tail', ClientContext: Buffer.from('{"custom":{"a":1}}').toString('base64') });
assert.deepEqual(out.value, ['hi', 'Ada', 'AWS_Lambda_nodejs18.x', { custom: { a: 1 } }]);
assert.equal(out.ExecutedVersion, '$LATEST');
assert.match(Buffer.from(out.LogResult, 'base64').toString(), /\tINFO\thello \{ name: 'Ada' \}\n.*\tWARN\tcareful\nEND RequestId/);

out = await invoke('module', { fail: true });
assert.equal(out.FunctionError, 'Unhandled');
assert.equal(out.value.errorType, 'RangeError');
assert.match(out.value.trace[1], /at Runtime\.handler \(file:\/\/\/var\/task\/index\.mjs:\d+:\d+\)/);

assert.deepEqual((await invoke('callback', 20)).value, { waited: 20, parent: '/var/runtime/index.mjs' });
assert.equal((await invoke('callback', 0)).value, null);
out = await invoke('callback', 'exit');
assert.match(out.value.errorMessage, /Runtime exited with error: exit status 7$/);
assert.equal((await invoke('callback', 1)).value.waited, 1); // in a new instance

let answer = await stream('streaming', { pieces: 3 });
assert.equal(answer.body, 'piece 0\npiece 1\npiece 2\n');
assert.equal(answer.end.ErrorCode, undefined);
answer = await stream('streaming', { pieces: 1, fail: true });
assert.equal(answer.body, 'piece 0\n');
assert.equal(answer.end.ErrorCode, 'Unhandled');
assert.match(answer.end.ErrorDetails, /broke off/);
answer = await stream('streaming', { size: 20_000_000 });
assert.equal(answer.body.length, 20_000_000);
answer = await stream('module', { name: 'Ada' }); // doesn't stream
assert.equal(JSON.parse(answer.body)[1], 'Ada');
const raw = await send(new InvokeCommand({ FunctionName: 'streaming', Payload: '{"pieces": 2}' })); // taken whole
assert.equal(text.decode(raw.Payload), 'piece 0\npiece 1\n');

await send(new UpdateFunctionConfigurationCommand({ FunctionName: 'module', LoggingConfig: { LogFormat: 'JSON', ApplicationLogLevel: 'WARN' }, Environment: { Variables: { GREETING: 'ho' } } }));
await waitUntilFunctionUpdatedV2(...waiting('module'));
out = await invoke('module', { name: 'Eve' }, { LogType: 'Tail' });
assert.equal(out.value[0], 'ho');
const logged = Buffer.from(out.LogResult, 'base64').toString();
assert.match(logged, /"level":"WARN","requestId":"[0-9a-f-]{36}","message":"careful"/);
assert.doesNotMatch(logged, /hello/);

const { Version } = await send(new PublishVersionCommand({ FunctionName: 'module' }));
await send(new UpdateFunctionCodeCommand({ FunctionName: 'module', ZipFile: zip('streaming') }));
await waitUntilFunctionUpdatedV2(...waiting('module'));
assert.equal((await invoke('module', { name: 'old' }, { Qualifier: Version })).value[1], 'old');

const names = [];
for await (const page of paginateListFunctions({ client, pageSize: 2 }, {})) names.push(...page.Functions.map((f) => f.FunctionName));
assert.deepEqual(names.sort(), ['callback', 'module', 'streaming']);

await assert.rejects(send(new CreateFunctionCommand({ FunctionName: 'x', Runtime: 'nodejs99.x', Handler: 'index.handler', Role, Code: { ZipFile: zip('module') } })), { name: 'InvalidParameterValueException' });
await send(new DeleteFunctionCommand({ FunctionName: 'module' }));
await assert.rejects(send(new GetFunctionCommand({ FunctionName: 'module' })), { name: 'ResourceNotFoundException' });
console.log('ok');
