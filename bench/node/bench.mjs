// Opens the recorded answer from Node in whole network pieces, and prints nanoseconds of process CPU time per chunk.
//
// usage: node bench.mjs DIR      (the directory that `proveil-bench record DIR` wrote)
//
// A pass is what bench/src/replay.rs does: a new opener, the head, every piece, the contents counted, the end. The second fastest of
// 15 passes is printed. Run by `cargo xtask bench` with the release addon in node/.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { openerForKey } from '../../node/dist/index.mjs';

const EVENTS_PER_PIECE = 32;
const PASSES = 15;

/** Cuts after every 32nd blank line. */
function cut(stream) {
  const pieces = [];
  let start = 0;
  let at = 0;
  for (let events = 1; (at = stream.indexOf('\n\n', at)) >= 0; events++) {
    at += 2;
    if (events % EVENTS_PER_PIECE === 0 || at === stream.length) {
      pieces.push(stream.subarray(start, at));
      start = at;
    }
  }
  return pieces;
}

function openAnswer(key, pieces) {
  const opener = openerForKey(key);
  opener.head(200, { 'content-type': 'text/event-stream' });
  let contents = 0;
  for (const piece of pieces) contents += opener.pushText(piece).length;
  opener.finish();
  return contents;
}

/** CPU time of this process. Node 20 has no clock for one thread; nothing else runs here but the garbage collector. */
function cpuNs() {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: node bench.mjs DIR');
const pieces = cut(readFileSync(join(directory, 'stream.sse')));
const key = Buffer.from(readFileSync(join(directory, 'stream.key'), 'utf8'), 'hex');
const chunks = openAnswer(key, pieces);
const passes = [];
for (let i = 0; i < PASSES; i++) {
  const start = cpuNs();
  openAnswer(key, pieces);
  passes.push(cpuNs() - start);
}
passes.sort((a, b) => a - b);
console.log((passes[1] / chunks).toFixed(1));
