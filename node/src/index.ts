/// <reference lib="esnext.disposable" preserve="true" />
// The public surface.

import { native } from './native.js';

/** Library version, `major.minor.patch`. */
export const version: string = native.version();

export { EvidenceBundle } from './bundle.js';
export type { AppraisalOptions, HardwareOptions } from './bundle.js';
export { Client } from './client.js';
export type { CallOptions, ChatMessage, ChatRequest, ClientOptions, Model } from './client.js';
export { CODES } from './codes.js';
export type { CodeRow, ErrorClass, Slug } from './codes.js';
export type { BytesLike, HeadersLike, JsonLike } from './convert.js';
export { SealedRequest, VerifiedEndpoint } from './endpoint.js';
export type { SignatureVerdict } from './endpoint.js';
export {
  AbortError,
  AccessError,
  ConfigError,
  IndeterminateError,
  InputError,
  IntegrityError,
  InternalError,
  LimitError,
  MisuseError,
  ProtocolError,
  ProveilError,
  VerificationError,
} from './errors.js';
export type { ErrorDetails } from './errors.js';
export { Exchange, Outcome, verifyEvidence } from './exchange.js';
export type { EvidenceOptions, ExchangeOptions, TransportFailure } from './exchange.js';
export { Header, HttpRequest } from './http.js';
export { inspect, inspectKinds, openerForKey, openField, providers, sealField } from './inspect.js';
export { Opener, Receipt } from './opener.js';
export type { Event } from './opener.js';
export { Policy, TrustRoots } from './policy.js';
export { Report } from './report.js';
export type { Check, Fact, Hop, Level, Platform, ReportDocument, Verdict } from './report.js';
export { Stream } from './stream.js';
