// Opening one answer as its bytes arrive.

import { checkKey, disposable, KEY, toHeaderList, type HeadersLike } from './convert.js';
import { call, errorOf } from './errors.js';
import type { NativeEvent, NativeOpener, NativeReceipt, ReceiptFields } from './native.js';

/**
 * One thing that an answer says. `content` and `reasoning` are decrypted text; `finish` (the reason) and `usage` (JSON) travel in
 * clear and can be altered on the way.
 */
export type Event = NativeEvent;

/** What is known about an answer that reached its end. */
export class Receipt {
  readonly #native: NativeReceipt;
  /** The provider's id of the answer (unauthenticated). */
  readonly id: string | undefined;
  /** Sealed fields that opened; zero for an empty answer. */
  readonly sealedFields: number;
  /** Raw bytes of the body. */
  readonly bodyBytes: number;
  /** Bytes after the end mark, which were ignored. */
  readonly ignoredBytes: number;
  /** SHA-256 of the request body as sent, hex. */
  readonly requestSha256: string;
  /** SHA-256 of the response body as received, hex. */
  readonly responseSha256: string;
  readonly #events: readonly Event[];

  private constructor(key: unknown, receipt: NativeReceipt, events: readonly Event[]) {
    checkKey(key, 'Receipt');
    this.#native = receipt;
    this.#events = events;
    const fields: ReceiptFields = call(() => receipt.fields());
    this.id = fields.id;
    this.sealedFields = fields.sealedFields;
    this.bodyBytes = fields.bodyBytes;
    this.ignoredBytes = fields.ignoredBytes;
    this.requestSha256 = fields.requestSha256;
    this.responseSha256 = fields.responseSha256;
  }

  /** @internal */
  static wrap(receipt: NativeReceipt, events: readonly Event[] = []): Receipt {
    return new Receipt(KEY, receipt, events);
  }

  /** @internal */
  static unwrap(receipt: Receipt): NativeReceipt {
    if (typeof receipt !== 'object' || receipt === null || !(#native in receipt)) {
      throw errorOf('invalid_argument', { check: 'receipt', expected: 'a Receipt' });
    }
    return receipt.#native;
  }

  /** Events that only the end of the body completed; empty but for an opener's own `finish`. */
  get events(): readonly Event[] {
    return this.#events;
  }
}

/**
 * Owns the response key of one request. Give it the answer's status and headers, then every piece of the body in order as the network
 * delivers it, then {@link Opener.finish}. An opener that is closed before that stands for an incomplete answer.
 *
 * Its calls are synchronous and take about 50 microseconds per sealed field: right for network pieces, not for recordings of megabytes.
 */
export class Opener {
  readonly #native: NativeOpener;

  private constructor(key: unknown, opener: NativeOpener) {
    checkKey(key, 'Opener');
    this.#native = opener;
  }

  /** @internal */
  static wrap(opener: NativeOpener): Opener {
    return new Opener(KEY, opener);
  }

  /** Takes status and headers, once and first. */
  head(status: number, headers: HeadersLike): void {
    const list = toHeaderList(headers);
    call(() => this.#native.head(status, list));
  }

  /** Takes the next piece of the body, cut anywhere. When it throws, `error.events` holds what came before the fault. */
  push(bytes: Uint8Array): Event[] {
    return call(() => this.#native.push(bytes));
  }

  /** As {@link Opener.push}, and gives the content texts only: the fast path. */
  pushText(bytes: Uint8Array): string[] {
    return call(() => this.#native.pushText(bytes));
  }

  /** Ends the answer; throws `truncated` without the protocol's end mark. */
  finish(): Receipt {
    const { events, receipt } = call(() => this.#native.finish());
    return Receipt.wrap(receipt, events);
  }

  /** Wipes the keys. Idempotent. */
  close(): void {
    call(() => this.#native.close());
  }
}

export interface Opener extends Disposable {}
disposable(Opener, 'dispose', 'close');
