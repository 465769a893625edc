// Whole conversations with the simulated provider: verification, chat, signature, own transport, refusals.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Client, ConfigError, Exchange, IndeterminateError, InputError, Policy, Report, TrustRoots, VerificationError, VerifiedEndpoint, verifyEvidence } from '../dist/index.mjs';
import { Simulator } from './support.mjs';

const PROMPT = 'canary prompt 77c1: how are you?';
let simulator;
let model;
let settings;

before(async () => {
  simulator = await Simulator.start('--exact-signatures');
  model = simulator.models.find((id) => id.startsWith('e2ee-'));
  settings = {
    apiKey: 'test-key',
    baseUrl: simulator.base_url,
    collateralUrl: simulator.collateral_url,
    nvidiaUrl: simulator.nvidia_url,
    trustRoots: TrustRoots.fromJson(simulator.trust_roots),
  };
});
after(() => simulator.stop());
beforeEach(async () => {
  await simulator.command('defects');
  await simulator.command('clear');
});

const chat = (client, options, content = PROMPT) => client.chat({ model, messages: [{ role: 'user', content }] }, options);

// T27, T59: other software than the pinned one is refused with the difference; a broken file is not an empty one.
test('pinned software', async () => {
  const values = { 'tdx.mr_td': 'aa' };
  const sha256 = createHash('sha256').update(JSON.stringify({ events: [], values })).digest('hex');
  const pin = { provider: 'venice', model, base_url: settings.baseUrl, roots: 'custom', pinned_at: 7, sha256, values, events: [], compose: null };
  const directory = mkdtempSync(join(tmpdir(), 'proveil-'));
  const pins = join(directory, 'pins.json');
  const write = (list) => writeFileSync(pins, JSON.stringify({ schema: 'proveil.pins/v1', pins: list }), { mode: 0o600 });
  try {
    const client = new Client({ ...settings, pins });
    assert.equal((await client.verify(model)).verdict, 'verified', 'nothing is pinned');
    write([pin]);
    const report = await client.verify(model);
    assert.deepEqual([report.verdict, report.code], ['refused', 'PV-263']);
    const differences = report.facts.filter(({ name }) => name.startsWith('pin.difference.'));
    assert.ok(differences.some(({ value }) => value.startsWith('MRTD: pinned `aa`, now ')), JSON.stringify(differences));
    await assert.rejects(chat(client), (error) => error instanceof VerificationError && error.slug === 'software_changed' && JSON.parse(error.report).facts.some(({ name, value }) => name === 'pin.pinned' && value === sha256));
    write([{ ...pin, values: {} }]);
    await assert.rejects(client.verify(model), (error) => error instanceof ConfigError && error.slug === 'pins_invalid');
    assert.deepEqual((await simulator.command('recorded')).prompts, []);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('models, verification, chat, receipt, signature', async () => {
  const client = new Client(settings);
  const models = await client.models();
  assert.equal(models.find(({ id }) => id === model).class, 'e2ee');

  const report = await client.verify(model);
  assert.ok(report instanceof Report);
  assert.deepEqual([report.verdict, report.roots, report.model, report.provider], ['verified', 'custom', model, 'venice']);
  assert.match(report.headline, /CUSTOM/);
  assert.ok(report.checks.length > 10 && report.checks.every(({ id, outcome }) => id && outcome));
  assert.deepEqual(JSON.parse(report.toJson()), JSON.parse(JSON.stringify(report)));
  assert.ok(report.checkedAt instanceof Date && report.validUntil > report.checkedAt);
  assert.ok(report.toText().split('\n').every((line) => line.length <= 80));
  const [page, card, result] = [report.toHtml(), report.toSvg(), JSON.parse(report.toEarJson())];
  assert.ok(page.startsWith('<!DOCTYPE html>') && !page.includes('<script') && page.includes('CUSTOM roots'));
  assert.ok(card.startsWith('<svg ') && card.includes('Not proven:'));
  assert.deepEqual([result.proveil_report.verdict, result.ear_status], ['verified', 'contraindicated']); // custom roots
  assert.ok(report.checks.every(({ reference, id }) => reference || id === 'response.origin'));
  assert.throws(() => report.checks.push({}), TypeError);

  const stream = await chat(client);
  let text = '';
  const kinds = new Set();
  for await (const event of stream) {
    kinds.add(event.kind);
    text += event.kind === 'content' ? event.text : '';
  }
  assert.ok(text.length > 10 && kinds.has('finish'), text);
  assert.ok(stream.receipt.sealedFields > 0 && stream.receipt.id);
  assert.equal(stream.report.verdict, 'verified');
  assert.equal(await stream.verifySignature(), 'body_matches');
  assert.equal((await simulator.command(`saw ${PROMPT}`)).saw, false, 'the prompt never travels in clear');
  assert.ok(JSON.stringify((await simulator.command('recorded')).prompts).includes(PROMPT), 'and arrives');
  await client.close();
});

test('textStream gives the text; leaving a loop closes the stream', async () => {
  const client = new Client(settings);
  let text = '';
  for await (const piece of (await chat(client)).textStream()) {
    text += piece;
  }
  assert.ok(text.length > 10);
  await simulator.command('hold 2');
  const stream = await chat(client);
  for await (const event of stream) {
    assert.ok(event.kind);
    break;
  }
  await simulator.command('abandoned');
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
  assert.equal(stream.receipt, undefined, 'an answer that was left is not complete');
  await assert.rejects(stream.verifySignature(), { name: 'MisuseError' });
});

test('several calls of next at once are answered in order', async () => {
  const client = new Client(settings);
  const [one, two] = [await chat(client), await chat(client)];
  const once = [];
  for await (const { kind, text } of one) {
    once.push(kind === 'content' ? text : kind);
  }
  const results = await Promise.all(Array.from({ length: once.length + 2 }, () => two.next()));
  assert.ok(results.slice(-2).every(({ done }) => done));
  assert.ok(results.slice(0, -2).some(({ value }) => value?.kind === 'finish'));
});

test('a chat under a signal that fires ends with AbortError', async () => {
  const client = new Client(settings);
  const controller = new AbortController();
  await simulator.command('hold 2');
  const stream = await chat(client, { signal: controller.signal });
  assert.equal((await stream.next()).value.kind, 'content');
  const pending = assert.rejects(stream.next(), { name: 'AbortError' });
  controller.abort();
  await pending;
  await simulator.command('abandoned');
  assert.equal((await stream.next()).done, true);
});

test('an abort between two calls of next closes the connection at once', async () => {
  const client = new Client(settings);
  const controller = new AbortController();
  await simulator.command('hold 2');
  const stream = await chat(client, { signal: controller.signal });
  assert.equal((await stream.next()).value.kind, 'content');
  controller.abort();
  await simulator.command('abandoned');
  await assert.rejects(stream.next(), { name: 'AbortError' });
  assert.equal(stream.receipt, undefined, 'an answer that was left is not complete');
});

test('ready is a proof that seals; its opener opens; its signature checks: fetch as transport', async () => {
  const endpoint = await new Client(settings).ready(model);
  await conversation(endpoint);
});

async function conversation(endpoint) {
  assert.ok(endpoint instanceof VerifiedEndpoint);
  assert.deepEqual([endpoint.provider, endpoint.model, endpoint.report.verdict], ['venice', model, 'verified']);
  assert.ok(endpoint.notAfter > new Date());
  const [sealed, opener] = await endpoint.seal({ model, stream: true, messages: [{ role: 'user', content: PROMPT }] });
  assert.ok(!Buffer.from(sealed.request.body).includes(PROMPT));
  const response = await send(sealed.request);
  opener.head(response.status, response.headers);
  const texts = [];
  for await (const piece of response.body) {
    texts.push(...opener.pushText(piece));
  }
  const receipt = opener.finish();
  assert.ok(texts.join('').length > 10 && receipt.sealedFields > 0);
  const signature = await send(endpoint.signatureRequest(receipt));
  const body = new Uint8Array(await signature.arrayBuffer());
  assert.equal(await endpoint.checkSignature(receipt, signature.status, signature.headers, body), 'body_matches');
  await assert.rejects(endpoint.seal({ model, messages: [] }, endpoint.notAfter), { name: 'IndeterminateError', slug: 'proof_expired' });
  await assert.rejects(endpoint.seal('no json'), InputError);
}

function send(request) {
  assert.equal(request.pinnedSpki, undefined);
  return fetch(request.url, {
    method: request.method,
    headers: request.headers.map(({ name, value }) => [name, value]),
    body: request.method === 'GET' ? null : request.body,
    redirect: 'manual',
  });
}

async function dialogue(options = {}) {
  const exchange = new Exchange({ provider: 'venice', model, ...settings, ...options });
  for (;;) {
    const step = await exchange.next();
    if (step.kind === 'outcome') {
      return { exchange, outcome: step };
    }
    const response = await send(step);
    await exchange.feed(response.status, response.headers, new Uint8Array(await response.arrayBuffer()));
  }
}

test('an exchange over fetch proves the endpoint, and its evidence judges offline', async () => {
  const { exchange, outcome } = await dialogue();
  assert.equal(outcome.error, undefined);
  await conversation(outcome.endpoint());

  const [collateral, { response, nonce }] = [exchange.fetchedCollateral(), exchange.evidence()];
  assert.ok(collateral.length > 0 && exchange.fetchedModelList().length > 0);
  const { trustRoots } = settings;
  const evidence = { provider: 'venice', response, nonce, collateral, model, trustRoots };
  const again = await verifyEvidence({ ...evidence, at: outcome.report.checkedAt });
  assert.deepEqual([again.verdict, again.level], [outcome.report.verdict, outcome.report.level]);
  const other = await verifyEvidence({ ...evidence, nonce: '00'.repeat(32), at: outcome.report.checkedAt });
  assert.deepEqual([other.verdict, other.level], ['refused', undefined]);
  const late = await verifyEvidence({ ...evidence, at: new Date(outcome.report.checkedAt.getTime() + 90 * 86_400_000) });
  assert.equal(late.verdict, 'indeterminate');
  const strangers = await verifyEvidence({ ...evidence, trustRoots: undefined, at: outcome.report.checkedAt });
  assert.equal(strangers.verdict, 'refused', 'the vendors did not sign this');
  await assert.rejects(verifyEvidence({ ...evidence, nonce: 'abcd' }), { slug: 'invalid_argument' });
});

test('NVIDIA is asked what the policy requires, and not twice', async () => {
  const policy = Policy.fromJson({ schema: 'proveil.policy/v1', gpu: { require_rim: true, require_ocsp: true } });
  const { exchange, outcome } = await dialogue({ policy });
  assert.equal(outcome.error, undefined);
  const said = exchange.fetchedEndorsements();
  assert.ok(said.includes('proveil.gpu-endorsements/v1'));
  const again = await dialogue({ policy, endorsements: [said] });
  assert.equal(again.outcome.error, undefined);
  assert.equal(again.exchange.fetchedEndorsements(), undefined);
  const plain = await dialogue();
  assert.equal(plain.exchange.fetchedEndorsements(), undefined);
  await assert.rejects(dialogue({ policy, endorsements: ['{}'] }), { slug: 'collateral_malformed' });
});

/** Fails the first request of a purpose; gives how the dialogue ended. */
async function failing(purpose, kind) {
  const exchange = new Exchange({ provider: 'venice', model, ...settings });
  for (;;) {
    const step = await exchange.next();
    if (step.kind === 'outcome') {
      return step;
    }
    if (step.purpose.includes(purpose)) {
      exchange.fail(kind);
    } else {
      const response = await send(step);
      await exchange.feed(response.status, response.headers, new Uint8Array(await response.arrayBuffer()));
    }
  }
}

test('a transport that fails proves nothing', async () => {
  for (const kind of ['connect', 'timeout', 'broken']) {
    await assert.rejects(failing('model list', kind), { name: 'IndeterminateError', slug: 'models_unreachable' });
    await assert.rejects(failing('attestation', kind), { name: 'IndeterminateError', slug: 'attestation_unreachable' });
    const outcome = await failing('Intel', kind);
    assert.equal(outcome.report.verdict, 'indeterminate', kind);
    assert.ok(outcome.error instanceof IndeterminateError);
    assert.throws(() => outcome.endpoint(), IndeterminateError);
    assert.equal(JSON.parse(outcome.error.report).verdict, 'indeterminate');
  }
  await assert.rejects(failing('attestation', 'tls_rule'), { name: 'VerificationError', slug: 'tls_key_mismatch' });
  assert.throws(() => new Exchange({ provider: 'venice', model, ...settings }).fail('other'), { slug: 'invalid_argument' });
});

test('defects are refused with their code, and nothing is sent', async () => {
  const table = [
    ['nonce-replay', 'nonce_echo_mismatch'],
    ['key-swap', 'reportdata_identity_mismatch'],
    ['tampered-quote', 'quote_signature'],
    ['event-log-payload', 'event_digest_mismatch'],
  ];
  for (const [defect, slug] of table) {
    assert.deepEqual(await simulator.command(`defects ${defect}`), {});
    await simulator.command('clear');
    const client = new Client(settings);
    const report = await client.verify(model);
    assert.equal(report.verdict, 'refused', defect);
    await assert.rejects(chat(client), (error) => {
      assert.ok(error instanceof VerificationError, `${defect}: ${error}`);
      assert.equal(error.code, report.code);
      assert.equal(error.slug, slug);
      assert.equal(JSON.parse(error.report).verdict, 'refused');
      return true;
    });
    assert.deepEqual((await simulator.command('recorded')).prompts, []);
  }
});

test('strict asks for more than this simulator shows', async () => {
  const report = await new Client({ ...settings, policy: Policy.strict() }).verify(model);
  assert.notEqual(report.verdict, 'verified');
});

test('input errors are found before anything is sent', async () => {
  const client = new Client(settings);
  await assert.rejects(client.verify('e2ee-no-such-model'), { name: 'InputError', slug: 'unknown_model' });
  const lost = new Client({ ...settings, baseUrl: 'http://127.0.0.1:1/api/v1' });
  await assert.rejects(lost.verify(model), { name: 'IndeterminateError', slug: 'models_unreachable', retryable: true });
  await assert.rejects(client.chat('{"model":"a","model":"b"}'), InputError);
  await assert.rejects(client.chat({ model, messages: [{ role: 'user', content: 'x' }], tools: [] }), InputError);
  assert.throws(() => new Client({ ...settings, baseUrl: 'http://api.example' }), { name: 'ConfigError', slug: 'invalid_url' });
  assert.throws(() => new Client({ ...settings, provider: 'venise' }), (error) => error.slug === 'unknown_provider' && /`venice`/.test(error.message));
});

test('memory stays flat over verifications and chats', { skip: globalThis.gc ? false : 'needs --expose-gc' }, async () => {
  const client = new Client(settings);
  const cycle = async () => {
    await client.verify(model);
    const stream = await chat(client, {}, 'hi');
    await stream.next();
    stream.close();
  };
  const resident = async (rounds) => {
    for (let round = 0; round < rounds; round++) {
      await cycle();
    }
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc();
    return process.memoryUsage().rss;
  };
  const [first, second] = [await resident(60), await resident(60)];
  assert.ok(second < first * 1.05, `${first} -> ${second}`);
});
