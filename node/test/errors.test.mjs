// The registry in TypeScript equals the one that every language is tested against (style.md B7).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect as show } from 'node:util';

import * as proveil from '../dist/index.mjs';
import { errorOf } from '../dist/errors.js';
import { pieces, ROOT, vectors } from './support.mjs';

const rows = (() => {
  const document = JSON.parse(readFileSync(join(ROOT, 'tests/vectors/errors.json'), 'utf8'));
  return Array.isArray(document) ? document : document.cases;
})();

test('every code is the one of errors.json', () => {
  assert.ok(rows.length > 50);
  assert.equal(proveil.CODES.length, rows.length);
  proveil.CODES.forEach((code, index) => {
    for (const [member, value] of Object.entries(code)) {
      assert.deepEqual(value, rows[index][member], `${code.slug}: ${member}`);
    }
  });
});

test('every code has its class, and each class is exported', () => {
  for (const row of proveil.CODES) {
    const error = errorOf(row.slug, { check: 'c', expected: 'e', found: 'f' });
    assert.equal(error.constructor, proveil[row.class], row.slug);
    assert.ok(error instanceof proveil.ProveilError && error instanceof Error);
    assert.deepEqual(
      [error.name, error.code, error.number, error.slug, error.message, error.hint, error.retryable],
      [row.class, row.code, row.number, row.slug, row.message, row.hint, row.retryable],
    );
    assert.deepEqual(error.details, { check: 'c', expected: 'e', found: 'f' });
    assert.deepEqual([error.report, error.events], [undefined, []]);
  }
});

test('a native failure says what was compared', () => {
  const wrong = () => proveil.Policy.fromJson({ schema: 'proveil.policy/v1', sofware: {} });
  assert.throws(wrong, (error) => {
    assert.ok(error instanceof proveil.ConfigError);
    assert.equal(error.slug, 'policy_invalid');
    assert.match(error.message, /`software`/);
    assert.deepEqual({ ...error.details }, { check: 'sofware', found: 'sofware' });
    return true;
  });
});

test('arguments of a wrong type are invalid_argument and are not quoted', () => {
  const canary = { canary: 'canary-secret' };
  const calls = [
    () => proveil.sealField(canary, 'x'),
    () => proveil.sealField('zz', 'x'),
    () => proveil.openField(7, 'x'),
    () => proveil.openField(new Uint8Array(32).fill(1), canary),
    () => proveil.openField(new Uint8Array(31), 'canary-secret'),
    () => new proveil.Client({ apiKey: canary }),
    () => new proveil.Exchange({ provider: 'venice', model: canary, apiKey: 'canary-secret' }),
    () => proveil.openerForKey('01'.repeat(32)).head('canary-secret', {}),
    () => proveil.openerForKey('01'.repeat(32)).head(200, { a: canary }),
    () => proveil.openerForKey('01'.repeat(32)).head(200, 'canary-secret'),
    () => proveil.Policy.fromJson(7),
  ];
  for (const call of calls) {
    assert.throws(call, (error) => {
      assert.ok(error instanceof proveil.InputError, `${call}: ${error}`);
      assert.equal(error.slug, 'invalid_argument', String(call));
      assert.ok(!show(error, { showHidden: true, depth: 9 }).includes('canary-secret\''), String(call));
      return true;
    });
  }
});

test('an error never prints what was opened before it', () => {
  const one = vectors('sse')['bad-tag-mid-stream'];
  const opener = proveil.openerForKey(one.client_private_key);
  opener.head(200, { 'content-type': 'text/event-stream' });
  assert.throws(
    () => opener.push(Buffer.concat(pieces(one))),
    (error) => {
      assert.ok(error instanceof proveil.IntegrityError);
      assert.equal(error.slug, 'auth_failed');
      assert.equal(error.events.map(({ text }) => text).join(''), 'ok ');
      assert.ok(!show(error, { depth: 9 }).includes('ok '));
      assert.ok(!JSON.stringify(error).includes('ok '));
      return true;
    },
  );
});
