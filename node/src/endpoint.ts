// The proof, and what it seals.

import { checkKey, KEY, toBytes, toDate, toHeaderList, toJsonBytes, toSeconds } from './convert.js';
import type { BytesLike, HeadersLike, JsonLike } from './convert.js';
import { call, callAsync } from './errors.js';
import { HttpRequest } from './http.js';
import type { NativeEndpoint, RequestFields } from './native.js';
import { Opener, Receipt } from './opener.js';
import { Report } from './report.js';

/**
 * What a response signature showed: `body_matches` (signed by the attested enclave over exactly the bytes exchanged) or
 * `signed_body_not_verifiable` (signed for this answer's id; the body is not vouched for).
 */
export type SignatureVerdict = 'body_matches' | 'signed_body_not_verifiable';

/** A request whose prompt is sealed to the proven key; the only request body that a transport gets. */
export class SealedRequest {
  readonly #request: HttpRequest;

  private constructor(key: unknown, fields: RequestFields) {
    checkKey(key, 'SealedRequest');
    this.#request = HttpRequest.wrap(fields);
  }

  /** @internal */
  static wrap(fields: RequestFields): SealedRequest {
    return new SealedRequest(KEY, fields);
  }

  /** The request as it must be sent. */
  get request(): HttpRequest {
    return this.#request;
  }
}

/**
 * An endpoint whose key was proven. Only a verification makes one: an {@link Exchange} that ended in `verified`, or
 * {@link Client.ready}. It ends at {@link VerifiedEndpoint.notAfter}.
 */
export class VerifiedEndpoint {
  readonly #native: NativeEndpoint;

  private constructor(key: unknown, endpoint: NativeEndpoint) {
    checkKey(key, 'VerifiedEndpoint');
    this.#native = endpoint;
  }

  /** @internal */
  static wrap(endpoint: NativeEndpoint): VerifiedEndpoint {
    return new VerifiedEndpoint(KEY, endpoint);
  }

  /** Provider name. */
  get provider(): string {
    return this.report.provider;
  }

  /** Model id. */
  get model(): string {
    return this.report.model;
  }

  /** The report that led here. */
  get report(): Report {
    return Report.wrap(call(() => this.#native.report()));
  }

  /** When the proof ends. */
  get notAfter(): Date {
    return toDate(call(() => this.#native.notAfter()));
  }

  /**
   * Seals a request body: one JSON object in the OpenAI chat form, for this endpoint's model. What the protocol cannot encrypt is
   * refused, never sent in clear. A retry seals anew. `at` is the current time; default is the system's clock.
   */
  async seal(body: JsonLike, at?: Date): Promise<[SealedRequest, Opener]> {
    const [bytes, seconds] = [toJsonBytes('body', body), toSeconds('at', at)];
    const { request, opener } = await callAsync(() => this.#native.seal(bytes, seconds));
    return [SealedRequest.wrap(request), Opener.wrap(opener)];
  }

  /**
   * The same for any endpoint of the API, by its path (`/v1/embeddings`); the answer opens as `document` events. Forms need their
   * `contentType`. What the provider does not carry sealed is refused (`unsupported_endpoint`).
   */
  async sealRequest(
    endpointPath: string,
    body: JsonLike,
    contentType?: string,
    at?: Date,
  ): Promise<[SealedRequest, Opener]> {
    const [bytes, seconds] = [toJsonBytes('body', body), toSeconds('at', at)];
    const { request, opener } = await callAsync(() =>
      this.#native.sealRequest(endpointPath, bytes, contentType, seconds),
    );
    return [SealedRequest.wrap(request), Opener.wrap(opener)];
  }

  /** The request that asks the provider for the signature of a finished answer. */
  signatureRequest(receipt: Receipt): HttpRequest {
    const inner = Receipt.unwrap(receipt);
    return HttpRequest.wrap(call(() => this.#native.signatureRequest(inner)));
  }

  /** Judges the answer to it against the proven key and the bytes of this exchange. */
  async checkSignature(
    receipt: Receipt,
    status: number,
    headers: HeadersLike,
    body: BytesLike,
  ): Promise<SignatureVerdict> {
    const [inner, list, bytes] = [Receipt.unwrap(receipt), toHeaderList(headers), toBytes('body', body)];
    const verdict = await callAsync(() => this.#native.checkSignature(inner, status, list, bytes));
    return verdict as SignatureVerdict;
  }
}
