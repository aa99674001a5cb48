'use strict';
// The Node.js runtime inside a sandbox: loads the handler and answers calls over file descriptor 3. What a function sees of
// it (errors, context, console, JSON) is AWS Lambda's. What a handler may never need is loaded when it is first needed.

require('./channel.cjs').hello();
require('./main.cjs').main();
