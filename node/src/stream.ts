// The answer to one chat, as an async iterable.

import { checkKey, disposable, KEY } from './convert.js';
import type { SignatureVerdict } from './endpoint.js';
import { AbortError, call, callAsync, ProveilError } from './errors.js';
import type { NativeStream } from './native.js';
import { Receipt, type Event } from './opener.js';
import { Report } from './report.js';

/**
 * The answer to one chat: iterate over it for events, or over {@link Stream.textStream} for text. It is pulled, so a slow reader slows the
 * connection down. Leaving the loop, or an abort of the signal that the request was given, closes the connection and wipes the keys.
 */
export class Stream implements AsyncIterableIterator<Event> {
  readonly #native: NativeStream;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #events: Event[] = [];
  #receipt: Receipt | undefined;
  #ended = false;
  #last: Promise<unknown> = Promise.resolve();
  /** The report of the endpoint that answers. */
  readonly report: Report;

  private constructor(key: unknown, stream: NativeStream, signal: AbortSignal | undefined) {
    checkKey(key, 'Stream');
    this.#native = stream;
    this.#signal = signal;
    this.report = Report.wrap(call(() => stream.report()));
    // Also when no call waits: closed and keys wiped at once, not with the next call.
    this.#onAbort = () => {
      this.#events = [];
      call(() => stream.close());
    };
    if (signal?.aborted === true) {
      this.#onAbort();
    }
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** @internal */
  static wrap(stream: NativeStream, signal: AbortSignal | undefined): Stream {
    return new Stream(KEY, stream, signal);
  }

  /** What is known about the answer; present once it reached its end. */
  get receipt(): Receipt | undefined {
    return this.#receipt;
  }

  /** The next event. Calls made at once are answered in order. */
  next(): Promise<IteratorResult<Event, undefined>> {
    return this.#inTurn(async () => {
      const waiting = this.#events.shift();
      if (waiting !== undefined) {
        return { done: false, value: waiting };
      }
      if (this.#ended) {
        return { done: true, value: undefined };
      }
      try {
        const events = await callAsync(() => this.#native.nextEvents());
        if (this.#signal?.aborted === true) {
          throw new AbortError(this.#signal.reason);
        }
        const value = events?.shift();
        if (events !== null && value !== undefined) {
          this.#events = events;
          return { done: false, value };
        }
        const receipt = call(() => this.#native.receipt());
        this.#receipt = receipt === null ? undefined : Receipt.wrap(receipt);
        this.#end();
        return { done: true, value: undefined };
      } catch (error) {
        this.close();
        throw this.#translate(error);
      }
    });
  }

  /** Called when a loop is left early. */
  async return(): Promise<IteratorResult<Event, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The content texts of the first choice. */
  async *textStream(): AsyncGenerator<string, void, undefined> {
    for await (const { kind, choice, text } of this) {
      if (kind === 'content' && choice === 0) {
        yield text;
      }
    }
  }

  /** Asks the provider for the signature of the finished answer and judges it against the proven key. */
  verifySignature(): Promise<SignatureVerdict> {
    return this.#inTurn(async () => {
      try {
        return (await callAsync(() => this.#native.verifySignature())) as SignatureVerdict;
      } catch (error) {
        throw this.#translate(error);
      }
    });
  }

  /** Closes the connection and wipes the keys; a pending `next` ends as `cancelled`. Idempotent. */
  close(): void {
    this.#end();
    this.#events = [];
    call(() => this.#native.close());
  }

  #end(): void {
    this.#ended = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #translate(error: unknown): unknown {
    const aborted = this.#signal?.aborted === true && error instanceof ProveilError && error.slug === 'cancelled';
    return aborted ? new AbortError(this.#signal?.reason) : error;
  }
}

export interface Stream extends Disposable, AsyncDisposable {}
disposable(Stream, 'dispose', 'close');
disposable(Stream, 'asyncDispose', 'return');
