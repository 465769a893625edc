// Conformance driver for Node: see ../../protocol.md.

import { createInterface } from 'node:readline';

import { inspect, openerForKey, openField, ProveilError, sealField } from '../../../../node/dist/index.mjs';

const flat = (events) => events.map(({ kind, choice, text }) => [kind, choice, text]);
const hex = (text) => Buffer.from(text, 'utf8').toString('hex');

/** An error with the events that came before it. */
class Failed extends Error {
  constructor(error, delivered) {
    super(error.message);
    Object.assign(this, { error, delivered });
  }
}

function openStream(key, flag, status, contentType, ...pieces) {
  const seen = [];
  try {
    const opener = openerForKey(key, { allowWhitespacePlaintext: flag === 'allow_whitespace_plaintext' });
    opener.head(Number(status), { 'content-type': contentType });
    for (const piece of pieces) {
      seen.push(...flat(opener.push(Buffer.from(piece, 'hex'))));
    }
    const receipt = opener.finish();
    return {
      events: [...seen, ...flat(receipt.events)],
      receipt: {
        id: receipt.id ?? null,
        sealed_fields: receipt.sealedFields,
        body_bytes: receipt.bodyBytes,
        ignored_bytes: receipt.ignoredBytes,
        response_sha256: receipt.responseSha256,
      },
    };
  } catch (error) {
    throw error instanceof ProveilError ? new Failed(error, [...seen, ...flat(error.events)]) : error;
  }
}

const verbs = {
  inspect: (kind, json) => inspect(kind, json),
  open_field: (key, field) => hex(openField(key, field)),
  seal_field: (key, plaintext) => sealField(key, Buffer.from(plaintext, 'hex')),
  open_stream: openStream,
};

async function answer({ id, verb, args }) {
  try {
    return { id, ok: await verbs[verb](...args) };
  } catch (caught) {
    const { error, delivered } = caught instanceof Failed ? caught : { error: caught, delivered: [] };
    if (!(error instanceof ProveilError)) {
      throw error;
    }
    return { id, error: { slug: error.slug, delivered, found: error.details.found ?? null } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
