/**
 * Brings each request to the replica that has its session: serves it here, or passes it on, as often as the session moves meanwhile.
 * Never passes on what another replica has passed on. Where a session is, the locator knows.
 */
import type { Member } from '../../cluster/fleet.js';
import { background } from '../../core/background.js';
import { describeError } from '../../core/errors.js';
import { readBody } from '../../downstream/body.js';
import { type Elsewhere, namedSession } from '../../downstream/elsewhere.js';
import { type Endpoint, isTaken } from '../../downstream/endpoints.js';
import { type HttpExchange, refuse } from '../../downstream/http-exchange.js';
import { greet } from '../../downstream/sse.js';
import { parseEventId } from '../../downstream/sse-encode.js';
import { greetStream } from '../../downstream/streamable-http.js';
import { OverloadedError } from '../../protocol/session-errors.js';
import type { SessionIds } from '../../session/session-id.js';
import { type BoundId, BoundIds } from './bound-ids.js';
import { answerLost } from './lost-request.js';
import type { ForwardOutcome, Passage, Peers } from './peers.js';
import { MovableExchange } from './movable-exchange.js';
import { type Search, SessionLocator, type SessionLocatorDependencies } from './session-locator.js';

export interface SessionFinderDependencies extends SessionLocatorDependencies {
  readonly ids: SessionIds;
  readonly peers: Peers;
  /** @param ms for how long, in milliseconds */
  readonly pause: (ms: number) => Promise<void>;
  /** Of a request body, in bytes. */
  readonly maxBodyBytes: () => number;
  readonly serveHere: (endpoint: Endpoint, exchange: HttpExchange) => void;
  readonly onForwarded: () => void;
}

/** How long a request waits while its session is on its way from one replica to another. */
const POST_PATIENCE_MS = 5000;
const GET_PATIENCE_MS = 15_000;
const RETRY_AFTER_MS = 1000;
/** Between two looks where the session is now. */
const PAUSE_MS = 40;

/** Told to the replica that a request is passed on to. */
export const Flag = {
  /** A new session may be opened. */
  open: 'open',
  /** The session has no owner, and may be taken. */
  take: 'take',
  /** The client's event stream has begun. */
  greeted: 'greeted',
} as const;

/** @returns for how long the request may wait for its session, in milliseconds */
export function patienceMs({ method }: HttpExchange['request']): number {
  return method === 'POST' ? POST_PATIENCE_MS : GET_PATIENCE_MS;
}

function unreachable(): OverloadedError {
  return new OverloadedError('the session cannot be reached at the moment', RETRY_AFTER_MS);
}

export class SessionFinder implements Elsewhere {
  readonly #dependencies: SessionFinderDependencies;
  readonly #locator: SessionLocator;
  readonly #ids: BoundIds;
  #searching = 0;

  constructor(dependencies: SessionFinderDependencies) {
    this.#dependencies = dependencies;
    this.#locator = new SessionLocator(dependencies);
    this.#ids = new BoundIds(dependencies.ids);
  }

  /** Requests that are on their way to their session. */
  get searching(): number {
    return this.#searching;
  }

  takes(endpoint: Endpoint, exchange: HttpExchange): boolean {
    // Nobody does anything with it, so it is refused where it came.
    if (!isTaken(endpoint, exchange.request.method)) return false;
    const { fence } = this.#dependencies;
    const id = namedSession(endpoint, exchange);
    if (id === undefined) return this.#takesUnnamed(endpoint, exchange);
    const isHere = endpoint.door.holds(id);
    if (isHere && fence.isOpen) {
      this.#serve(endpoint, exchange, id);
      return true;
    }
    const bound = this.#ids.openFor(endpoint, exchange, id);
    if (bound === undefined) return false;
    if (isHere && exchange.request.method === 'POST') this.#serveOnceCertain(endpoint, exchange);
    else this.#findLater(endpoint, exchange, id, bound);
    return true;
  }

