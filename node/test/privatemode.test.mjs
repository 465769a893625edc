// Privatemode against its simulator: every endpoint round, refusals and broken answers with their own errors.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Client, Exchange, InputError, Outcome, ProveilError, TrustRoots } from '../dist/index.mjs';
import { Simulator } from './support.mjs';

const [CHATTER, EMBEDDER] = ['sim-kimi-2', 'sim-embedding-4b'];
const CANARY = 'canary-41d7ac';
const CHAT = { model: CHATTER, messages: [{ role: 'user', content: `What is remote attestation? ${CANARY}` }] };
const EMBED = { model: EMBEDDER, input: [CANARY, 'two'], dimensions: 8 };
let simulator;
let settings;

before(async () => {
  simulator = await Simulator.startPrivatemode();
  settings = {
    provider: 'privatemode',
    apiKey: 'test-key',
    baseUrl: simulator.base_url,
    manifestUrl: simulator.manifest_url,
    amdUrl: simulator.amd_url,
    trustRoots: TrustRoots.fromJson(simulator.trust_roots),
    proxy: 'none',
  };
});
after(() => simulator.stop());
beforeEach(async () => {
  await simulator.command('defects');
  await simulator.command('clear');
});

/** The events of an answer. */
async function all(stream) {
  const events = [];
  for await (const event of stream) {
    events.push(event);
  }
  return events;
}

/** A tenth of a second of silence, 8-bit mono at 8 kHz. */
function wav() {
  const out = Buffer.alloc(844, 0x80);
  out.write('RIFF\0\0\0\0WAVEfmt ', 'latin1');
  out.writeUInt32LE(836, 4);
  out.writeUInt32LE(16, 16);
  out.writeUInt32LE(0x00010001, 20);
  out.writeUInt32LE(8000, 24);
  out.writeUInt32LE(8000, 28);
  out.writeUInt32LE(0x00080001, 32);
  out.write('data', 36, 'latin1');
  out.writeUInt32LE(800, 40);
  return out;
}

test('chat', async () => {
  const client = new Client(settings);
  assert.equal((await client.models()).find((model) => model.id === CHATTER).class, 'e2ee');
  for (const stream of [false, true]) {
    const events = await all(await client.chat({ ...CHAT, stream }));
    const texts = events.filter((event) => event.kind === 'content');
    assert.match(texts.map((event) => event.text).join(''), /remote attestation/);
    assert.equal(texts.length > 1, stream);
    assert.deepEqual(events.filter((event) => event.kind === 'finish').map((event) => event.text), ['stop']);
  }
  assert.equal((await simulator.command(`saw ${CANARY}`)).saw, false);
  assert.ok((await simulator.command('recorded')).prompts.some((prompt) => prompt.includes(CANARY)));
});

test('the other endpoints', async () => {
  const client = new Client(settings);
  const vectors = JSON.parse(await client.embeddings(EMBED)).data;
  assert.deepEqual(vectors.map((entry) => entry.embedding.length), [8, 8]);
  assert.deepEqual(JSON.parse(await client.embeddings(JSON.stringify(EMBED))).data, vectors);

  const form = new FormData();
  form.set('model', 'openai/sim-whisper-3');
  form.set('file', new Blob([wav()], { type: 'audio/wav' }), 'a.wav');
  const upload = new Response(form);
  const heard = await client.transcriptions(await upload.arrayBuffer(), upload.headers.get('content-type'));
  const checksum = createHash('sha256').update(wav()).digest('hex').slice(0, 16);
  assert.equal(JSON.parse(heard).text, `A recording of 844 bytes with the checksum ${checksum}.`);

  const body = { ...CHAT, max_tokens: 64 };
  const [whole, ...more] = await all(await client.send('/v1/messages', body));
  assert.equal(whole.kind, 'document');
  assert.equal(more.length, 0);
  assert.ok(JSON.parse(whole.text).content[0].text);
  const parts = await all(await client.send('/v1/messages', { ...body, stream: true }));
  assert.equal(JSON.parse(parts[0].text).type, 'message_start');
  assert.equal(whole.name, '');
  assert.ok(parts.every((part) => part.name === JSON.parse(part.text).type));
  assert.ok(parts.length > 3 && parts.every((part) => part.kind === 'document'));
  const [completion] = await all(await client.send('/v1/chat/completions', CHAT));
  assert.equal(JSON.parse(completion.text).choices[0].finish_reason, 'stop');
  assert.equal((await simulator.command(`saw ${CANARY}`)).saw, false);
});

const refusals = [
  ['report-tampered', 'snp_signature'],
  ['manifest-other', 'manifest_mismatch'],
  ['attest-down', 'attestation_unavailable'],
];
for (const [defect, slug] of refusals) {
  test(`refusal: ${defect}`, async () => {
    await simulator.command(`defects ${defect}`);
    await assert.rejects(new Client(settings).embeddings(EMBED), (error) => error instanceof ProveilError && error.slug === slug);
    assert.deepEqual((await simulator.command('recorded')).prompts, []);
  });
}

