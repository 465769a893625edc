// Opening answers: events, errors with what came before them, order, fields.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { inspect, inspectKinds, openerForKey, openField, providers, sealField } from '../dist/index.mjs';
import { joined, pieces, vectors } from './support.mjs';

const cases = vectors('sse');
const HEADERS = { 'Content-Type': 'text/event-stream' };

function open(one) {
  const opener = openerForKey(one.client_private_key, {
    allowWhitespacePlaintext: one.policy === 'allow_whitespace_plaintext',
  });
  opener.head(one.http_status ?? 200, { 'content-type': one.content_type });
  return opener;
}

function events(one, chunks) {
  const opener = open(one);
  const seen = chunks.flatMap((chunk) => opener.push(chunk));
  const receipt = opener.finish();
  assert.ok(receipt.sealedFields > 0 && receipt.bodyBytes > 0);
  assert.match(receipt.responseSha256, /^[0-9a-f]{64}$/);
  return [...seen, ...receipt.events];
}

const content = (all) => all.filter(({ kind }) => kind === 'content').map(({ text }) => text).join('');

test('any cut gives the same', () => {
  const body = joined(cases.basic);
  const expected = events(cases.basic, [body]);
  assert.equal(content(expected), 'Hello, world');
  for (const size of [1, 7, 100, 4096]) {
    const cut = [];
    for (let at = 0; at < body.length; at += size) {
      cut.push(body.subarray(at, at + size));
    }
    assert.deepEqual(events(cases.basic, cut), expected, `pieces of ${size}`);
  }
});

test('pushText is the content alone', () => {
  for (const name of ['reasoning-content', 'two-choices', 'comments-and-usage']) {
    const opener = open(cases[name]);
    const texts = pieces(cases[name]).flatMap((piece) => opener.pushText(piece));
    opener.finish();
    const all = events(cases[name], pieces(cases[name]));
    assert.deepEqual(texts, all.filter(({ kind }) => kind === 'content').map(({ text }) => text), name);
  }
});

test('errors bring what came before them', () => {
  const table = [
    ['bad-tag-mid-stream', 'auth_failed', 'IntegrityError', 'ok '],
    ['plaintext-injected', 'plaintext_downgrade', 'IntegrityError', 'secret '],
    ['error-event-mid-stream', 'upstream_error', 'ProtocolError', 'kept'],
    ['truncated-no-done', 'truncated', 'ProtocolError', 'cutoff'],
  ];
  for (const [name, slug, kind, before] of table) {
    for (const method of ['push', 'pushText']) {
      const opener = open(cases[name]);
      let text = '';
      const run = () => {
        for (const piece of pieces(cases[name])) {
          for (const given of opener[method](piece)) {
            text += typeof given === 'string' ? given : content([given]);
          }
        }
        opener.finish();
      };
      assert.throws(run, (error) => {
        assert.deepEqual([error.slug, error.name, text + content(error.events)], [slug, kind, before], name);
        return true;
      });
      assert.throws(() => opener.push(new Uint8Array()), { name: 'MisuseError', slug: 'already_finished' });
    }
  }
});

test('an answer cut anywhere is never complete', () => {
  const body = joined(cases['comments-and-usage']);
  const done = body.indexOf('data: [DONE]');
  assert.ok(done > 0);
  for (let end = 0; end < done; end += 37) {
    const opener = open(cases['comments-and-usage']);
    opener.push(body.subarray(0, end));
    assert.throws(() => opener.finish(), { name: 'ProtocolError', slug: 'truncated' }, String(end));
  }
});

test('order and end', () => {
  const opener = openerForKey('01'.repeat(32));
  assert.throws(() => opener.push(new Uint8Array()), { slug: 'out_of_order' });
  opener.head(200, new Headers(HEADERS));
  assert.throws(() => opener.head(200, HEADERS), { slug: 'out_of_order' });
  opener.close();
  opener.close();
  for (const call of [() => opener.push(new Uint8Array()), () => opener.finish(), () => opener.head(200, HEADERS)]) {
    assert.throws(call, { name: 'MisuseError', slug: 'already_finished' });
  }
});

test('headers in any form', () => {
  const forms = [HEADERS, new Headers(HEADERS), new Map(Object.entries(HEADERS)), [['content-type', 'text/event-stream']], { 'content-type': ['text/event-stream'] }];
  for (const form of forms) {
    openerForKey('01'.repeat(32)).head(200, form);
  }
  assert.throws(() => openerForKey('01'.repeat(32)).head(200, { 'content-type': 'text/html' }), { slug: 'unexpected_content_type' });
});

test('openers are disposable where the runtime has the symbol', () => {
  if (Symbol.dispose === undefined) {
    return;
  }
  const opener = openerForKey('01'.repeat(32));
  opener[Symbol.dispose]();
  assert.throws(() => opener.finish(), { slug: 'already_finished' });
});

test('fields both ways', () => {
  const one = vectors('fields_ecdsa')['s2c-ascii'];
  const [key, recipient] = [one.recipient_private_key, one.recipient_public_key];
  for (const form of [key, Buffer.from(key, 'hex'), new Uint8Array(Buffer.from(key, 'hex'))]) {
    assert.equal(openField(form, one.field_hex), one.plaintext);
  }
  for (const to of [recipient, Buffer.from(recipient, 'hex')]) {
    for (const plaintext of ['Gr\u00fc\u00df dich', Buffer.from('Gr\u00fc\u00df dich')]) {
      assert.equal(openField(key, sealField(to, plaintext)), 'Gr\u00fc\u00df dich');
    }
  }
  assert.notEqual(sealField(recipient, 'x'), sealField(recipient, 'x'), 'fresh keys each time (threats T29)');
  for (const bad of ['', '00'.repeat(32), 'ff'.repeat(32), '01'.repeat(33), new Uint8Array(5)]) {
    assert.throws(() => openField(bad, one.field_hex), (error) => ['invalid_argument', 'key_invalid'].includes(error.slug));
    assert.throws(() => openerForKey(bad), (error) => ['invalid_argument', 'key_invalid'].includes(error.slug));
  }
});

test('inspect knows its kinds', async () => {
  assert.deepEqual(providers(), ['venice', 'privatemode']);
  assert.ok(inspectKinds().includes('venice.key'));
  await assert.rejects(inspect('venice.kee', {}), (error) => error.slug === 'invalid_argument' && /`venice.key`/.test(error.message));
  await assert.rejects(inspect('venice.key', '{"a":1,"a":2}'), { slug: 'invalid_argument' });
});
