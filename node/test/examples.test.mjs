// The examples run as a user would run them, against the simulated provider.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Exchange, TrustRoots } from '../dist/index.mjs';
import { ROOT, Simulator } from './support.mjs';

let simulator;
let folder;
let model;

before(async () => {
  simulator = await Simulator.start();
  model = simulator.models.find((id) => id.startsWith('e2ee-'));
  folder = mkdtempSync(join(tmpdir(), 'proveil-node-'));
  writeFileSync(join(folder, 'roots.json'), simulator.trust_roots);
});
after(async () => {
  rmSync(folder, { recursive: true });
  await simulator.stop();
});

function run(name, args, env = {}) {
  const script = join(ROOT, 'examples/node', name);
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env: { ...process.env, ...env } }, (error, stdout, stderr) =>
      resolve({ status: error?.code ?? 0, stdout, stderr }),
    );
  });
}

const place = () => [simulator.base_url, simulator.collateral_url, join(folder, 'roots.json')];
const key = { VENICE_API_KEY: 'test-key' };

test('chat.mjs streams an answer', async () => {
  const { status, stdout, stderr } = await run('chat.mjs', ['venice', model, 'How are you?', ...place()], key);
  assert.equal(status, 0, stderr);
  assert.ok(stdout.trim().length > 10);
  assert.match(stderr, /VERIFIED.*CUSTOM[^]*sealed fields opened/);
});

test('chat.mjs says what is wrong', async () => {
  const { status, stdout, stderr } = await run('chat.mjs', ['venice', 'e2ee-nothing', 'Hi', ...place()], key);
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(stderr, /^PV-105: /);
});

test('verify.mjs judges a capture offline', async () => {
  const exchange = new Exchange({
    provider: 'venice',
    model,
    apiKey: 'test-key',
    baseUrl: simulator.base_url,
    collateralUrl: simulator.collateral_url,
    trustRoots: TrustRoots.fromJson(simulator.trust_roots),
  });
  let step = await exchange.next();
  while (step.kind === 'request') {
    const response = await fetch(step.url, { headers: step.headers.map(({ name, value }) => [name, value]) });
    await exchange.feed(response.status, response.headers, new Uint8Array(await response.arrayBuffer()));
    step = await exchange.next();
  }
  const { response, nonce } = exchange.evidence();
  const [answer, collateral] = [join(folder, 'response.json'), join(folder, 'collateral.json')];
  writeFileSync(answer, response);
  writeFileSync(collateral, exchange.fetchedCollateral()[0]);
  const at = String(Math.floor(step.report.checkedAt.getTime() / 1000));
  const roots = join(folder, 'roots.json');
  const hex = Buffer.from(nonce).toString('hex');
  const good = await run('verify.mjs', [answer, hex, collateral, at, roots]);
  assert.deepEqual([good.status, /VERIFIED/.test(good.stdout)], [0, true], good.stdout + good.stderr);
  const bad = await run('verify.mjs', [answer, '00'.repeat(32), collateral, at, roots]);
  assert.equal(bad.status, 3);
  const strangers = await run('verify.mjs', [answer, hex, collateral, at]);
  assert.equal(strangers.status, 3);
});
