// Verification over the caller's own transport, and offline.

import { checkKey, hexOrBytes, KEY, toBytes, toHeaderList, toJsonBytes, toOptionalBytes, toSeconds } from './convert.js';
import type { BytesLike, HeadersLike, JsonLike } from './convert.js';
import { VerifiedEndpoint } from './endpoint.js';
import { call, callAsync, errorFrom, type ProveilError } from './errors.js';
import { HttpRequest } from './http.js';
import { native, type NativeExchange, type StepFields } from './native.js';
import { Policy, TrustRoots } from './policy.js';
import { Report } from './report.js';

/** Why a transport could not carry out a request. */
export type TransportFailure = 'connect' | 'timeout' | 'tls_rule' | 'too_large' | 'broken' | 'cancelled';

/** What to verify, and by which rules. */
export interface ExchangeOptions {
  /** `venice` or `privatemode`. */
  readonly provider: string;
  /** Model id as the provider names it. */
  readonly model: string;
  /** The caller's API key. */
  readonly apiKey: string;
  /** Where the provider is reached; default is its public address. */
  readonly baseUrl?: string;
  /** Where Intel-style collateral is fetched; default is Intel's service. */
  readonly collateralUrl?: string;
  /**
   * Where NVIDIA's manifests, OCSP answers and attestation service are reached; default is NVIDIA's hosts. They are asked only where
   * the policy requires what they say.
   */
  readonly nvidiaUrl?: string;
  /** What must hold; default is {@link Policy.standard}. */
  readonly policy?: Policy;
  /** Whose signatures count; default is the hardware vendors'. */
  readonly trustRoots?: TrustRoots;
  /** Collateral at hand, one document each; it is verified like fetched collateral. */
  readonly collateral?: readonly JsonLike[];
  /** What NVIDIA said earlier, one document each; it is verified like what is fetched. */
  readonly endorsements?: readonly JsonLike[];
  /** A recent answer of the provider's model list, to save a request. */
  readonly modelList?: JsonLike;
  /**
   * Privatemode: the manifest that the deployment must have, byte for byte; then it proves the software. By default the one that the
   * provider publishes is taken, which says what runs and not that this is right.
   */
  readonly manifest?: BytesLike;
  /** Privatemode: where manifests are published; default is the provider's own host. */
  readonly manifestUrl?: string;
  /** Privatemode: where AMD's key distribution service is reached; default is AMD's own. */
  readonly amdUrl?: string;
  /**
   * Privatemode: accepts GPUs whose certificate has an unknown state, or was revoked less than so many seconds ago; by default, and
   * with 0, only those that were not revoked.
   */
  readonly gpuRevocationGraceS?: number;
  /**
   * Privatemode: a secret of at least 32 bytes. Prompts with the same one can share what the service keeps of them; by default each
   * request gets its own.
   */
  readonly cacheSalt?: string;
  /** Privatemode: DNS name that the key service's certificate must have, instead of those in the manifest. */
  readonly keyServiceName?: string;
}

/** How a verification ended. */
export class Outcome {
  /** Tells an outcome from a request. */
  readonly kind = 'outcome';
  /** The report, whatever the outcome. */
  readonly report: Report;
  /** Why there is no proof; absent when verified. */
  readonly error: ProveilError | undefined;
  readonly #endpoint: VerifiedEndpoint | undefined;

  private constructor(key: unknown, fields: StepFields) {
    checkKey(key, 'Outcome');
    this.report = Report.wrap(fields.report!);
    this.error = fields.refusal?.error === undefined ? undefined : errorFrom(fields.refusal.error);
    this.#endpoint = fields.endpoint === undefined ? undefined : VerifiedEndpoint.wrap(fields.endpoint);
  }

  /** @internal */
  static wrap(fields: StepFields): Outcome {
    return new Outcome(KEY, fields);
  }

  /** The proof; throws {@link Outcome.error} unless verified. */
  endpoint(): VerifiedEndpoint {
    if (this.#endpoint === undefined) {
      throw this.error;
    }
    return this.#endpoint;
  }
}

/**
 * One verification of one endpoint as a dialogue: send each request that {@link Exchange.next} gives and feed the answer, until it
 * gives the outcome. Its challenge is fresh and used once.
 */
export class Exchange {
  readonly #native: NativeExchange;

