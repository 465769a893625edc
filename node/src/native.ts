// The types of the native part (bindings/node) and the one place that loads it.

import { join } from 'node:path';
import { candidates, missingBinary, thisPlatform } from './platform.js';

/** What every native function gives: a value or a failure. */
export type Answer<T> = { readonly ok: T; readonly error?: undefined } | { readonly ok?: undefined; readonly error: Failure };

/** The fields of a failure, as the registry and the core name them. */
export interface Failure {
  readonly code: string;
  readonly number: number;
  readonly slug: string;
  readonly class: string;
  readonly message: string;
  readonly hint: string;
  readonly retryable: boolean;
  readonly check?: string;
  readonly expected?: string;
  readonly found?: string;
  readonly report?: string;
  readonly events: NativeEvent[];
}

export interface NativeEvent {
  readonly kind: 'content' | 'reasoning' | 'finish' | 'usage' | 'document';
  readonly choice: number;
  readonly text: string;
  readonly name: string;
}

export interface NativeReport {
  json(): Answer<string>;
  text(): Answer<string>;
  html(): Answer<string>;
  svg(): Answer<string>;
  earJson(): Answer<string>;
}

export interface NativeBundle {
  fields(): Answer<BundleFields>;
  json(): Answer<string>;
  appraise(policy: string | undefined, roots: string | undefined, at: number | undefined): Promise<Answer<NativeReport>>;
}

export interface BundleFields {
  readonly kind: 'provider' | 'snp' | 'tdx' | 'nvidia';
  readonly at: number;
  readonly policy: PolicyFields;
  readonly customRoots?: string;
}

export interface PolicyFields {
  readonly json: string;
  readonly name: string;
  readonly sha256: string;
}

export interface RequestFields {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string; readonly sensitive: boolean }[];
  readonly body: Uint8Array;
  readonly pinnedSpki?: readonly Uint8Array[];
  readonly maxResponseBytes: number;
  readonly purpose: string;
}

export interface StepFields {
  readonly request?: RequestFields;
  readonly report?: NativeReport;
  readonly endpoint?: NativeEndpoint;
  readonly refusal?: Answer<never>;
}

export interface NativeExchange {
  next(at: number | undefined): Promise<Answer<StepFields>>;
  feed(status: number, headers: string[], body: Uint8Array): Promise<Answer<null>>;
  fail(kind: string): Answer<null>;
  fetchedCollateral(): Answer<string[]>;
  fetchedEndorsements(): Answer<string | null>;
  fetchedModelList(): Answer<Uint8Array | null>;
  evidence(): Answer<{ response: Uint8Array; nonce: Uint8Array } | null>;
}

export interface NativeEndpoint {
  report(): Answer<NativeReport>;
  notAfter(): Answer<number>;
  seal(body: Uint8Array, at: number | undefined): Promise<Answer<{ request: RequestFields; opener: NativeOpener }>>;
  sealRequest(
    endpointPath: string,
    body: Uint8Array,
    contentType: string | undefined,
    at: number | undefined,
  ): Promise<Answer<{ request: RequestFields; opener: NativeOpener }>>;
  signatureRequest(receipt: NativeReceipt): Answer<RequestFields>;
  checkSignature(receipt: NativeReceipt, status: number, headers: string[], body: Uint8Array): Promise<Answer<string>>;
}

export interface NativeOpener {
  head(status: number, headers: string[]): Answer<null>;
  push(bytes: Uint8Array): Answer<NativeEvent[]>;
  pushText(bytes: Uint8Array): Answer<string[]>;
  finish(): Answer<{ events: NativeEvent[]; receipt: NativeReceipt }>;
  close(): Answer<null>;
}

export interface ReceiptFields {
  readonly id?: string;
  readonly sealedFields: number;
  readonly bodyBytes: number;
  readonly ignoredBytes: number;
  readonly requestSha256: string;
  readonly responseSha256: string;
}

export interface NativeReceipt {
  fields(): Answer<ReceiptFields>;
}

export interface NativeCancel {
  trigger(): void;
}

export interface NativeClient {
  modelsJson(cancel: NativeCancel): Promise<Answer<string>>;
  verify(model: string, cancel: NativeCancel): Promise<Answer<NativeReport>>;
  capture(model: string, cancel: NativeCancel): Promise<Answer<NativeBundle>>;
  ready(model: string, cancel: NativeCancel): Promise<Answer<NativeEndpoint>>;
  chat(body: Uint8Array, cancel: NativeCancel): Promise<Answer<NativeStream>>;
  send(
    endpointPath: string,
    body: Uint8Array,
    contentType: string | undefined,
    cancel: NativeCancel,
  ): Promise<Answer<NativeStream>>;
  embeddings(body: Uint8Array, cancel: NativeCancel): Promise<Answer<string>>;
  transcriptions(body: Uint8Array, contentType: string, cancel: NativeCancel): Promise<Answer<string>>;
  close(): Answer<null>;
}

