'use strict';
// What a handler is told about its call. The order of members is Lambda's.

const { CLASSIC } = require('./errors.cjs');
const { current } = require('./console.cjs');
const environ = require('./environ.cjs');

// ofFunction returns the members that are the same for all calls.
function ofFunction() {
  const e = process.env;
  return {
    functionName: e.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: e.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: e.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: e.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: e.AWS_LAMBDA_LOG_STREAM_NAME,
  };
}

// follow makes a call the current one, for logs and tracing.
function follow(call) {
  current.requestId = call.fields[0];
  current.tenantId = call.fields[6] || undefined;
  environ.follow(call.fields[2]);
}

function parse(text, classicName, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(CLASSIC ? `Cannot parse ${classicName} as json: ${error}` : `Failed to parse ${name} as JSON: ${error.message}`);
  }
}

const client = (text) => text && parse(text, 'ClientContext', 'lambda-runtime-client-context') || undefined;
const identity = (text) => text && parse(text, 'CognitoIdentity', 'lambda-runtime-cognito-identity') || undefined;

function remaining(deadline) {
  const getRemainingTimeInMillis = () => Number(deadline) - Date.now();
  return getRemainingTimeInMillis;
}

// tell adds to a context what there is to know about the function and the call: member by member, since all contexts are to have one
// shape. Lambda changed the order in Node.js 24.
function classic(context, of, fields) {
  context.functionVersion = of.functionVersion;
  context.functionName = of.functionName;
  context.memoryLimitInMB = of.memoryLimitInMB;
  context.logGroupName = of.logGroupName;
  context.logStreamName = of.logStreamName;
  context.clientContext = client(fields[4]);
  context.identity = identity(fields[5]);
  context.invokedFunctionArn = fields[1];
  context.awsRequestId = fields[0];
  context.tenantId = fields[6] || undefined;
  context.getRemainingTimeInMillis = remaining(fields[3]);
}

function modern(context, of, fields) {
  context.clientContext = client(fields[4]);
  context.identity = identity(fields[5]);
  context.invokedFunctionArn = fields[1];
  context.awsRequestId = fields[0];
  context.tenantId = fields[6] || undefined;
  context.xRayTraceId = fields[2] || undefined;
  context.getRemainingTimeInMillis = remaining(fields[3]);
  context.functionName = of.functionName;
  context.functionVersion = of.functionVersion;
  context.memoryLimitInMB = of.memoryLimitInMB;
  context.logGroupName = of.logGroupName;
  context.logStreamName = of.logStreamName;
}

module.exports = { follow, ofFunction, tell: CLASSIC ? classic : modern };
