// Evidence bundles: the table of forged ones that every language judges, bare evidence from files, a capture of the simulator.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Client, EvidenceBundle, Policy, TrustRoots } from '../dist/index.mjs';
import { ROOT, Simulator } from './support.mjs';

const FOLDER = join(ROOT, 'tests/evidence/bundles');
const index = JSON.parse(readFileSync(join(FOLDER, 'index.json'), 'utf8'));
const part = (text) => new Uint8Array(Buffer.from(text, 'base64'));

function read(id) {
  const text = readFileSync(join(FOLDER, index.cases.find((one) => one.id === id).file), 'utf8');
  return { bundle: EvidenceBundle.fromJson(text), document: JSON.parse(text) };
}

for (const one of index.cases) {
  test(`judges ${one.id}`, async () => {
    const { bundle, document } = read(one.id);
    assert.deepEqual([bundle.kind, bundle.at.getTime()], [one.kind, one.at * 1000]);
    assert.deepEqual(JSON.parse(bundle.toJson()), document);
    const report = await bundle.appraise({ trustRoots: bundle.customRoots });
    assert.deepEqual([report.verdict, report.level ?? null, report.code ?? null], [one.verdict, one.level, one.code]);
    // Roots that a document names vouch for nothing by themselves (threats T68).
    const alone = await bundle.appraise();
    assert.deepEqual([alone.verdict, alone.roots], ['refused', 'vendor']);
  });
}

test('malformed documents', () => {
  for (const { text, code, id } of index.malformed) {
    assert.throws(() => EvidenceBundle.fromJson(text), { code }, id);
  }
});

test('bare evidence from files, and other rules', async () => {
  const { bundle, document } = read('tdx-honest');
  const [{ tdx }, trustRoots, at] = [document, bundle.customRoots, bundle.at];
  const files = [JSON.stringify(tdx.collateral[0]), part(tdx.quote)];
  const { report_data: reportData, mr_td: mrTd, ...registers } = tdx.expected;
  const made = EvidenceBundle.tdx(files, { reportData, mrTd, ...registers, trustRoots, at });
  assert.equal(made.toJson(), bundle.toJson());
  assert.equal((await made.appraise()).level, 'L3');
  assert.equal((await EvidenceBundle.tdx(files, { rtmr1: new Uint8Array(48), trustRoots, at }).appraise()).code, 'PV-260');
  const late = new Date(at.getTime() + 400 * 86_400_000);
  assert.equal((await made.appraise({ at: late })).verdict, 'indeterminate');
  assert.equal((await made.appraise({ policy: Policy.strict() })).verdict, 'verified');
  assert.equal(made.policy.name, 'standard');

  const snp = read('snp-honest').document;
  const roots = TrustRoots.fromJson(snp.trust_roots);
  const parts = ['crl', 'report', 'vcek', 'issuer', 'root'].map((name) => part(snp.snp[name]));
  const { report_data: data, measurement } = snp.snp.expected;
  const guest = EvidenceBundle.snp(parts, { reportData: data, measurement, trustRoots: roots, at });
  assert.equal((await guest.appraise()).level, 'L3');
  assert.throws(() => EvidenceBundle.snp(parts, { mrTd }), { slug: 'invalid_argument' });
  assert.throws(() => EvidenceBundle.snp(parts.slice(2)), { slug: 'evidence_invalid' });

  const { nvidia } = read('nvidia-honest').document;
  const devices = nvidia.devices.flatMap(({ report, chain }) => [part(chain), part(report)]);
  const gpus = EvidenceBundle.nvidia(devices, nvidia.nonce, { trustRoots, at });
  assert.equal((await gpus.appraise()).verdict, 'verified');
  assert.equal((await EvidenceBundle.nvidia(devices, new Uint8Array(32), { trustRoots, at }).appraise()).code, 'PV-215');
});

test('a capture gives the same report again', async () => {
  const simulator = await Simulator.start();
  try {
    const model = simulator.models.find((id) => id.startsWith('e2ee-'));
    const client = new Client({
      apiKey: 'test-key',
      baseUrl: simulator.base_url,
      collateralUrl: simulator.collateral_url,
      trustRoots: TrustRoots.fromJson(simulator.trust_roots),
    });
    for (const [defect, verdict] of [['', 'verified'], ['tampered-quote', 'refused']]) {
      await simulator.command(`defects ${defect}`.trim());
      const bundle = await client.capture(model);
      const report = await bundle.appraise();
      assert.deepEqual([bundle.kind, report.verdict, report.roots], ['provider', verdict, 'custom']);
      assert.ok(!bundle.toJson().includes('test-key'));
      const kept = EvidenceBundle.fromJson(bundle.toJson());
      assert.equal((await kept.appraise({ trustRoots: kept.customRoots })).toJson(), report.toJson());
    }
    await client.close();
  } finally {
    await simulator.stop();
  }
});
