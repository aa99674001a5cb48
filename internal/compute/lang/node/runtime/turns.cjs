'use strict';
// When the next call is taken. While nothing but calls can happen in the process, they follow one another within one turn of the event
// loop: a turn costs more than all else in a short call.

const { listen, quiet, receive } = require('./channel.cjs');

// What Node.js does after each callback: next ticks, promises, rejections that nobody handles. Without it each call has turns of its own.
const drain = process._tickCallback;
const now = Date.now; // a function may put another one in its place, which stands still
const REST = 50; // milliseconds after which the loop turns: for what does not hold it, and what V8 and Node.js do in it

let serve;
let free = true; // no call is under way, and nobody waits for one
let inTurn = false; // the next call may follow within this turn
let turned = 0; // when the loop turned last
let settled; // waits until all is done that the end of a call leaves

function rested() {
  const ago = now() - turned;
  return ago >= 0 && ago < REST; // the clock may be set
}

function arrived(call) {
  free = false;
  serve(call);
}

// settle does what Node.js would do at the end of the turn's callback. Where something else may happen, it is a turn of its own.
function settle() {
  drain();
  while (settled !== undefined) {
    const f = settled;
    settled = undefined;
    if (quiet()) f();
    else setImmediate(f);
    drain();
  }
}

// one waits for a call and serves it. It reports whether another one may follow at once. What the call before has left for the next turn
// comes first.
function one() {
  if (!quiet()) {
    if (inTurn) return false;
    free = false;
    listen(arrived);
    return false;
  }
  const call = receive();
  if (!rested()) { // in a long wait
    free = false;
    setImmediate(arrived, call);
    return false;
  }
  inTurn = drain !== undefined;
  arrived(call);
  if (!inTurn) return false;
  settle();
  return free && rested();
}

function turn() {
  turned = now();
  free = true;
  let more = false;
  try {
    do more = one(); while (more);
  } finally { // also when what nobody caught ended a callback, and the process goes on
    if (inTurn) {
      inTurn = false;
      if (settled !== undefined) setImmediate(settled);
      settled = undefined;
      if (free) setImmediate(turn);
    }
  }
}

// over says that a call has its answer.
function over() {
  free = true;
  if (!inTurn) setImmediate(turn);
}

// settling is over when it is known what was rejected and handled by nobody.
function settling() {
  return new Promise((resolve) => {
    if (inTurn) settled = resolve;
    else setImmediate(resolve);
  });
}

// start has f serve the calls.
function start(f) {
  serve = f;
  setImmediate(turn);
}

module.exports = { over, settling, start };
