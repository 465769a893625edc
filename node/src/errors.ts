// The classes of errors and how native failures become them. Codes, slugs and texts come from the registry (codes.ts).

import { CODES, type ErrorClass, type Slug } from './codes.js';
import type { Answer, Failure, NativeEvent } from './native.js';

/** What was compared: the check, field or limit, what was expected and what was found, shortened. Never a secret. */
export interface ErrorDetails {
  readonly check?: string;
  readonly expected?: string;
  readonly found?: string;
}

/** A failure of Proveil. Match on `code` or `slug`, or on the class; never on the text. */
export class ProveilError extends Error {
  /** `PV-205`. */
  readonly code: string;
  /** 205. */
  readonly number: number;
  /** `key_invalid`. */
  readonly slug: Slug;
  /** What to do next. */
  readonly hint: string;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** What was compared. */
  readonly details: ErrorDetails;
  readonly #report: string | undefined;
  readonly #events: readonly NativeEvent[];

  /** @internal */
  constructor(failure: Failure) {
    super(failure.message);
    this.code = failure.code;
    this.number = failure.number;
    this.slug = failure.slug as Slug;
    this.hint = failure.hint;
    this.retryable = failure.retryable;
    const { check, expected, found } = failure;
    this.details = Object.freeze({
      ...(check === undefined ? {} : { check }),
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
    });
    this.#report = failure.report;
    this.#events = failure.events;
    Object.defineProperty(this, 'name', { value: new.target.name, configurable: true, writable: true });
  }

  /** `proveil.report/v1` JSON of the appraisal that led here, when there was one. */
  get report(): string | undefined {
    return this.#report;
  }

  /** What valid fields of the same piece said before the one that failed. */
  get events(): readonly NativeEvent[] {
    return this.#events;
  }
}

/** 101-129: the request cannot be sent as it is. */
export class InputError extends ProveilError {}
/** 130-199: configuration, policy or files. */
export class ConfigError extends ProveilError {}
/** 2xx: the evidence says no. Nothing was sent. */
export class VerificationError extends ProveilError {}
/** 3xx: it could not be checked now. Nothing was sent. */
export class IndeterminateError extends ProveilError {}
/** 4xx: an answer that is not what the proven key holder sent. */
export class IntegrityError extends ProveilError {}
/** 5xx: upstream, transport or protocol trouble, truncation. */
export class ProtocolError extends ProveilError {}
/** 6xx: a bound was exceeded. */
export class LimitError extends ProveilError {}
/** 7xx: the API was used against its rules. */
export class MisuseError extends ProveilError {}
/** 8xx: local access control. */
export class AccessError extends ProveilError {}
/** 9xx: a bug in Proveil. */
export class InternalError extends ProveilError {}

const CLASSES: Record<ErrorClass, new (failure: Failure) => ProveilError> = {
  InputError,
  ConfigError,
  VerificationError,
  IndeterminateError,
  IntegrityError,
  ProtocolError,
  LimitError,
  MisuseError,
  AccessError,
  InternalError,
};

/** The operation was ended by an `AbortSignal`; `cause` is the signal's reason. */
export class AbortError extends Error {
  /** As Node's own operations have it. */
  readonly code = 'ABORT_ERR';

  /** @internal */
  constructor(reason: unknown) {
    super('The operation was aborted', { cause: reason });
    Object.defineProperty(this, 'name', { value: 'AbortError', configurable: true, writable: true });
  }
}

/** The error behind a failure. */
export function errorFrom(failure: Failure): ProveilError {
  return new (CLASSES[failure.class as ErrorClass] ?? InternalError)(failure);
}

/** An error that this layer finds by itself: a row of the registry with details. */
export function errorOf(slug: Slug, details: ErrorDetails = {}): ProveilError {
  const row = CODES.find((candidate) => candidate.slug === slug) ?? CODES[CODES.length - 1]!;
  return errorFrom({ ...row, ...details, events: [] });
}

/** The value of an answer, or its error thrown. */
export function unwrap<T>(answer: Answer<T>): T {
  if (answer.error !== undefined) {
    throw errorFrom(answer.error);
  }
  return answer.ok;
}

/** Calls the native part. It throws by itself only for arguments of a wrong type; that text can quote them, so it is not kept. */
export function call<T>(work: () => Answer<T>): T {
  return unwrap(convert(work));
}

/** The same for functions that give a promise. */
export async function callAsync<T>(work: () => Promise<Answer<T>>): Promise<T> {
  return unwrap(await convert(work));
}

function convert<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const ofNative = error instanceof Error && 'code' in error;
    throw ofNative ? errorOf('invalid_argument', { expected: 'arguments of the documented types' }) : error;
  }
}
