// Streams one chat with a proven enclave.
//
//   VENICE_API_KEY=... node chat.mjs venice MODEL PROMPT [BASE_URL [COLLATERAL_URL [TRUST_ROOTS.json]]]
//   PRIVATEMODE_API_KEY=... node chat.mjs privatemode MODEL PROMPT [...]
//
// The three optional arguments point it at a simulator or a mirror.

import { readFileSync } from 'node:fs';

import { Client, ProveilError, TrustRoots } from 'proveil';

const [provider, model, content, baseUrl, collateralUrl, roots] = process.argv.slice(2);
const trustRoots = roots === undefined ? undefined : TrustRoots.fromJson(readFileSync(roots, 'utf8'));

const client = new Client({ provider, baseUrl, collateralUrl, trustRoots });
try {
  const stream = await client.chat({ model, messages: [{ role: 'user', content }] });
  console.error(stream.report.headline);
  for await (const text of stream.textStream()) {
    process.stdout.write(text);
  }
  process.stdout.write('\n');
  console.error(`${stream.receipt.sealedFields} sealed fields opened`);
} catch (error) {
  if (!(error instanceof ProveilError)) {
    throw error;
  }
  console.error(`${error.code}: ${error.message} ${error.hint}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
