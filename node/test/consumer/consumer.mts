// A user's program, compiled against the package's types, strictly and without `skipLibCheck`.

import { Client, Exchange, openerForKey, Policy, ProveilError, verifyEvidence, VerificationError, version } from 'proveil';
import type { CallOptions, Check, Event, HttpRequest, Outcome, Report, SignatureVerdict, Slug, Verdict } from 'proveil';

export async function chat(apiKey: string, options: CallOptions): Promise<SignatureVerdict> {
  await using client = new Client({ apiKey, policy: Policy.strict(), timeouts: { connectS: 5 } });
  const stream = await client.chat({ model: 'm', messages: [{ role: 'user', content: 'Hello' }], temperature: 0 }, options);
  for await (const { kind, choice, text } of stream) {
    const known: 'content' | 'reasoning' | 'finish' | 'usage' | 'document' = kind;
    known.concat(text, String(choice));
  }
  for await (const text of stream.textStream()) {
    text.toUpperCase();
  }
  const fields: number | undefined = stream.receipt?.sealedFields;
  return fields === undefined ? stream.verifySignature() : 'body_matches';
}

export async function own(exchange: Exchange, send: (request: HttpRequest) => Promise<Uint8Array>): Promise<Outcome> {
  for (;;) {
    const step = await exchange.next();
    if (step.kind === 'outcome') {
      return step;
    }
    await exchange.feed(200, { 'content-type': 'application/json' }, await send(step));
  }
}

export function open(key: Uint8Array, bytes: Uint8Array): Event[] {
  using opener = openerForKey(key);
  opener.head(200, [['content-type', 'text/event-stream']]);
  return opener.push(bytes);
}

export async function judge(response: string, nonce: Uint8Array): Promise<Verdict> {
  const report: Report = await verifyEvidence({ provider: 'venice', response, nonce, collateral: [], at: new Date(0) });
  const failed: readonly Check[] = report.checks.filter((check) => check.outcome === 'fail');
  return failed.length === 0 ? report.verdict : 'refused';
}

export function slugOf(error: unknown): Slug | undefined {
  if (error instanceof VerificationError && error.slug === 'reportdata_nonce_mismatch') {
    return error.slug;
  }
  return error instanceof ProveilError ? error.slug : undefined;
}

// @ts-expect-error a proof cannot be constructed
new (await import('proveil')).VerifiedEndpoint();
// @ts-expect-error an event kind that does not exist
export const wrong: Event['kind'] = 'tool';
export const text: string = version;