const broken = [
  ['stream-cut', 'truncated'],
  ['clear-content', 'not_ciphertext'],
  ['field-reflected', 'reflected_field'],
];
for (const [defect, slug] of broken) {
  test(`broken answer: ${defect}`, async () => {
    await simulator.command(`defects ${defect}`);
    const client = new Client(settings);
    const request = { ...CHAT, stream: true };
    for (const stream of [await client.chat(request), await client.send('/v1/chat/completions', request)]) {
      await assert.rejects(all(stream), (error) => error.slug === slug);
    }
  });
}

test('what cannot be sent', async () => {
  const client = new Client(settings);
  const cases = [
    [() => client.send(`/v1/files?${CANARY}`, {}), 'unsupported_endpoint'],
    [() => client.embeddings('{'), 'malformed_request'],
    [() => client.embeddings('{"model":"a","model":"b"}'), 'duplicate_member'],
  ];
  for (const [call, slug] of cases) {
    await assert.rejects(call, (error) => error instanceof InputError && error.slug === slug && !error.message.includes(CANARY));
  }
  await assert.rejects(client.embeddings(EMBED, { signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('log of manifests', async () => {
  const workspace = await mkdtemp(join(tmpdir(), 'proveil-'));
  try {
    await new Client({ ...settings, workspace }).verify(CHATTER);
    const log = await readFile(join(workspace, 'manifests', 'log.txt'), 'utf8');
    assert.match(log, /^\S+Z manifests\/1\.json sha256:[0-9a-f]{64} CUSTOM roots\n$/);
    assert.equal(await readFile(join(workspace, 'manifests', '1.json'), 'utf8'), simulator.manifest);
  } finally {
    await rm(workspace, { recursive: true });
  }
});

test('settings', async () => {
  const verdict = async (more) => {
    const report = await new Client({ ...settings, ...more }).verify(CHATTER);
    return [report.verdict, report.level];
  };
  const { manifest } = simulator;
  assert.deepEqual(await verdict({ manifest }), ['verified', 'L3']);
  assert.deepEqual(await verdict({ manifest: Buffer.from(manifest) }), ['verified', 'L3']);
  assert.equal((await verdict({ manifest: `${manifest} ` }))[0], 'refused');
  assert.equal((await verdict({ keyServiceName: 'elsewhere.example' }))[0], 'refused');
  assert.throws(() => new Client({ ...settings, cacheSalt: 'short' }), { slug: 'cache_salt' });
  assert.throws(() => new Client({ ...settings, amdUrl: 'ftp://kds' }), { slug: 'invalid_url' });
  await simulator.command('defects gpu-revoked');
  await assert.rejects(new Client(settings).chat(CHAT), { slug: 'gpu_status_refused' });
  const lenient = new Client({ ...settings, gpuRevocationGraceS: 4e9, cacheSalt: 's'.repeat(32) });
  assert.ok((await all(await lenient.chat(CHAT))).length > 0);
});

test('over another transport', async () => {
  const { baseUrl, trustRoots } = settings;
  const exchange = new Exchange({ provider: 'privatemode', model: EMBEDDER, apiKey: 'test-key', baseUrl, trustRoots, manifest: simulator.manifest });
  let step;
  while (!((step = await exchange.next()) instanceof Outcome)) {
    const { status, headers, body } = await send(step);
    await exchange.feed(status, headers, body);
  }
  const endpoint = step.endpoint();
  const [sealed, opener] = await endpoint.sealRequest('/v1/embeddings', EMBED);
  assert.ok(!Buffer.from(sealed.request.body).includes(CANARY));
  const { status, headers, body } = await send(sealed.request);
  opener.head(status, headers);
  const events = opener.push(body);
  const receipt = opener.finish();
  const [document] = [...events, ...receipt.events];
  assert.equal(document.kind, 'document');
  assert.equal(JSON.parse(document.text).data.length, 2);
  await assert.rejects(endpoint.sealRequest('/v1/files', EMBED), { slug: 'unsupported_endpoint' });
  await assert.rejects(endpoint.sealRequest('/v1/embeddings', EMBED, undefined, endpoint.notAfter), { slug: 'proof_expired' });
});

/** A host's own transport. */
async function send(request) {
  const headers = Object.fromEntries(request.headers.map(({ name, value }) => [name, value]));
  const body = request.method === 'POST' ? request.body : undefined;
  const answer = await fetch(request.url, { method: request.method, headers, body, redirect: 'manual' });
  return { status: answer.status, headers: answer.headers, body: new Uint8Array(await answer.arrayBuffer()) };
}
