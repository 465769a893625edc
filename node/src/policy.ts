// What must hold, and whose signatures count.

import { checkKey, KEY, toJsonText, type JsonLike } from './convert.js';
import { call } from './errors.js';
import { native, type PolicyFields } from './native.js';

/** What must hold before anything is sent. Immutable. Make one with {@link Policy.standard}, {@link Policy.strict} or {@link Policy.fromJson}. */
export class Policy {
  readonly #fields: PolicyFields;

  private constructor(key: unknown, fields: PolicyFields) {
    checkKey(key, 'Policy');
    this.#fields = fields;
  }

  /** The strongest policy that the honest deployments known today meet; the default everywhere. */
  static standard(): Policy {
    return new Policy(KEY, call(() => native.policyPreset('standard')));
  }

  /** As standard, and software and GPU measurements must equal reference values. */
  static strict(): Policy {
    return new Policy(KEY, call(() => native.policyPreset('strict')));
  }

  /** Reads a `proveil.policy/v1` document; throws {@link ConfigError} `policy_invalid`, naming the member. */
  static fromJson(json: JsonLike): Policy {
    const text = toJsonText('policy', json);
    return new Policy(KEY, call(() => native.policyFromJson(text)));
  }

  /** The complete document, canonical. */
  toJson(): string {
    return this.#fields.json;
  }

  /** Name of the preset or document. */
  get name(): string {
    return this.#fields.name;
  }

  /** SHA-256 of the rules without the name, hex. */
  get sha256(): string {
    return this.#fields.sha256;
  }
}

/** Roots for labs and simulators. Every signature is still checked, and every report then says CUSTOM roots. */
export class TrustRoots {
  readonly #json: string;

  private constructor(key: unknown, json: string) {
    checkKey(key, 'TrustRoots');
    this.#json = json;
  }

  /** Reads a `proveil.trust-roots/v1` document; throws {@link ConfigError} `trust_roots_invalid`. */
  static fromJson(json: JsonLike): TrustRoots {
    const text = toJsonText('trustRoots', json);
    call(() => native.trustRootsCheck(text));
    return new TrustRoots(KEY, text);
  }

  /** @internal */
  static textOf(roots: TrustRoots | undefined): string | undefined {
    return roots === undefined ? undefined : roots.#json;
  }
}
