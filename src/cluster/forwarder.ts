/**
 * Sends a client's request, whole, to the replica that owns its session, and tells a sink what becomes of it.
 * Which replica that is, and what to do when it is not there, is decided by the caller.
 */
import type { Principal } from '../auth/principal.js';
import type { HttpClientError } from '../http-client/errors.js';
import type { HttpCall, HttpRequester, ResponseHandler, ResponseHeaders } from '../http-client/types.js';
import { LRUCache } from 'lru-cache';
import type { ForwardFacts } from './envelope.js';
import { ForwardContext, type ForwardHead } from './forward-context.js';
import { ForwardSigner, type SealDependencies } from './forward-seal.js';
import { PING_PATH, REFUSED_HEADER } from './peer-listener.js';
import { ShortAnswer } from './short-answer.js';

export interface Peer {
  /** Of the replica that is meant; another one at the same address refuses. */
  readonly id: string;
  /** Origin of its listener. */
  readonly address: string;
}

export interface ForwardRequest extends ForwardHead {
  readonly body?: Buffer | undefined;
  /** Requests with the same name are much alike, as those of one session are. */
  readonly likeness?: string | undefined;
}

/**
 * `not-sent`: nobody has executed it. `sent`: nobody knows. `answering`: it was taken, and its answer stopped half-way.
 */
export interface ForwardFailure {
  readonly phase: 'not-sent' | 'sent' | 'answering';
  /** `refused`: the peer does not know our secret, is another replica by now, or its clock is far off. */
  readonly reason: string;
}

/** Is told of one answer; exactly one of `onEnd`, `onFailure` and `onNotOwner` is the last call, unless it aborts. */
export interface ForwardSink {
  /** Before anything else. */
  onStart(call: HttpCall): void;
  onHead(status: number, headers: ResponseHeaders): void;
  onData(chunk: Buffer): void;
  onEnd(): void;
  onFailure(failure: ForwardFailure): void;
  /** The peer does not own the session and executed nothing. */
  onNotOwner(): void;
}

export interface ForwarderOptions {
  readonly replicaId: string;
  /** How long a peer may take to begin its answer, in milliseconds; 0: for ever, absent: the client's own limit. */
  readonly headersTimeoutMs?: number;
}

export interface ForwarderDependencies extends SealDependencies {
  /** The client for a peer, the same for as long as it is there. */
  readonly httpFor: (peer: Peer) => HttpRequester;
}

const NOT_OWNER = 421;
const MAX_CONTEXTS = 5000;
const REFUSED = 403;
const NOBODY: Principal = {
  id: 'replica',
  kind: 'anonymous',
  role: undefined,
  tenant: undefined,
  claims: {},
  expiresAtMs: undefined,
};

export class Forwarder {
  readonly #replicaId: string;
  readonly #signer: ForwardSigner;
  readonly #contexts = new LRUCache<string, ForwardContext>({ max: MAX_CONTEXTS });
  readonly #headersTimeoutMs: number | undefined;
  readonly #httpFor: (peer: Peer) => HttpRequester;

  constructor({ replicaId, headersTimeoutMs }: ForwarderOptions, dependencies: ForwarderDependencies) {
    this.#replicaId = replicaId;
    this.#signer = new ForwardSigner(dependencies);
    this.#headersTimeoutMs = headersTimeoutMs;
    this.#httpFor = dependencies.httpFor;
  }

  /** @throws {TypeError} the path cannot be sent; nothing was */
  forward(peer: Peer, request: ForwardRequest, sink: ForwardSink): void {
    this.#send(peer, request, sink, this.#headersTimeoutMs);
  }

  /** @returns whether the peer is there, is who it should be, and answers within `timeoutMs` */
  async ping(peer: Peer, timeoutMs: number): Promise<boolean> {
    return (await this.ask(peer, PING_PATH, '', timeoutMs)) === peer.id;
  }

  /**
   * Something between replicas, with no client behind it.
   *
   * @returns the text of the answer; undefined when none came within `timeoutMs`, or another one than 200
   */
  ask(peer: Peer, path: string, query: string, timeoutMs: number): Promise<string | undefined> {
    const facts: ForwardFacts = { principal: NOBODY, ip: '', publicPrefix: '' };
    return new Promise((resolve) => {
      const sink = new ShortAnswer(timeoutMs, resolve);
      this.#send(peer, { method: 'GET', path, query, headers: {}, facts }, sink, timeoutMs);
    });
  }

  #send(peer: Peer, request: ForwardRequest, sink: ForwardSink, headersTimeoutMs: number | undefined): void {
    const { method, path, query, body } = request;
    const call = this.#httpFor(peer).request(
      {
        method,
        path: query === '' ? path : `${path}?${query}`,
        headers: this.#signer.sign(this.#contextOf(peer, request), body),
        // A second copy of a message could be executed twice.
        retryStale: method !== 'POST',
        body,
        headersTimeoutMs,
      },
      new Answer(sink),
    );
    sink.onStart(call);
  }

  #contextOf(peer: Peer, request: ForwardRequest): ForwardContext {
    const { likeness } = request;
    const known = likeness === undefined ? undefined : this.#contexts.get(likeness);
    if (known?.fits(peer.id, request) === true) return known;
    const context = new ForwardContext(this.#replicaId, peer.id, request);
    if (likeness !== undefined) this.#contexts.set(likeness, context);
    return context;
  }
}

/** Tells the sink what the gateway behind the peer's listener said, and keeps what the listener itself said from it. */
class Answer implements ResponseHandler {
  readonly #sink: ForwardSink;
  #state: 'waiting' | 'answering' | 'over' = 'waiting';

  constructor(sink: ForwardSink) {
    this.#sink = sink;
  }

  onHeaders(status: number, headers: ResponseHeaders): void {
    this.#state = 'answering';
    if (status === NOT_OWNER) {
      this.#state = 'over';
      this.#sink.onNotOwner();
    } else if (status === REFUSED && headers.get(REFUSED_HEADER) !== undefined) {
      this.#state = 'over';
      this.#sink.onFailure({ phase: 'not-sent', reason: 'refused' });
    } else this.#sink.onHead(status, headers);
  }

  onData(chunk: Buffer): void {
    if (this.#state === 'answering') this.#sink.onData(chunk);
  }

  onEnd(): void {
    if (this.#state === 'answering') this.#sink.onEnd();
  }

  onError({ sent, reason }: HttpClientError): void {
    if (this.#state === 'over') return;
    const phase = this.#state === 'answering' ? 'answering' : sent === 'no' ? 'not-sent' : 'sent';
    this.#sink.onFailure({ phase, reason });
  }
}
