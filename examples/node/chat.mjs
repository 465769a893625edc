// Streams one chat with a proven enclave.
//
//   VENICE_API_KEY=... node chat.mjs MODEL [PROMPT]
//
// PROVEIL_BASE_URL, PROVEIL_COLLATERAL_URL and PROVEIL_TRUST_ROOTS (a file) point it at `proveil simulate venice`.

import { readFileSync } from 'node:fs';

import { Client, ProveilError, TrustRoots } from 'proveil';

const { PROVEIL_BASE_URL: baseUrl, PROVEIL_COLLATERAL_URL: collateralUrl, PROVEIL_TRUST_ROOTS: roots } = process.env;
const [model, content = 'Say hello.'] = process.argv.slice(2);
const trustRoots = roots === undefined ? undefined : TrustRoots.fromJson(readFileSync(roots, 'utf8'));

const client = new Client({ baseUrl, collateralUrl, trustRoots });
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
