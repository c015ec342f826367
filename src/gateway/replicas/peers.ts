/** The other replicas as this one reaches them: one HTTP client each, and the requests that are on their way there. */
import { ClientPipe, type PipeOutcome } from '../../cluster/client-pipe.js';
import type { Member } from '../../cluster/fleet.js';
import { type ForwardFailure, Forwarder, type ForwardRequest, type Peer } from '../../cluster/forwarder.js';
import type { SealDependencies } from '../../cluster/forward-seal.js';
import type { Clock } from '../../core/clock.js';
import type { TimerWheel } from '../../core/timer-wheel.js';
import type { Endpoint } from '../../downstream/endpoints.js';
import type { HttpExchange } from '../../downstream/http-exchange.js';
import { HttpClient } from '../../http-client/client.js';

/**
 * `answered`: the client has its answer, or is gone. `not-owner`, `not-sent`: nobody has executed the request.
 * `lost`: nobody knows, and the client has no answer.
 */
export type ForwardOutcome = 'answered' | 'not-owner' | 'not-sent' | 'lost';

const CONNECT_TIMEOUT_MS = 1000;
const PING_TIMEOUT_MS = 1000;
/** A timer that is late by more than this was not late because of others. */
const OVERSLEPT_MS = 250;
const MAX_IDLE_SOCKETS = 256;

/** A request that is to be passed on. */
export interface Passage {
  readonly endpoint: Endpoint;
  readonly exchange: HttpExchange;
  /** Id of the session, if there is one. */
  readonly session?: string | undefined;
  /** What the peer has to know beside the request. */
  readonly flags?: Readonly<Record<string, string>> | undefined;
}

class OnItsWay implements PipeOutcome {
  readonly pipe: ClientPipe;
  readonly isPost: boolean;
  readonly #all: Set<OnItsWay>;
  readonly #onOutcome: (outcome: ForwardOutcome) => void;

  constructor(
    { request, response, headers }: HttpExchange,
    all: Set<OnItsWay>,
    onOutcome: (outcome: ForwardOutcome) => void,
  ) {
    this.isPost = request.method === 'POST';
    this.#all = all;
    this.#onOutcome = onOutcome;
    this.pipe = new ClientPipe(response, headers, this);
    all.add(this);
  }

  onDone(): void {
    this.#settle('answered');
  }

  onNotOwner(): void {
    this.#settle('not-owner');
  }

  onFailure({ phase }: ForwardFailure): void {
    this.#settle(phase === 'not-sent' ? 'not-sent' : phase === 'sent' ? 'lost' : 'answered');
  }

  forget(): void {
    this.#all.delete(this);
  }

  #settle(outcome: ForwardOutcome): void {
    this.forget();
    this.#onOutcome(outcome);
  }
}

export class Peers {
  readonly #forwarder: Forwarder;
  readonly #timers: TimerWheel;
  readonly #clock: Clock;
  /** By the id of the replica: another one may be reached at the same address later. */
  readonly #clients = new Map<string, HttpClient>();
  readonly #onItsWay = new Map<string, Set<OnItsWay>>();

  constructor(replicaId: string, seal: SealDependencies, timers: TimerWheel) {
    this.#timers = timers;
    this.#clock = seal.clock;
    this.#forwarder = new Forwarder(
      { replicaId, headersTimeoutMs: 0 },
      { ...seal, httpFor: (peer) => this.#clientFor(peer) },
    );
  }

  /** Requests of clients that another replica is working on. */
  get postCount(): number {
    let count = 0;
    for (const requests of this.#onItsWay.values()) for (const { isPost } of requests) if (isPost) count += 1;
    return count;
  }

  /**
   * @param onOutcome Called once; not before this has returned.
   * @throws {TypeError} it cannot be sent; nothing was
   */
  forward(member: Member, passage: Passage, onOutcome: (outcome: ForwardOutcome) => void): void {
    const onItsWay = new OnItsWay(passage.exchange, this.#requestsOf(member.id), onOutcome);
    try {
      this.#forwarder.forward(member, requestOf(passage), onItsWay.pipe);
    } catch (error) {
      onItsWay.forget();
      throw error;
    }
  }

  /** Ids of the replicas that something is expected of. */
  get awaited(): readonly string[] {
    return [...this.#onItsWay].filter(([, requests]) => requests.size > 0).map(([id]) => id);
  }

  /** Whether the replica answers. One that seems not to because this very process stood still is asked again. */
  async isThere(member: Member): Promise<boolean> {
    for (;;) {
      const askedAtMs = this.#clock.now();
      if (await this.#forwarder.ping(member, PING_TIMEOUT_MS)) return true;
      if (this.#clock.now() - askedAtMs < PING_TIMEOUT_MS + OVERSLEPT_MS) return false;
    }
  }

  /** @returns undefined when it does not answer */
  ask(member: Member, path: string, query: string): Promise<string | undefined> {
    return this.#forwarder.ask(member, path, query, PING_TIMEOUT_MS);
  }

  /** The replica is gone: nobody waits for it any longer. */
  giveUp(member: Member): void {
    const client = this.#clients.get(member.id);
    this.#clients.delete(member.id);
    if (this.#onItsWay.get(member.id)?.size === 0) this.#onItsWay.delete(member.id);
    void client?.close();
  }

  /** Ends the event streams that come from other replicas, where their clients can go on later. */
  endStreams(lastWords: string): void {
    for (const requests of this.#onItsWay.values()) {
      for (const { pipe, isPost } of [...requests]) if (!isPost) pipe.endAtBoundary(lastWords);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
  }

  #requestsOf(id: string): Set<OnItsWay> {
    let requests = this.#onItsWay.get(id);
    if (requests === undefined) this.#onItsWay.set(id, (requests = new Set()));
    return requests;
  }

  #clientFor({ id, address }: Peer): HttpClient {
    let client = this.#clients.get(id);
    if (client === undefined) {
      client = new HttpClient({
        origin: new URL(address),
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        headersTimeoutMs: 0,
        maxIdleSockets: MAX_IDLE_SOCKETS,
        timers: this.#timers,
      });
      this.#clients.set(id, client);
    }
    return client;
  }
}

function requestOf({ endpoint, exchange, session, flags }: Passage): ForwardRequest {
  const { request, query, caller, publicPrefix, body } = exchange;
  const { principal, ip } = caller;
  return {
    method: request.method as ForwardRequest['method'],
    path: `/${endpoint.door.prefix}/${endpoint.kind}`,
    query,
    headers: request.headers,
    facts: { principal, ip, publicPrefix, flags },
    body,
    // Its streams are opened once: only messages are worth remembering.
    likeness: body === undefined ? undefined : session,
  };
}
