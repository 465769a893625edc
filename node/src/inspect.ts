// Single checks and single fields, for tools, tests and SDKs that keep their own sealing.

import { toBytes, toJsonText, type BytesLike, type JsonLike } from './convert.js';
import { call, callAsync } from './errors.js';
import { native } from './native.js';
import { Opener } from './opener.js';

/** Runs one pure check over provider data (`venice.key`, `tdx.quote`, ...): JSON in, JSON out, never a proof. */
export async function inspect(kind: string, json: JsonLike): Promise<Record<string, unknown>> {
  const text = toJsonText('json', json);
  return JSON.parse(await callAsync(() => native.inspect(kind, text))) as Record<string, unknown>;
}

/** Seals one field to a public key (65 bytes): lowercase hex. */
export function sealField(recipient: Uint8Array, plaintext: BytesLike): string {
  const bytes = toBytes('plaintext', plaintext);
  return call(() => native.sealField(recipient, bytes));
}

/** Opens one sealed field with a private key (32 bytes). */
export function openField(key: Uint8Array, fieldHex: string): string {
  return call(() => native.openField(key, fieldHex));
}

/** An opener for an answer to a request that was sealed elsewhere, by the private key whose public half was sent. */
export function openerForKey(
  key: Uint8Array,
  options: { readonly allowWhitespacePlaintext?: boolean } = {},
): Opener {
  return Opener.wrap(call(() => native.openerForKey(key, options.allowWhitespacePlaintext ?? false)));
}
