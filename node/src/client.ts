// The client with its own transport.

import { readFileSync } from 'node:fs';
import { EvidenceBundle } from './bundle.js';
import { disposable, toBytes, toJsonBytes, toOptionalBytes, type BytesLike, type JsonLike } from './convert.js';
import { VerifiedEndpoint } from './endpoint.js';
import { AbortError, call, callAsync, errorOf, ProveilError } from './errors.js';
import { native, type Answer, type NativeCancel, type NativeClient } from './native.js';
import { Policy, TrustRoots } from './policy.js';
import { Report } from './report.js';
import { Stream } from './stream.js';

/** A client's settings. */
export interface ClientOptions {
  /** Default `venice`. */
  readonly provider?: string;
  /**
   * The caller's API key; default is the provider's environment variable (`VENICE_API_KEY`), or the file that the same variable with
   * `_FILE` names.
   */
  readonly apiKey?: string;
  /** Where the provider is reached; default is its public address. */
  readonly baseUrl?: string;
  /** Where Intel-style collateral is fetched; default is Intel's service. */
  readonly collateralUrl?: string;
  /**
   * Where NVIDIA's manifests, OCSP answers and attestation service are reached; default is NVIDIA's hosts. They are asked only where
   * the policy requires what they say.
   */
  readonly nvidiaUrl?: string;
  /** What must hold; default is {@link Policy.standard}. */
  readonly policy?: Policy;
  /** Whose signatures count; default is the hardware vendors'. */
  readonly trustRoots?: TrustRoots;
  /** More certificate authorities for TLS, PEM. */
  readonly caBundlePem?: BytesLike;
  /** `environment` (default: `HTTPS_PROXY`, `NO_PROXY`), `none`, or a proxy URL. */
  readonly proxy?: string;
  /** Folder for vendor collateral, which is verified again on every use. */
  readonly cacheDir?: string;
  /**
   * File of pinned software, as `proveil pin` keeps it. Other software than the pinned one is refused (`software_changed`); a file that
   * cannot be read is an error (`pins_invalid`); what is not pinned is as the policy says.
   */
  readonly pins?: string;
  /**
   * Privatemode: the manifest that the deployment must have, byte for byte; then it proves the software. By default the one that the
   * provider publishes is taken, which says what runs and not that this is right.
   */
  readonly manifest?: BytesLike;
  /** Privatemode: where manifests are published; default is the provider's own host. */
  readonly manifestUrl?: string;
  /** Privatemode: where AMD's key distribution service is reached; default is AMD's own. */
  readonly amdUrl?: string;
  /**
   * Privatemode: accepts GPUs whose certificate has an unknown state, or was revoked less than so many seconds ago; by default, and
   * with 0, only those that were not revoked.
   */
  readonly gpuRevocationGraceS?: number;
  /**
   * Privatemode: a secret of at least 32 bytes. Prompts with the same one can share what the service keeps of them; by default each
   * request gets its own.
   */
  readonly cacheSalt?: string;
  /** Privatemode: DNS name that the key service's certificate must have, instead of those in the manifest. */
  readonly keyServiceName?: string;
  /**
   * Privatemode: folder whose `manifests` keeps each manifest that the deployment was proven to run, with `log.txt` of when it was first
   * seen and what changed. A log that cannot be written is no error.
   */
  readonly workspace?: string;
  /** Whole seconds. */
  readonly timeouts?: {
    readonly connectS?: number;
    readonly firstByteS?: number;
    readonly idleS?: number;
    readonly verificationS?: number;
  };
}

/** Options of one call. */
export interface CallOptions {
  /** Ends the call with an {@link AbortError}. */
  readonly signal?: AbortSignal;
}

/** One model of the provider. Only `e2ee` models take encrypted requests. */
export interface Model {
  readonly id: string;
  readonly class: 'e2ee' | 'tee' | 'private' | 'anonymous' | 'unknown';
  readonly [member: string]: unknown;
}

/** A chat request in the OpenAI form. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly [member: string]: unknown;
}

/** One message of a chat. */
export interface ChatMessage {
  readonly role: string;
  readonly content: unknown;
  readonly [member: string]: unknown;
}

/** Verifies an endpoint, seals requests to its proven key, sends them and opens the answers. Opens no socket before the first call. */
export class Client {
  readonly #native: NativeClient;
  readonly #pending = new Set<NativeCancel>();

