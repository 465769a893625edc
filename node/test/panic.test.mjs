// A panic is an error with fixed text, wherever it happens (threats T64, I7). Needs an addon with the test entry.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { InternalError } from '../dist/index.mjs';
import { callAsync, call } from '../dist/errors.js';
import { native } from '../dist/native.js';

const shows = (error) => {
  assert.ok(error instanceof InternalError);
  assert.deepEqual([error.code, error.slug], ['PV-902', 'panic']);
  assert.match(error.details.check, /^guard\.rs:\d+$/);
  assert.ok(!`${error.stack}${JSON.stringify(error)}`.includes('canary'));
  return true;
};

test('on the calling thread, on the worker pool, on the runtime', async () => {
  assert.throws(() => call(() => native.testPanicNow()), shows);
  await assert.rejects(callAsync(() => native.testPanicWork()), shows);
  await assert.rejects(callAsync(() => native.testPanicPromise()), shows);
});

test('the process lives on and prints nothing of it', () => {
  const program = `
    const { native } = require(${JSON.stringify(fileURLToPath(new URL('../dist/native.js', import.meta.url)))});
    native.testPanicNow();
    Promise.all([native.testPanicWork(), native.testPanicPromise()]).then(() => console.log('alive'));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
  assert.deepEqual([status, stdout, stderr], [0, 'alive\n', '']);
});
