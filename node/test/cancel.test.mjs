// Ending calls early: signals, close, worker threads that die, against a server that never answers.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { AbortError, Client, MisuseError } from '../dist/index.mjs';
import { withStalledServer } from './support.mjs';

const INDEX = new URL('../dist/index.mjs', import.meta.url).href;
const CALLS = {
  models: (client, options) => client.models(options),
  verify: (client, options) => client.verify('e2ee-m', options),
  ready: (client, options) => client.ready('e2ee-m', options),
  chat: (client, options) => client.chat({ model: 'e2ee-m', messages: [{ role: 'user', content: 'hi' }] }, options),
};

/** Resolves once the server has a connection and it is closed again. */
async function closed(sockets) {
  const [socket] = sockets;
  socket.resume();
  await once(socket, 'close');
}

for (const [name, call] of Object.entries(CALLS)) {
  test(`${name}: an abort rejects with AbortError and closes the connection`, () =>
    withStalledServer(async (baseUrl, server, sockets) => {
      const client = new Client({ apiKey: 'k', baseUrl, collateralUrl: baseUrl });
      const controller = new AbortController();
      const accepted = once(server, 'accepted');
      const pending = call(client, { signal: controller.signal });
      await accepted;
      const gone = closed(sockets);
      const reason = new Error('enough');
      controller.abort(reason);
      await assert.rejects(pending, (error) => {
        assert.ok(error instanceof AbortError);
        assert.deepEqual([error.name, error.code, error.cause], ['AbortError', 'ABORT_ERR', reason]);
        return true;
      });
      await gone;
    }));

  test(`${name}: a signal that is aborted already sends nothing`, () =>
    withStalledServer(async (baseUrl, _server, sockets) => {
      const client = new Client({ apiKey: 'k', baseUrl, collateralUrl: baseUrl });
      await assert.rejects(call(client, { signal: AbortSignal.abort() }), { name: 'AbortError' });
      assert.equal(sockets.size, 0);
    }));
}

test('closing a client ends its calls and refuses new ones', () =>
  withStalledServer(async (baseUrl, server, sockets) => {
    const client = new Client({ apiKey: 'k', baseUrl, collateralUrl: baseUrl });
    const accepted = once(server, 'accepted');
    const pending = assert.rejects(client.verify('e2ee-m'), { name: 'MisuseError', slug: 'cancelled' });
    await accepted;
    const gone = closed(sockets);
    await client.close();
    await Promise.all([pending, gone]);
    await assert.rejects(client.models(), { name: 'MisuseError', slug: 'already_finished' });
    await client.close();
  }));

test('the client is disposable where the runtime has the symbol', async () => {
  if (Symbol.asyncDispose === undefined) {
    return;
  }
  const client = new Client({ apiKey: 'k' });
  await client[Symbol.asyncDispose]();
  await assert.rejects(client.models(), MisuseError);
});

test('no listener stays on a signal', () =>
  withStalledServer(async (baseUrl) => {
    const client = new Client({ apiKey: 'k', baseUrl: baseUrl.replace(/:\d+/, ':1'), collateralUrl: baseUrl });
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args) => (listeners++, addEventListener.apply(signal, args));
    signal.removeEventListener = (...args) => (listeners--, removeEventListener.apply(signal, args));
    await assert.rejects(client.models({ signal }));
    assert.equal(listeners, 0);
  }));

test('worker threads work, several at once', async () => {
  const program = `
    const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(INDEX)}).then(async (proveil) => {
      const key = '01'.repeat(32);
      proveil.openerForKey(key).close();
      await proveil.inspect('venice.kee', {}).catch((error) => parentPort.postMessage([error.slug, error instanceof proveil.InputError]));
    });`;
  const workers = Array.from({ length: 4 }, () => new Worker(program, { eval: true }));
  const ends = workers.map((worker) => Promise.all([once(worker, 'message'), once(worker, 'exit')]));
  for (const [[message], [code]] of await Promise.all(ends)) {
    assert.deepEqual([message, code], [['invalid_argument', true], 0]);
  }
});

test('a worker that is ended in a call takes nothing with it (threats T62)', () =>
  withStalledServer(async (baseUrl, server) => {
    const program = `
      const { workerData } = require('node:worker_threads');
      import(${JSON.stringify(INDEX)}).then((proveil) => {
        const client = new proveil.Client({ apiKey: 'k', baseUrl: workerData, collateralUrl: workerData });
        client.verify('e2ee-m');
        client.models();
      });`;
    for (let round = 0; round < 5; round++) {
      const accepted = once(server, 'accepted');
      const worker = new Worker(program, { eval: true, workerData: baseUrl });
      await accepted;
      await worker.terminate();
    }
    const client = new Client({ apiKey: 'k', baseUrl, collateralUrl: baseUrl });
    const controller = new AbortController();
    server.once('accepted', () => controller.abort());
    await assert.rejects(client.models({ signal: controller.signal }), { name: 'AbortError' });
  }));
