/** The other replicas as this one reaches them: one HTTP client each, and the requests that are on their way there. */
import { pipeTo, type ClientPipe } from '../cluster/client-pipe.js';
import type { Member } from '../cluster/fleet.js';
import { Forwarder, type Peer } from '../cluster/forwarder.js';
import { toldHeaders } from '../cluster/passed-headers.js';
import type { SealDependencies } from '../cluster/forward-seal.js';
import type { TimerWheel } from '../core/timer-wheel.js';
import type { Endpoint } from '../downstream/endpoints.js';
import type { HttpExchange } from '../downstream/http-exchange.js';
import { HttpClient } from '../http-client/client.js';

/**
 * `answered`: the client has its answer, or is gone. `not-owner`, `not-sent`: nobody has executed the request.
 * `lost`: nobody knows, and the client has no answer.
 */
export type ForwardOutcome = 'answered' | 'not-owner' | 'not-sent' | 'lost';

const CONNECT_TIMEOUT_MS = 1000;
const PING_TIMEOUT_MS = 1000;
const MAX_IDLE_SOCKETS = 256;

interface OnItsWay {
  readonly pipe: ClientPipe;
  readonly isPost: boolean;
}

export class Peers {
  readonly #forwarder: Forwarder;
  readonly #timers: TimerWheel;
  /** By the id of the replica: another one may be reached at the same address later. */
  readonly #clients = new Map<string, HttpClient>();
  readonly #onItsWay = new Map<string, Set<OnItsWay>>();

  constructor(replicaId: string, seal: SealDependencies, timers: TimerWheel) {
    this.#timers = timers;
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
   * @param flags What the peer has to know beside the request.
   * @throws {TypeError} it cannot be sent; nothing was
   */
  forward(
    member: Member,
    { kind, door }: Endpoint,
    exchange: HttpExchange,
    flags: Readonly<Record<string, string>>,
  ): Promise<ForwardOutcome> {
    const { request, response, query, caller, publicPrefix, body } = exchange;
    const method = request.method as 'GET' | 'POST' | 'DELETE';
    const told = { ...toldHeaders(request.headers), ...flags };
    const facts = { principal: caller.principal, ip: caller.ip, publicPrefix, flags: told };
    return new Promise((resolve) => {
      const settle = (outcome: ForwardOutcome): void => {
        this.#requestsOf(member.id).delete(onItsWay);
        resolve(outcome);
      };
      const pipe = pipeTo(response, exchange.headers, {
        onDone: () => settle('answered'),
        onNotOwner: () => settle('not-owner'),
        onFailure: ({ phase }) => settle(phase === 'not-sent' ? 'not-sent' : phase === 'sent' ? 'lost' : 'answered'),
      });
      const onItsWay = { pipe, isPost: method === 'POST' };
      this.#requestsOf(member.id).add(onItsWay);
      const path = `/${door.prefix}/${kind}`;
      try {
        this.#forwarder.forward(
          member,
          { method, path, query, headers: request.headers, facts, ...(body === undefined ? {} : { body }) },
          pipe,
        );
      } catch (error) {
        this.#requestsOf(member.id).delete(onItsWay);
        throw error;
      }
    });
  }

  /** Whether the replica answers. */
  isThere(member: Member): Promise<boolean> {
    return this.#forwarder.ping(member, PING_TIMEOUT_MS);
  }

  /** The replica is gone: nobody waits for it any longer. */
  giveUp(member: Member): void {
    const client = this.#clients.get(member.id);
    this.#clients.delete(member.id);
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