  /** Reads the settings; throws {@link ConfigError}. */
  constructor(options: ClientOptions = {}) {
    const { provider = 'venice', baseUrl, collateralUrl, nvidiaUrl, policy, trustRoots, proxy, cacheDir, pins } = options;
    const caBundlePem = options.caBundlePem === undefined ? undefined : toBytes('caBundlePem', options.caBundlePem);
    const apiKey = options.apiKey ?? apiKeyFromEnvironment(provider);
    this.#native = call(() =>
      native.Client.create({
        provider,
        apiKey,
        baseUrl,
        collateralUrl,
        nvidiaUrl,
        policy: policy?.toJson(),
        trustRoots: TrustRoots.textOf(trustRoots),
        caBundlePem,
        proxy,
        cacheDir,
        pins,
        manifest: toOptionalBytes('manifest', options.manifest),
        manifestUrl: options.manifestUrl,
        amdUrl: options.amdUrl,
        gpuRevocationGraceS: options.gpuRevocationGraceS,
        cacheSalt: options.cacheSalt,
        keyServiceName: options.keyServiceName,
        workspace: options.workspace,
        ...options.timeouts,
      }),
    );
  }

  /** The provider's models. */
  async models(options: CallOptions = {}): Promise<Model[]> {
    const json = await this.#run(options.signal, (client, cancel) => client.modelsJson(cancel));
    return (JSON.parse(json) as { models: Model[] }).models;
  }

  /**
   * A fresh verification. All three verdicts are a report; look at `verdict`. An error means that there was nothing to judge: an argument
   * or setting that cannot be used (PV-1xx, with pins that cannot be read), a provider whose model list, manifest, attestation or key
   * exchange could not be fetched (PV-3xx), or one that answered with an error (PV-5xx).
   */
  async verify(model: string, options: CallOptions = {}): Promise<Report> {
    return Report.wrap(await this.#run(options.signal, (client, cancel) => client.verify(model, cancel)));
  }

  /** A fresh verification with everything that it used, whatever its verdict, to be kept and judged again without network. */
  async capture(model: string, options: CallOptions = {}): Promise<EvidenceBundle> {
    return EvidenceBundle.wrap(await this.#run(options.signal, (client, cancel) => client.capture(model, cancel)));
  }

  /** A proven endpoint, reused while its proof lasts; concurrent callers share one verification. */
  async ready(model: string, options: CallOptions = {}): Promise<VerifiedEndpoint> {
    return VerifiedEndpoint.wrap(await this.#run(options.signal, (client, cancel) => client.ready(model, cancel)));
  }

  /**
   * Verifies when needed, seals, sends, and gives the answer as it is opened. The signal covers the stream too. What an answer says
   * besides texts (calls of tools, refusals, log probabilities) comes as events of kind `document`, before its texts.
   */
  async chat(request: ChatRequest | JsonLike, options: CallOptions = {}): Promise<Stream> {
    const body = toJsonBytes('request', request);
    const cancel = native.Cancel.create();
    const stream = await this.#run(options.signal, (client, token) => client.chat(body, token), cancel);
    return Stream.wrap(stream, options.signal);
  }

  /**
   * As {@link Client.chat}, for any endpoint of the API that the provider carries sealed, by its path (`/v1/messages`). `body` is JSON,
   * or a form or document as bytes with its `contentType`. The answer comes as events of kind `document`: one for a whole answer, one
   * for each event of a streamed one.
   */
  async send(endpointPath: string, body: JsonLike, contentType?: string, options: CallOptions = {}): Promise<Stream> {
    const bytes = toJsonBytes('body', body);
    const cancel = native.Cancel.create();
    const stream = await this.#run(
      options.signal,
      (client, token) => client.send(endpointPath, bytes, contentType, token),
      cancel,
    );
    return Stream.wrap(stream, options.signal);
  }

  /** Embeds texts: `body` has the OpenAI form, with `model` and `input`. Gives the whole answer as JSON text. */
  async embeddings(body: JsonLike, options: CallOptions = {}): Promise<string> {
    const bytes = toJsonBytes('body', body);
    return this.#run(options.signal, (client, cancel) => client.embeddings(bytes, cancel));
  }

  /**
   * Transcribes a recording: `body` is a form with `model` and `file`, and `contentType` (`multipart/form-data`) names its boundary.
   * Gives the whole answer as JSON text.
   */
  async transcriptions(body: BytesLike, contentType: string, options: CallOptions = {}): Promise<string> {
    const bytes = toBytes('body', body);
    return this.#run(options.signal, (client, cancel) => client.transcriptions(bytes, contentType, cancel));
  }

  /**
   * Ends calls that are under way (they reject as `cancelled`), drops connections and proofs, and refuses new calls. Streams live
   * on. Idempotent.
   */
  async close(): Promise<void> {
    for (const cancel of this.#pending) {
      cancel.trigger();
    }
    call(() => this.#native.close());
  }

  async #run<T>(
    signal: AbortSignal | undefined,
    start: (client: NativeClient, cancel: NativeCancel) => Promise<Answer<T>>,
    cancel: NativeCancel = native.Cancel.create(),
  ): Promise<T> {
    const client = this.#native;
    this.#pending.add(cancel);
    try {
      return await abortable(signal, cancel, () => callAsync(() => start(client, cancel)));
    } finally {
      this.#pending.delete(cancel);
    }
  }
}

export interface Client extends AsyncDisposable {}
disposable(Client, 'asyncDispose', 'close');

/** Throws `missing_api_key`, which names the variable, and `file_unreadable`. */
function apiKeyFromEnvironment(provider: string): string {
  const variable = call(() => native.defaultApiKeyVariable(provider));
  const { [variable]: key, [`${variable}_FILE`]: path } = process.env;
  if (key !== undefined && key !== '') {
    return key;
  }
  if (path === undefined || path === '') {
    throw errorOf('missing_api_key', { check: variable });
  }
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    throw errorOf('file_unreadable', { check: `${variable}_FILE`, found: path });
  }
}

/** Runs an operation whose token the signal triggers; the operation's own end by that is an {@link AbortError}. */
async function abortable<T>(signal: AbortSignal | undefined, cancel: NativeCancel, work: () => Promise<T>): Promise<T> {
  if (signal === undefined) {
    return work();
  }
  if (signal.aborted) {
    throw new AbortError(signal.reason);
  }
  const onAbort = (): void => cancel.trigger();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await work();
  } catch (error) {
    throw signal.aborted && error instanceof ProveilError && error.slug === 'cancelled'
      ? new AbortError(signal.reason)
      : error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
