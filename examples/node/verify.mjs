// Judges a captured attestation offline: no network, no account.
//
//   node verify.mjs RESPONSE.json NONCE_HEX COLLATERAL.json UNIX_SECONDS [TRUST_ROOTS.json]

import { readFileSync } from 'node:fs';

import { TrustRoots, verifyEvidence } from 'proveil';

const [response, nonce, collateral, at, roots] = process.argv.slice(2);
const report = await verifyEvidence({
  provider: 'venice',
  response: readFileSync(response),
  nonce,
  collateral: [readFileSync(collateral)],
  at: new Date(Number(at) * 1000),
  trustRoots: roots === undefined ? undefined : TrustRoots.fromJson(readFileSync(roots, 'utf8')),
});
console.log(report.toText());
process.exitCode = { verified: 0, refused: 3, indeterminate: 4 }[report.verdict];
