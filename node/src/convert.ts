// What callers may pass for bytes, times, headers and documents, and its one native form.

import { errorOf } from './errors.js';

/** Text is taken as UTF-8. */
export type BytesLike = Uint8Array | ArrayBuffer | string;

/** `Headers`, a `Map`, pairs, or an object. */
export type HeadersLike =
  | Iterable<readonly [string, string]>
  | { readonly [name: string]: string | readonly string[] | undefined };

/** A JSON document: text, bytes, or a value to be written as JSON. */
export type JsonLike = string | Uint8Array | object;

/** Lets only this package construct a class that stands for a native object. */
export const KEY: unique symbol = Symbol('proveil');

/** Refuses construction from outside. */
export function checkKey(key: unknown, name: string): void {
  if (key !== KEY) {
    throw errorOf('out_of_order', { check: name, expected: 'an object that the library made' });
  }
}

/** Bytes; fails with `invalid_argument`. */
export function toBytes(name: string, value: BytesLike): Uint8Array {
  if (typeof value === 'string') {
    return new TextEncoder().encode(value);
  }
  if (value instanceof Uint8Array) {
    return value;
  }
  if (value instanceof ArrayBuffer) {
    return new Uint8Array(value);
  }
  throw errorOf('invalid_argument', { check: name, expected: 'Uint8Array, ArrayBuffer or string' });
}

/** Bytes that may be absent. */
export function toOptionalBytes(name: string, value: BytesLike | undefined): Uint8Array | undefined {
  return value === undefined ? undefined : toBytes(name, value);
}

/** Bytes, or their hex; fails with `invalid_argument`, which never quotes the value. */
export function hexOrBytes(name: string, value: Uint8Array | string): Uint8Array {
  if (typeof value !== 'string') {
    return toBytes(name, value);
  }
  if (value.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(value)) {
    throw errorOf('invalid_argument', { check: name, expected: 'bytes or their hex' });
  }
  return new Uint8Array(Buffer.from(value, 'hex'));
}

/** JSON text as bytes; fails with `invalid_argument`. */
export function toJsonBytes(name: string, value: JsonLike): Uint8Array {
  return value instanceof Uint8Array ? value : toBytes(name, toJsonText(name, value));
}

/** JSON text; fails with `invalid_argument`. */
export function toJsonText(name: string, value: JsonLike): string {
  if (typeof value === 'string') {
    return value;
  }
  if (value instanceof Uint8Array) {
    return new TextDecoder().decode(value);
  }
  if (typeof value !== 'object' || value === null) {
    throw errorOf('invalid_argument', { check: name, expected: 'a JSON object, its text or its bytes' });
  }
  return JSON.stringify(value);
}

/** Whole seconds since 1970; fails with `invalid_argument`. */
export function toSeconds(name: string, value: Date | undefined): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  const seconds = value instanceof Date ? Math.floor(value.getTime() / 1000) : Number.NaN;
  if (Number.isNaN(seconds)) {
    throw errorOf('invalid_argument', { check: name, expected: 'a valid Date' });
  }
  return seconds;
}

/** A time from whole seconds. */
export function toDate(seconds: number): Date {
  return new Date(seconds * 1000);
}

/** Names and values in turn; fails with `invalid_argument`. */
export function toHeaderList(value: HeadersLike): string[] {
  const list: string[] = [];
  const add = (name: unknown, text: unknown): void => {
    if (typeof name !== 'string' || typeof text !== 'string') {
      throw errorOf('invalid_argument', { check: 'headers', expected: 'names and values as strings' });
    }
    list.push(name, text);
  };
  if (typeof value !== 'object' || value === null) {
    throw errorOf('invalid_argument', { check: 'headers', expected: 'Headers, pairs or an object' });
  }
  if (Symbol.iterator in value) {
    for (const [name, text] of value as Iterable<readonly [string, string]>) {
      add(name, text);
    }
  } else {
    for (const [name, texts] of Object.entries(value)) {
      for (const text of Array.isArray(texts) ? texts : texts === undefined ? [] : [texts]) {
        add(name, text);
      }
    }
  }
  return list;
}

/** Makes an object usable with `using`, where the runtime knows the symbols. */
export function disposable(type: { prototype: object }, method: 'dispose' | 'asyncDispose', close: string): void {
  const symbol = Symbol[method] as symbol | undefined;
  if (symbol !== undefined) {
    Object.defineProperty(type.prototype, symbol, {
      configurable: true,
      writable: true,
      value(this: Record<string, () => unknown>) {
        return this[close]!();
      },
    });
  }
}
