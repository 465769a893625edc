// What the package exports, that a proof cannot be made by hand, and that nothing prints a secret.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect as show } from 'node:util';

import * as esm from 'proveil';
import { candidates, missingBinary, platformName, PLATFORMS, thisPlatform } from '../dist/platform.js';
import { ROOT } from './support.mjs';

const cjs = createRequire(import.meta.url)('proveil');

const NAMES = `AbortError AccessError CODES Client ConfigError EvidenceBundle Exchange Header HttpRequest IndeterminateError InputError IntegrityError
  InternalError LimitError MisuseError Opener Outcome Policy ProtocolError ProveilError Receipt Report SealedRequest Stream TrustRoots
  VerificationError VerifiedEndpoint inspect inspectKinds openField openerForKey providers sealField verifyEvidence version`;

test('import and require give the same objects', () => {
  assert.deepEqual(Object.keys(cjs).sort(), NAMES.split(/\s+/).sort());
  for (const name of Object.keys(cjs)) {
    assert.equal(esm[name], cjs[name], name);
  }
});

test('versions agree', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node/package.json'), 'utf8'));
  const [, crates] = /\[workspace\.package\]\s+version = "([^"]+)"/.exec(readFileSync(join(ROOT, 'Cargo.toml'), 'utf8'));
  assert.deepEqual([esm.version, crates], [version, version]);
});

test('nothing but a verification makes a proof (style.md B4)', async () => {
  for (const name of ['VerifiedEndpoint', 'SealedRequest', 'HttpRequest', 'Header', 'Outcome', 'Opener', 'Receipt', 'Report', 'Policy', 'TrustRoots', 'Stream', 'EvidenceBundle']) {
    const type = esm[name];
    for (const argument of [undefined, {}, Symbol('proveil'), { report: () => ({ ok: {} }) }]) {
      assert.throws(() => new type(argument, {}), { name: 'MisuseError', slug: 'out_of_order' }, name);
    }
  }
  const forged = Object.create(esm.VerifiedEndpoint.prototype);
  assert.throws(() => forged.report, TypeError);
  await assert.rejects(() => forged.seal('{}'), TypeError);
});

test('the native classes have no constructor', () => {
  const native = createRequire(import.meta.url)(join(ROOT, 'node', `proveil.${platformName(thisPlatform())}.node`));
  for (const name of ['Endpoint', 'Opener', 'Receipt', 'Report', 'Exchange', 'Client', 'Stream', 'Cancel', 'EvidenceBundle']) {
    assert.throws(() => new native[name](), /constructor/, name);
  }
});

test('nothing prints an API key or a prompt', async () => {
  const key = 'canary-key-51aa';
  const exchange = new esm.Exchange({ provider: 'venice', model: 'e2ee-m', apiKey: key });
  const request = await exchange.next(new Date(1_781_056_027_000));
  const client = new esm.Client({ apiKey: key });
  const secret = request.headers.find(({ sensitive }) => sensitive);
  assert.ok(secret.value.includes(key), 'the canary is in the request');
  for (const value of [exchange, request, request.headers, secret, client]) {
    for (const text of [show(value, { showHidden: true, depth: 9 }), JSON.stringify(value), String(value)]) {
      assert.ok(!text.includes('canary'), text);
    }
  }
});

test('policies are values', () => {
  const [standard, strict] = [esm.Policy.standard(), esm.Policy.strict()];
  assert.deepEqual([standard.name, strict.name], ['standard', 'strict']);
  assert.match(standard.sha256, /^[0-9a-f]{64}$/);
  assert.notEqual(standard.sha256, strict.sha256);
  const again = esm.Policy.fromJson(standard.toJson());
  assert.deepEqual([again.sha256, again.toJson()], [standard.sha256, standard.toJson()]);
  const own = esm.Policy.fromJson({ schema: 'proveil.policy/v1', name: 'mine', extends: 'strict', max_age_s: 60 });
  assert.equal(own.name, 'mine');
  assert.throws(() => esm.TrustRoots.fromJson('{}'), { slug: 'trust_roots_invalid' });
  assert.throws(() => (standard.name = 'x'), TypeError);
});

test('a missing binary is explained', () => {
  const musl = { os: 'linux', cpu: 'x64', libc: 'musl' };
  assert.deepEqual(candidates(musl, '/p'), [join('/p', 'proveil.linux-x64-musl.node'), '@proveil/linux-x64-musl']);
  const text = missingBinary(musl, [new Error('first line\nsecond line')]);
  for (const part of ['linux', 'x64', 'musl', '`@proveil/linux-x64-musl`', 'optional', 'first line']) {
    assert.ok(text.includes(part), `${part}: ${text}`);
  }
  assert.ok(!text.includes('second line'));
  const odd = missingBinary({ os: 'aix', cpu: 'ppc64' }, []);
  assert.ok(odd.includes('no package') && PLATFORMS.every((name) => odd.includes(name)));
});

test('the API key comes from the argument, the variable or the file it names', () => {
  const folder = mkdtempSync(join(tmpdir(), 'proveil-key-'));
  const { VENICE_API_KEY, VENICE_API_KEY_FILE, ...rest } = process.env;
  const before = process.env;
  const under = (variables, work) => {
    process.env = { ...rest, ...variables };
    try {
      return work();
    } finally {
      process.env = before;
    }
  };
  const path = join(folder, 'key');
  writeFileSync(path, 'k\n');
  try {
    for (const variables of [{ VENICE_API_KEY: 'k' }, { VENICE_API_KEY_FILE: path }]) {
      assert.ok(under(variables, () => new esm.Client()));
    }
    assert.ok(under({}, () => new esm.Client({ apiKey: 'k' })));
    assert.throws(() => under({}, () => new esm.Client()), { slug: 'missing_api_key', details: { check: 'VENICE_API_KEY' } });
    const gone = { VENICE_API_KEY_FILE: join(folder, 'gone') };
    assert.throws(() => under(gone, () => new esm.Client()), { name: 'ConfigError', slug: 'file_unreadable' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