  /** Prepares a verification; throws input and configuration errors before anything is sent. */
  constructor(options: ExchangeOptions) {
    const { provider, model, apiKey, baseUrl, collateralUrl, nvidiaUrl, policy, trustRoots } = options;
    const collateral = (options.collateral ?? []).map((one) => toJsonBytes('collateral', one));
    const endorsements = (options.endorsements ?? []).map((one) => toJsonBytes('endorsements', one));
    const modelList = options.modelList === undefined ? undefined : toJsonBytes('modelList', options.modelList);
    this.#native = call(() =>
      native.Exchange.create({
        provider,
        model,
        apiKey: apiKey ?? '',
        baseUrl,
        collateralUrl,
        nvidiaUrl,
        policy: policy?.toJson(),
        trustRoots: TrustRoots.textOf(trustRoots),
        collateral,
        endorsements,
        modelList,
        manifest: toOptionalBytes('manifest', options.manifest),
        manifestUrl: options.manifestUrl,
        amdUrl: options.amdUrl,
        gpuRevocationGraceS: options.gpuRevocationGraceS,
        cacheSalt: options.cacheSalt,
        keyServiceName: options.keyServiceName,
      }),
    );
  }

  /** The next request, or the outcome. `at` is the current time; default is the system's clock. */
  async next(at?: Date): Promise<HttpRequest | Outcome> {
    const seconds = toSeconds('at', at);
    const step = await callAsync(() => this.#native.next(seconds));
    return step.request === undefined ? Outcome.wrap(step) : HttpRequest.wrap(step.request);
  }

  /** Hands in the answer to the last request. */
  async feed(status: number, headers: HeadersLike, body: BytesLike): Promise<void> {
    const [list, bytes] = [toHeaderList(headers), toBytes('body', body)];
    await callAsync(() => this.#native.feed(status, list, bytes));
  }

  /** Reports that the last request could not be carried out. */
  fail(kind: TransportFailure): void {
    call(() => this.#native.fail(kind));
  }

  /** Collateral that was fetched on the way, for a cache: public, and verified again on every use. */
  fetchedCollateral(): string[] {
    return call(() => this.#native.fetchedCollateral());
  }

  /** What NVIDIA said on the way, for a cache: signed, and verified again on every use. It names the GPUs. */
  fetchedEndorsements(): string | undefined {
    return call(() => this.#native.fetchedEndorsements()) ?? undefined;
  }

  /** The model list that was fetched on the way, for a cache. */
  fetchedModelList(): Uint8Array | undefined {
    return call(() => this.#native.fetchedModelList()) ?? undefined;
  }

  /** What an offline re-check needs ({@link verifyEvidence}), once the outcome is there. */
  evidence(): { readonly response: Uint8Array; readonly nonce: Uint8Array } | undefined {
    return call(() => this.#native.evidence()) ?? undefined;
  }
}

/** Captured evidence of one endpoint. */
export interface EvidenceOptions {
  /** `venice`. */
  readonly provider: string;
  /** The provider's attestation answer, exactly as received. */
  readonly response: BytesLike;
  /** The 32-byte challenge that was sent: bytes or hex. */
  readonly nonce: Uint8Array | string;
  /** Vendor collateral, one document each. */
  readonly collateral: readonly JsonLike[];
  /** When to judge; default is now. */
  readonly at?: Date;
  /** The model that was asked for. */
  readonly model?: string;
  /** What must hold; default is {@link Policy.standard}. */
  readonly policy?: Policy;
  /** Whose signatures count; default is the hardware vendors'. */
  readonly trustRoots?: TrustRoots;
}

/** Judges captured evidence without network. All three verdicts are a report; only unusable arguments are an error. */
export async function verifyEvidence(options: EvidenceOptions): Promise<Report> {
  const given = {
    provider: options.provider,
    response: toBytes('response', options.response),
    nonce: hexOrBytes('nonce', options.nonce),
    collateral: options.collateral.map((one) => toJsonBytes('collateral', one)),
    at: toSeconds('at', options.at),
    model: options.model,
    policy: options.policy?.toJson(),
    trustRoots: TrustRoots.textOf(options.trustRoots),
  };
  return Report.wrap(await callAsync(() => native.verifyEvidence(given)));
}