  /** Messages keep their order. Whether the session is still here only the shared memory can tell, and that may be away for long. */
  #serveOnceCertain(endpoint: Endpoint, exchange: HttpExchange): void {
    const act = (): void => refuse(exchange, unreachable());
    const otherwise = { afterMs: patienceMs(exchange.request), act };
    this.#dependencies.fence.pass(() => this.#takeOrServe(endpoint, exchange), otherwise);
  }

  #takeOrServe(endpoint: Endpoint, exchange: HttpExchange): void {
    if (!this.takes(endpoint, exchange)) this.#dependencies.serveHere(endpoint, exchange);
  }

  /** For a request that another replica passed on: takes its session if it may be taken. @returns whether it is here */
  async takeFor(endpoint: Endpoint, exchange: HttpExchange): Promise<boolean> {
    const id = namedSession(endpoint, exchange);
    const bound = id === undefined ? undefined : this.#ids.openFor(endpoint, exchange, id);
    if (id === undefined || bound === undefined) return false;
    const search = this.#searchFor(endpoint, id, bound, exchange);
    const stored = await this.#dependencies.directory.load(search.key);
    if (stored === undefined || stored.owner !== '') return false;
    return (await this.#locator.take(search, stored)).kind === 'here';
  }

  /** The session may leave while the request is being read. */
  #serve(endpoint: Endpoint, exchange: HttpExchange, id: string): void {
    const movable = new MovableExchange(exchange, (body, left) => {
      const follow = left.then(() => this.#follow(endpoint, { ...exchange, body }, id));
      background(follow, this.#dependencies.logger, 'forward_failed');
    });
    this.#dependencies.serveHere(endpoint, movable);
  }

  /** A session that is still here was not what was missing, and looking for it again would find it again. */
  #follow(endpoint: Endpoint, exchange: HttpExchange, id: string): void {
    const bound = endpoint.door.holds(id) ? undefined : this.#ids.openFor(endpoint, exchange, id);
    if (bound === undefined) this.#dependencies.serveHere(endpoint, exchange);
    else this.#findLater(endpoint, exchange, id, bound);
  }

  /** Nothing new begins here once this replica is about to stop. */
  #takesUnnamed(endpoint: Endpoint, exchange: HttpExchange): boolean {
    const { isDraining, fleet } = this.#dependencies;
    const { method } = exchange.request;
    const opens = endpoint.kind === 'sse' ? method === 'GET' : endpoint.kind === 'mcp' && method === 'POST';
    if (!opens || !isDraining() || fleet.peers.length === 0) return false;
    this.#bringLater(this.#openElsewhere(endpoint, exchange), exchange);
    return true;
  }

  async #openElsewhere(endpoint: Endpoint, unread: HttpExchange): Promise<void> {
    const exchange = await this.#withBody(unread);
    if (exchange === undefined) return;
    for (const member of this.#locator.peersInTurn()) {
      const outcome = await this.#forward(member, { endpoint, exchange, flags: { [Flag.open]: '1' } });
      if (outcome === 'answered') return;
      if (outcome === 'lost') {
        answerLost(endpoint, exchange);
        return;
      }
    }
    this.#dependencies.serveHere(endpoint, exchange);
  }

  #findLater(endpoint: Endpoint, exchange: HttpExchange, id: string, bound: BoundId): void {
    const member = this.#locator.guess(id, bound.opened);
    if (member !== undefined && exchange.request.method === 'POST') this.#passOn(endpoint, exchange, id, bound, member);
    else this.#bringLater(this.#find(exchange, this.#searchFor(endpoint, id, bound, exchange)), exchange);
  }

  /** The usual way of a message: at once to where its session was met last. Only when that fails, it is looked for. */
  #passOn(endpoint: Endpoint, unread: HttpExchange, id: string, bound: BoundId, member: Member): void {
    let isRead = false;
    this.#searching += 1;
    unread.response.on('close', () => {
      if (!isRead) this.#searching -= 1;
    });
    readBody(unread, this.#dependencies.maxBodyBytes(), {
      onBody: (body) => {
        isRead = true;
        this.#searching -= 1;
        this.#passOnRead({ endpoint, exchange: { ...unread, body }, session: id }, bound, member);
      },
      onRefused: (error) => refuse(unread, error),
    });
  }

  #passOnRead(passage: Passage & { readonly session: string }, bound: BoundId, member: Member): void {
    const { endpoint, exchange, session } = passage;
    const { peers, onForwarded, logger } = this.#dependencies;
    onForwarded();
    try {
      peers.forward(member, passage, (outcome) => {
        if (outcome === 'answered') {
          this.#locator.met(session, member);
          return;
        }
        const search = this.#searchFor(endpoint, session, bound, exchange);
        if (!this.#isOver(search, exchange, member, outcome)) {
          this.#bringLater(this.#find(exchange, search), exchange);
        }
      });
    } catch (error) {
      refuse(exchange, error);
      logger.warn('forward_failed', 'a request could not be passed on', { reason: describeError(error) });
    }
  }

  /** Whatever goes wrong, the client is answered. */
  #bringLater(work: Promise<void>, exchange: HttpExchange): void {
    const answered = this.#counted(work, exchange).catch((error: unknown) => {
      refuse(exchange, error);
      throw error;
    });
    background(answered, this.#dependencies.logger, 'forward_failed');
  }

  /** Streams are not counted: they end when they are told to. */
  async #counted(work: Promise<void>, { request }: HttpExchange): Promise<void> {
    if (request.method !== 'POST') return work;
    this.#searching += 1;
    try {
      await work;
    } finally {
      this.#searching -= 1;
    }
  }

  async #find(unread: HttpExchange, search: Search): Promise<void> {
    const read = await this.#withBody(unread);
    if (read === undefined) return;
    let exchange = read;
    const { endpoint, id } = search;
    while (!exchange.response.destroyed) {
      const place = await this.#locator.locate(search);
      if (exchange.response.destroyed) return;
      if (place.kind === 'here') {
        this.#serve(endpoint, exchange, id);
        return;
      }
      if (place.kind === 'nowhere') {
        this.#dependencies.serveHere(endpoint, exchange);
        return;
      }
      if (place.kind === 'peer' && (await this.#bring(search, exchange, place.member, place.mayTake))) return;
      if (place.kind === 'peer') continue;
      if (place.kind === 'unknown' || this.#dependencies.clock.now() > search.deadlineMs) break;
      exchange = this.#greeted(search, exchange);
      await this.#dependencies.pause(PAUSE_MS);
      search.tried.clear();
    }
    if (exchange.isAnswerOpen === true) exchange.response.end();
    else refuse(exchange, unreachable());
  }

  #searchFor(endpoint: Endpoint, id: string, { opened, key }: BoundId, { request, caller }: HttpExchange): Search {
    const { principal } = caller;
    const startedAtMs = this.#dependencies.clock.now();
    const deadlineMs = startedAtMs + patienceMs(request);
    return { endpoint, id, key, opened, principal, startedAtMs, deadlineMs, tried: new Map() };
  }

  /** @returns whether that was the end of it */
  async #bring(search: Search, exchange: HttpExchange, member: Member, mayTake: boolean): Promise<boolean> {
    const { endpoint, id } = search;
    const isGreeted = exchange.isAnswerOpen === true;
    const flags = { ...(mayTake ? { [Flag.take]: '1' } : {}), ...(isGreeted ? { [Flag.greeted]: '1' } : {}) };
    const passage = { endpoint, exchange, session: id, ...(mayTake || isGreeted ? { flags } : {}) };
    return this.#isOver(search, exchange, member, await this.#forward(member, passage));
  }

  /** Takes note of what became of a request that was passed on. @returns whether that was the end of it */
  #isOver(search: Search, exchange: HttpExchange, member: Member, outcome: ForwardOutcome): boolean {
    if (outcome === 'answered') {
      this.#locator.met(search.id, member);
      return true;
    }
    this.#locator.missed(search, member, outcome === 'not-owner' ? 'not-owner' : 'unreachable');
    if (outcome !== 'lost' || exchange.request.method !== 'POST') return false;
    answerLost(search.endpoint, exchange);
    return true;
  }

  #forward(member: Member, passage: Passage): Promise<ForwardOutcome> {
    const { peers, onForwarded } = this.#dependencies;
    onForwarded();
    return new Promise((resolve) => peers.forward(member, passage, resolve));
  }

  /** A client that comes back hears at once that it is expected, and waits on its stream. */
  #greeted(search: Search, exchange: HttpExchange): HttpExchange {
    const { request } = exchange;
    if (request.method !== 'GET' || exchange.isAnswerOpen === true) return exchange;
    const seen = parseEventId(String(request.headers['last-event-id'] ?? ''));
    if (search.endpoint.kind === 'mcp') greetStream(exchange);
    else greet(exchange, search.id, seen?.sequence ?? 0);
    return { ...exchange, isAnswerOpen: true };
  }

  /** @returns undefined when it could not be read, and the client was told */
  #withBody(exchange: HttpExchange): Promise<HttpExchange | undefined> {
    if (exchange.request.method !== 'POST') return Promise.resolve(exchange);
    return new Promise((resolve) => {
      exchange.response.on('close', () => resolve(undefined));
      readBody(exchange, this.#dependencies.maxBodyBytes(), {
        onBody: (body) => resolve({ ...exchange, body }),
        onRefused: (error) => {
          refuse(exchange, error);
          resolve(undefined);
        },
      });
    });
  }
}