export interface NativeStream {
  nextEvents(): Promise<Answer<NativeEvent[] | null>>;
  verifySignature(): Promise<Answer<string>>;
  report(): Answer<NativeReport>;
  receipt(): Answer<NativeReceipt | null>;
  close(): Answer<null>;
}

export interface ExchangeFields {
  provider: string;
  model: string;
  apiKey: string;
  baseUrl?: string | undefined;
  collateralUrl?: string | undefined;
  nvidiaUrl?: string | undefined;
  policy?: string | undefined;
  trustRoots?: string | undefined;
  collateral: Uint8Array[];
  endorsements: Uint8Array[];
  modelList?: Uint8Array | undefined;
  manifest?: Uint8Array | undefined;
  manifestUrl?: string | undefined;
  amdUrl?: string | undefined;
  gpuRevocationGraceS?: number | undefined;
  cacheSalt?: string | undefined;
  keyServiceName?: string | undefined;
}

export interface EvidenceFields {
  provider: string;
  response: Uint8Array;
  nonce: Uint8Array;
  collateral: Uint8Array[];
  at?: number | undefined;
  model?: string | undefined;
  policy?: string | undefined;
  trustRoots?: string | undefined;
}

export interface HardwareFields {
  kind: 'snp' | 'tdx' | 'nvidia';
  files: Uint8Array[];
  nonce?: Uint8Array | undefined;
  reportData?: Uint8Array | undefined;
  measurement?: Uint8Array | undefined;
  hostData?: Uint8Array | undefined;
  mrTd?: Uint8Array | undefined;
  mrSeam?: Uint8Array | undefined;
  mrConfigId?: Uint8Array | undefined;
  mrOwner?: Uint8Array | undefined;
  mrOwnerConfig?: Uint8Array | undefined;
  rtmr0?: Uint8Array | undefined;
  rtmr1?: Uint8Array | undefined;
  rtmr2?: Uint8Array | undefined;
  rtmr3?: Uint8Array | undefined;
  policy?: string | undefined;
  trustRoots?: string | undefined;
  at?: number | undefined;
}

export interface ClientFields {
  provider: string;
  apiKey: string;
  baseUrl?: string | undefined;
  collateralUrl?: string | undefined;
  nvidiaUrl?: string | undefined;
  policy?: string | undefined;
  trustRoots?: string | undefined;
  caBundlePem?: Uint8Array | undefined;
  proxy?: string | undefined;
  cacheDir?: string | undefined;
  pins?: string | undefined;
  connectS?: number | undefined;
  firstByteS?: number | undefined;
  idleS?: number | undefined;
  verificationS?: number | undefined;
  manifest?: Uint8Array | undefined;
  manifestUrl?: string | undefined;
  amdUrl?: string | undefined;
  gpuRevocationGraceS?: number | undefined;
  cacheSalt?: string | undefined;
  keyServiceName?: string | undefined;
  workspace?: string | undefined;
}

/** The functions and classes of the addon. */
export interface Native {
  version(): string;
  policyPreset(name: string): Answer<PolicyFields>;
  policyFromJson(json: string): Answer<PolicyFields>;
  trustRootsCheck(json: string): Answer<boolean>;
  verifyEvidence(given: EvidenceFields): Promise<Answer<NativeReport>>;
  bundleFromJson(json: Uint8Array): Answer<NativeBundle>;
  bundleOfHardware(given: HardwareFields): Answer<NativeBundle>;
  inspectKinds(): string[];
  providers(): string[];
  defaultApiKeyVariable(provider: string): Answer<string>;
  inspect(kind: string, json: string): Promise<Answer<string>>;
  sealField(recipient: Uint8Array, plaintext: Uint8Array): Answer<string>;
  openField(key: Uint8Array, fieldHex: string): Answer<string>;
  openerForKey(key: Uint8Array, allowWhitespacePlaintext: boolean): Answer<NativeOpener>;
  Exchange: { create(given: ExchangeFields): Answer<NativeExchange> };
  Client: { create(given: ClientFields): Answer<NativeClient> };
  Cancel: { create(): NativeCancel };
}

function load(): Native {
  const platform = thisPlatform();
  const causes: unknown[] = [];
  for (const path of candidates(platform, join(__dirname, '..'))) {
    try {
      return require(path) as Native;
    } catch (cause) {
      causes.push(cause);
    }
  }
  throw new Error(missingBinary(platform, causes), { cause: causes[0] });
}

export const native: Native = load();
