'use strict';
// What a handler is told about its call. The order of members is Lambda's.

const { CLASSIC } = require('./errors.cjs');
const { current } = require('./console.cjs');

// ofFunction returns the members that are the same for all calls.
function ofFunction() {
  const e = process.env;
  const [functionName, functionVersion] = [e.AWS_LAMBDA_FUNCTION_NAME, e.AWS_LAMBDA_FUNCTION_VERSION];
  const rest = { memoryLimitInMB: e.AWS_LAMBDA_FUNCTION_MEMORY_SIZE, logGroupName: e.AWS_LAMBDA_LOG_GROUP_NAME, logStreamName: e.AWS_LAMBDA_LOG_STREAM_NAME };
  return CLASSIC ? { functionVersion, functionName, ...rest } : { functionName, functionVersion, ...rest };
}

let trace;

// follow makes a call the current one, for logs and tracing.
function follow(call) {
  current.requestId = call.fields[0];
  current.tenantId = call.fields[6] || undefined;
  if (call.fields[2] === trace) return;
  trace = call.fields[2];
  if (trace) process.env._X_AMZN_TRACE_ID = trace;
  else delete process.env._X_AMZN_TRACE_ID;
}

function parse(text, classicName, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(CLASSIC ? `Cannot parse ${classicName} as json: ${error}` : `Failed to parse ${name} as JSON: ${error.message}`);
  }
}

// ofCall returns the members that tell about the call.
function ofCall([awsRequestId, invokedFunctionArn, trace, deadline, client, identity, tenant]) {
  const end = Number(deadline);
  const members = {
    clientContext: client && parse(client, 'ClientContext', 'lambda-runtime-client-context') || undefined,
    identity: identity && parse(identity, 'CognitoIdentity', 'lambda-runtime-cognito-identity') || undefined,
    invokedFunctionArn,
    awsRequestId,
    tenantId: tenant || undefined,
  };
  if (!CLASSIC) members.xRayTraceId = trace || undefined;
  members.getRemainingTimeInMillis = () => end - Date.now();
  return members;
}

module.exports = { follow, ofCall, ofFunction };
