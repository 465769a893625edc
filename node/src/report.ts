// What an appraisal found.

import { inspect } from 'node:util';
import { checkKey, KEY, toDate } from './convert.js';
import { call } from './errors.js';
import type { NativeReport } from './native.js';

/** The overall answer. Only `verified` can send. */
export type Verdict = 'verified' | 'refused' | 'indeterminate';

/** How far a verified endpoint is proven. */
export type Level = 'L0' | 'L1' | 'L2' | 'L3' | 'L4';

/** One line of the check table. */
export interface Check {
  readonly id: string;
  readonly group: 'hardware' | 'freshness' | 'key_binding' | 'software' | 'gpu' | 'transport';
  readonly title: string;
  readonly outcome: 'pass' | 'fail' | 'not_checked';
  readonly enforcement: 'enforced' | 'advisory';
  readonly code?: string;
  readonly reason?: string;
  readonly expected?: string;
  readonly found?: string;
  readonly reference?: string;
}

/** A place that sees the prompt in clear. */
export interface Hop {
  readonly name: string;
  readonly standing: 'proven' | 'asserted' | 'unknown';
  readonly note: string;
}

/** A named fact from authenticated evidence. */
export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** A platform, with what its vendor's signed collateral says about it. */
export interface Platform {
  readonly name: string;
  readonly tcb_status: string | null;
  readonly tcb_date: number | null;
  readonly advisories: readonly string[];
  readonly collateral_issued_at: number | null;
  readonly collateral_expires_at: number | null;
}

/** The JSON form, `proveil.report/v1`. */
export interface ReportDocument {
  readonly schema: string;
  readonly verdict: Verdict;
  readonly level: Level | null;
  readonly roots: 'vendor' | 'custom';
  readonly headline: string;
  readonly code: string | null;
  readonly provider: string;
  readonly model: string;
  readonly checked_at: number;
  readonly valid_until: number | null;
  readonly policy: { readonly name: string; readonly sha256: string; readonly relaxations: readonly string[] };
  readonly missing_to_next_level: string | null;
  readonly who_can_read: readonly Hop[];
  readonly not_proven: readonly string[];
  readonly checks: readonly Check[];
  readonly facts: readonly Fact[];
  readonly platforms: readonly Platform[];
  readonly nonce: string | null;
  readonly evidence_sha256: string | null;
  readonly recheck: string | null;
  readonly library: string;
}

/** The result of one appraisal: every check with its outcome, the verdict, and what was not proven. A record, never an input. */
export class Report {
  readonly #native: NativeReport;
  #document: ReportDocument | undefined;

  private constructor(key: unknown, report: NativeReport) {
    checkKey(key, 'Report');
    this.#native = report;
  }

  /** @internal */
  static wrap(report: NativeReport): Report {
    return new Report(KEY, report);
  }

  /** `verified`, `refused` or `indeterminate`. */
  get verdict(): Verdict {
    return this.#read().verdict;
  }

  /** The level reached; only for a verified endpoint. */
  get level(): Level | undefined {
    return this.#read().level ?? undefined;
  }

  /** `custom` when other roots than the vendors' were given. */
  get roots(): 'vendor' | 'custom' {
    return this.#read().roots;
  }

  /** The verdict in one line of words. */
  get headline(): string {
    return this.#read().headline;
  }

  /** Error code of the first enforced check that did not pass. */
  get code(): string | undefined {
    return this.#read().code ?? undefined;
  }

  /** Provider name. */
  get provider(): string {
    return this.#read().provider;
  }

  /** Model id. */
  get model(): string {
    return this.#read().model;
  }

  /** When the evidence was appraised. */
  get checkedAt(): Date {
    return toDate(this.#read().checked_at);
  }

  /** When the proof ends; only for a verified endpoint. */
  get validUntil(): Date | undefined {
    const seconds = this.#read().valid_until;
    return seconds === null ? undefined : toDate(seconds);
  }

  /** Every check in the order in which it was made. */
  get checks(): readonly Check[] {
    return this.#read().checks;
  }

  /** Facts from authenticated evidence. */
  get facts(): readonly Fact[] {
    return this.#read().facts;
  }

  /** Every place that sees the prompt in clear. */
  get whoCanRead(): readonly Hop[] {
    return this.#read().who_can_read;
  }

  /** What nothing in this appraisal shows, in plain words. */
  get notProven(): readonly string[] {
    return this.#read().not_proven;
  }

  /** What is missing to the next level. */
  get missingToNextLevel(): string | undefined {
    return this.#read().missing_to_next_level ?? undefined;
  }

  /** `proveil.report/v1` JSON, pretty-printed, deterministic. */
  toJson(): string {
    return call(() => this.#native.json());
  }

  /** For a terminal of 80 columns. */
  toText(): string {
    return call(() => this.#native.text());
  }

  /** One HTML page that needs nothing else: no network, no script, dark and light, for screen and print. */
  toHtml(): string {
    return call(() => this.#native.html());
  }

  /** A card as one SVG image. */
  toSvg(): string {
    return call(() => this.#native.svg());
  }

  /** An EAT attestation result (draft-ietf-rats-ear-04), compact JSON. */
  toEarJson(): string {
    return call(() => this.#native.earJson());
  }

  /** The document, for `JSON.stringify`. */
  toJSON(): ReportDocument {
    return this.#read();
  }

  /** The verdict in one line of words. */
  toString(): string {
    return this.headline;
  }

  /** @internal */
  [inspect.custom](): string {
    return `Report <${this.headline}>`;
  }

  #read(): ReportDocument {
    return (this.#document ??= freeze(JSON.parse(this.toJson()) as ReportDocument));
  }
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(freeze);
    Object.freeze(value);
  }
  return value;
}
