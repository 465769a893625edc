// A request for the caller's transport. Only the library builds one.

import { checkKey, KEY } from './convert.js';
import type { RequestFields } from './native.js';

/** One header of a request. */
export class Header {
  readonly #value: string;
  /** Lowercase name. */
  readonly name: string;
  /** The value is a secret: never log it. */
  readonly sensitive: boolean;

  private constructor(key: unknown, name: string, value: string, sensitive: boolean) {
    checkKey(key, 'Header');
    this.name = name;
    this.#value = value;
    this.sensitive = sensitive;
    Object.freeze(this);
  }

  /** @internal */
  static wrap(name: string, value: string, sensitive: boolean): Header {
    return new Header(KEY, name, value, sensitive);
  }

  /** Value as sent. */
  get value(): string {
    return this.#value;
  }
}

/**
 * A request that the library asks the caller to send. Do not follow redirects, do not accept compressed bodies, add no header but
 * those that HTTP itself needs. Whoever cannot obey {@link HttpRequest.pinnedSpki} must not send.
 */
export class HttpRequest {
  /** Tells a request from an outcome. */
  readonly kind = 'request';
  readonly #fields: RequestFields;
  readonly #headers: readonly Header[];

  private constructor(key: unknown, fields: RequestFields) {
    checkKey(key, 'HttpRequest');
    this.#fields = fields;
    this.#headers = Object.freeze(
      fields.headers.map(({ name, value, sensitive }) => Header.wrap(name, value, sensitive)),
    );
  }

  /** @internal */
  static wrap(fields: RequestFields): HttpRequest {
    return new HttpRequest(KEY, fields);
  }

  /** Method. */
  get method(): 'GET' | 'POST' {
    return this.#fields.method;
  }

  /** Absolute URL. */
  get url(): string {
    return this.#fields.url;
  }

  /** Headers in order. */
  get headers(): readonly Header[] {
    return this.#headers;
  }

  /** Body; empty for `GET`. */
  get body(): Uint8Array {
    return this.#fields.body;
  }

  /**
   * When present, the SHA-256 of the server's public key (SubjectPublicKeyInfo) must be one of these, besides a valid certificate.
   */
  get pinnedSpki(): readonly Uint8Array[] | undefined {
    return this.#fields.pinnedSpki;
  }

  /** Stop reading there and report `too_large`. */
  get maxResponseBytes(): number {
    return this.#fields.maxResponseBytes;
  }

  /** For progress lines: `attestation`, `chat`, ... */
  get purpose(): string {
    return this.#fields.purpose;
  }
}
