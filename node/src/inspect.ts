// Single checks and single fields, for tools, tests and SDKs that keep their own sealing.

import { hexOrBytes, toBytes, toJsonText, type BytesLike, type JsonLike } from './convert.js';
import { call, callAsync } from './errors.js';
import { native } from './native.js';
import { Opener } from './opener.js';

/** Runs one pure check over provider data (`venice.key`, `tdx.quote`, ...): JSON in, JSON out, never a proof. */
export async function inspect(kind: string, json: JsonLike): Promise<Record<string, unknown>> {
  const text = toJsonText('json', json);
  return JSON.parse(await callAsync(() => native.inspect(kind, text))) as Record<string, unknown>;
}

/** The kinds that {@link inspect} knows. */
export function inspectKinds(): string[] {
  return native.inspectKinds();
}

/** The names of all providers. */
export function providers(): string[] {
  return native.providers();
}

/** Seals one field to a public key (33, 64 or 65 bytes, or their hex): lowercase hex. */
export function sealField(recipient: Uint8Array | string, plaintext: BytesLike): string {
  const [key, bytes] = [hexOrBytes('recipient', recipient), toBytes('plaintext', plaintext)];
  return call(() => native.sealField(key, bytes));
}

/** Opens one sealed field with a private key (32 bytes, or their hex). */
export function openField(key: Uint8Array | string, fieldHex: string): string {
  const bytes = hexOrBytes('key', key);
  return call(() => native.openField(bytes, fieldHex));
}

/** An opener for an answer to a request that was sealed elsewhere, by the private key whose public half was sent. */
export function openerForKey(
  key: Uint8Array | string,
  options: { readonly allowWhitespacePlaintext?: boolean } = {},
): Opener {
  const bytes = hexOrBytes('key', key);
  return Opener.wrap(call(() => native.openerForKey(bytes, options.allowWhitespacePlaintext ?? false)));
}
