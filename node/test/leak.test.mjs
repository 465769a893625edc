// Memory stays flat over many cycles of what needs no network (style.md B9).

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client, Exchange, openerForKey, Policy, sealField } from '../dist/index.mjs';
import { joined, vectors } from './support.mjs';

const CYCLES = 10_000;
const HEADERS = { 'content-type': 'text/event-stream' };
const AT = new Date(1_781_056_027_000);

/** Lets finalizers run, which Node does between turns. */
async function collect() {
  for (let round = 0; round < 4; round++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function cycle(one, body, recipient) {
  const opener = openerForKey(one.client_private_key);
  opener.head(200, HEADERS);
  opener.pushText(body);
  opener.finish();
  const dropped = openerForKey(one.client_private_key);
  dropped.head(200, HEADERS);
  assert.throws(() => dropped.push(Buffer.from('data: {}{}\n\n')), { slug: 'malformed_event' });
  sealField(recipient, 'x');
  const exchange = new Exchange({ provider: 'venice', model: 'e2ee-m', apiKey: 'k' });
  await exchange.next(AT);
  exchange.fail('connect');
  Policy.strict().toJson();
}

async function flat(cycles, work) {
  for (let round = 0; round < cycles / 4; round++) {
    await work();
  }
  await collect();
  const before = process.memoryUsage().rss;
  for (let round = 0; round < cycles; round++) {
    await work();
  }
  await collect();
  const after = process.memoryUsage().rss;
  console.log(`resident: ${before >> 10} KiB, after ${cycles} cycles ${after >> 10} KiB`);
  assert.ok(after < before * 1.05, `${before} -> ${after}`);
}

test('opening, sealing, failing', { skip: globalThis.gc ? false : 'needs --expose-gc' }, async () => {
  const one = vectors('sse').basic;
  const recipient = vectors('fields_ecdsa')['s2c-ascii'].recipient_public_key;
  const body = joined(one);
  await flat(CYCLES, () => cycle(one, body, recipient));
});

test('clients, cancelled calls', { skip: globalThis.gc ? false : 'needs --expose-gc' }, async () => {
  await flat(400, async () => {
    const client = new Client({ apiKey: 'k', baseUrl: 'http://127.0.0.1:1', collateralUrl: 'http://127.0.0.1:1' });
    await assert.rejects(client.models({ signal: AbortSignal.abort() }), { name: 'AbortError' });
    await assert.rejects(client.models());
    await client.close();
  });
});
