// Everything that an appraisal used, to be kept and judged again without network; and bare hardware evidence.

import { checkKey, hexOrBytes, KEY, toBytes, toDate, toJsonBytes, toSeconds, type BytesLike, type JsonLike } from './convert.js';
import { call, callAsync } from './errors.js';
import { native, type BundleFields, type HardwareFields, type NativeBundle } from './native.js';
import { Policy, TrustRoots } from './policy.js';
import { Report } from './report.js';

/** What hardware evidence is judged by. */
export interface AppraisalOptions {
  /** What must hold. */
  readonly policy?: Policy;
  /** Whose signatures count. */
  readonly trustRoots?: TrustRoots;
  /** When to judge. */
  readonly at?: Date;
}

/** What is expected of hardware evidence: bytes or hex. A value for another kind of evidence is refused. */
export interface HardwareOptions extends AppraisalOptions {
  /** SEV-SNP: 64 bytes; TDX: the first 1 to 64 bytes. */
  readonly reportData?: Uint8Array | string;
  /** SEV-SNP: measurement of the guest, 48 bytes. */
  readonly measurement?: Uint8Array | string;
  /** SEV-SNP: what the host put into the report, 32 bytes. */
  readonly hostData?: Uint8Array | string;
  /** TDX: measurement of the first content, 48 bytes, as all registers. */
  readonly mrTd?: Uint8Array | string;
  /** TDX: measurement of the module. */
  readonly mrSeam?: Uint8Array | string;
  /** TDX: configuration that the host chose. */
  readonly mrConfigId?: Uint8Array | string;
  /** TDX: owner that the host chose. */
  readonly mrOwner?: Uint8Array | string;
  /** TDX: owner's configuration that the host chose. */
  readonly mrOwnerConfig?: Uint8Array | string;
  /** TDX: run-time register 0. */
  readonly rtmr0?: Uint8Array | string;
  /** TDX: run-time register 1. */
  readonly rtmr1?: Uint8Array | string;
  /** TDX: run-time register 2. */
  readonly rtmr2?: Uint8Array | string;
  /** TDX: run-time register 3. */
  readonly rtmr3?: Uint8Array | string;
}

/**
 * Evidence, what the vendors say, policy, trust roots and time of one appraisal. Judged again it gives the same report, byte for byte.
 * Immutable.
 */
export class EvidenceBundle {
  readonly #native: NativeBundle;
  readonly #fields: BundleFields;

  private constructor(key: unknown, bundle: NativeBundle) {
    checkKey(key, 'EvidenceBundle');
    this.#native = bundle;
    this.#fields = call(() => bundle.fields());
  }

  /** @internal */
  static wrap(bundle: NativeBundle): EvidenceBundle {
    return new EvidenceBundle(KEY, bundle);
  }

  /** Reads a `proveil.evidence/v1` document; throws {@link ConfigError} `evidence_invalid`, naming the member, or {@link LimitError}. */
  static fromJson(json: JsonLike): EvidenceBundle {
    const bytes = toJsonBytes('evidence', json);
    return EvidenceBundle.wrap(call(() => native.bundleFromJson(bytes)));
  }

  /** An SEV-SNP report (1184 bytes) with certificates and revocation list, in any order. `at` is now by default. */
  static snp(files: readonly BytesLike[], options: HardwareOptions = {}): EvidenceBundle {
    return EvidenceBundle.#of('snp', files, options);
  }

  /** A TDX quote with Intel's collateral in the form of nine texts, in any order. `at` is now by default. */
  static tdx(files: readonly BytesLike[], options: HardwareOptions = {}): EvidenceBundle {
    return EvidenceBundle.#of('tdx', files, options);
  }

  /**
   * GPUs and switches of one system that were asked with `nonce` (32 bytes, or their hex): reports and chains, manifests, OCSP answers,
   * tokens and key list of NVIDIA's attestation service, in any order. `at` is now by default.
   */
  static nvidia(files: readonly BytesLike[], nonce: Uint8Array | string, options: AppraisalOptions = {}): EvidenceBundle {
    return EvidenceBundle.#of('nvidia', files, options, hexOrBytes('nonce', nonce));
  }

  static #of(
    kind: HardwareFields['kind'],
    files: readonly BytesLike[],
    options: HardwareOptions,
    nonce?: Uint8Array,
  ): EvidenceBundle {
    const value = (name: string, given: Uint8Array | string | undefined): Uint8Array | undefined =>
      given === undefined ? undefined : hexOrBytes(name, given);
    const fields: HardwareFields = {
      kind,
      files: files.map((file) => toBytes('files', file)),
      nonce,
      reportData: value('reportData', options.reportData),
      measurement: value('measurement', options.measurement),
      hostData: value('hostData', options.hostData),
      mrTd: value('mrTd', options.mrTd),
      mrSeam: value('mrSeam', options.mrSeam),
      mrConfigId: value('mrConfigId', options.mrConfigId),
      mrOwner: value('mrOwner', options.mrOwner),
      mrOwnerConfig: value('mrOwnerConfig', options.mrOwnerConfig),
      rtmr0: value('rtmr0', options.rtmr0),
      rtmr1: value('rtmr1', options.rtmr1),
      rtmr2: value('rtmr2', options.rtmr2),
      rtmr3: value('rtmr3', options.rtmr3),
      policy: options.policy?.toJson(),
      trustRoots: TrustRoots.textOf(options.trustRoots),
      at: toSeconds('at', options.at),
    };
    return EvidenceBundle.wrap(call(() => native.bundleOfHardware(fields)));
  }

  /**
   * Judges the evidence, by default by the bundle's own policy and at its own time. Trust roots that a document names are not used
   * unless they are handed in: see {@link EvidenceBundle.customRoots}. All three verdicts are a report.
   */
  async appraise(options: AppraisalOptions = {}): Promise<Report> {
    const policy = options.policy?.toJson();
    const roots = TrustRoots.textOf(options.trustRoots);
    const at = toSeconds('at', options.at);
    return Report.wrap(await callAsync(() => this.#native.appraise(policy, roots, at)));
  }

  /** The `proveil.evidence/v1` document, deterministic. */
  toJson(): string {
    return call(() => this.#native.json());
  }

  /** What was judged. */
  get kind(): 'provider' | 'snp' | 'tdx' | 'nvidia' {
    return this.#fields.kind;
  }

  /** When it was captured or is to be judged. */
  get at(): Date {
    return toDate(this.#fields.at);
  }

  /** The policy that was used. */
  get policy(): Policy {
    return Policy.fromJson(this.#fields.policy.json);
  }

  /** Trust roots other than the vendors' that were used, or that the document says were. */
  get customRoots(): TrustRoots | undefined {
    return this.#fields.customRoots === undefined ? undefined : TrustRoots.fromJson(this.#fields.customRoots);
  }
}
