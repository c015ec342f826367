/**
 * Finds the replica that owns the session of a request, and brings the request there: serves it here, passes it on, or takes the session
 * when its owner is gone. Never passes on what another replica has passed on.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Fleet, Member } from '../cluster/fleet.js';
import type { SessionDirectory, SessionKey, StoredSession } from '../cluster/session-directory.js';
import { background } from '../core/background.js';
import type { Clock } from '../core/clock.js';
import { describeError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { readBody } from '../downstream/body.js';
import { type Elsewhere, namedSession } from '../downstream/elsewhere.js';
import { type Endpoint, isTaken } from '../downstream/endpoints.js';
import { type HttpExchange, refuse } from '../downstream/http-exchange.js';
import { greet } from '../downstream/sse.js';
import { parseEventId } from '../downstream/sse-encode.js';
import { greetStream } from '../downstream/streamable-http.js';
import { OverloadedError } from '../protocol/session-errors.js';
import { type OpenedSessionId, type SessionIds } from '../session/session-id.js';
import { LRUCache } from 'lru-cache';
import type { Fence } from './fence.js';
import { answerLost } from './lost-request.js';
import type { ForwardOutcome, Peers } from './peers.js';
import { sessionKey } from './session-copies.js';
import { SharedQuestions } from './shared-questions.js';
import type { Takeover } from './takeover.js';

export interface SessionFinderDependencies {
  readonly ids: SessionIds;
  readonly fleet: Fleet;
  readonly directory: SessionDirectory;
  readonly takeover: Takeover;
  readonly peers: Peers;
  readonly fence: Fence;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of a request body, in bytes. */
  readonly maxBodyBytes: () => number;
  /** How long the shared memory has been away, in milliseconds; 0 while it answers. */
  readonly memoryAwayMs: () => number;
  /** The shared memory came back, or was emptied, so recently that owners may not have said yet what is theirs. */
  readonly isMemoryYoung: () => boolean;
  readonly isDraining: () => boolean;
  readonly serveHere: (endpoint: Endpoint, exchange: HttpExchange) => void;
  readonly onForwarded: () => void;
}

/** How long a request waits while its session is on its way from one replica to another. */
const POST_PATIENCE_MS = 5000;
const GET_PATIENCE_MS = 15_000;
const RETRY_AFTER_MS = 1000;
/** Only the shared memory could tell, and it is away: more than a hiccup of it is not waited for. */
const HICCUP_MS = 2000;
/** What a replica says that has just joined, or an owner to a memory that was empty, is known to all after so long. */
const NEWS_MS = 2000;
/** Between two looks where the session is now. */
const PAUSE_MS = 40;
const MAX_KNOWN_OWNERS = 50_000;

/** Told to the replica that a request is passed on to. */
export const Flag = {
  /** A new session may be opened. */
  open: 'open',
  /** The session has no owner, and may be taken. */
  take: 'take',
  /** The client's event stream has begun. */
  greeted: 'greeted',
} as const;

type Place =
  | { readonly kind: 'here' }
  | { readonly kind: 'peer'; readonly member: Member; readonly mayTake: boolean }
  /** No such session, anywhere. */
  | { readonly kind: 'nowhere' }
  | { readonly kind: 'wait' }
  /** The shared memory is away, and nothing else tells. */
  | { readonly kind: 'unknown' };

/** An id that was found to be genuine, and whose it is. */
interface BoundId {
  readonly opened: OpenedSessionId;
  readonly route: string;
  /** Id of the caller. */
  readonly principal: string;
}

interface Search {
  readonly endpoint: Endpoint;
  readonly id: string;
  readonly key: SessionKey;
  readonly opened: OpenedSessionId;
  readonly startedAtMs: number;
  readonly deadlineMs: number;
  /** Where it was looked for in vain since the last pause. */
  readonly tried: Map<string, 'not-owner' | 'unreachable'>;
}

export class SessionFinder implements Elsewhere {
  readonly #dependencies: SessionFinderDependencies;
  readonly #owners = new LRUCache<string, string>({ max: MAX_KNOWN_OWNERS });
  /** Many requests of one session may wait for it at the same time. */
  readonly #lookUps: SharedQuestions<StoredSession | undefined>;
  /** Opening an id costs as much as all the rest of passing a request on. Whoever it is not bound to gets nothing out of it here either. */
  readonly #opened = new LRUCache<string, BoundId>({ max: MAX_KNOWN_OWNERS });
  #turn = 0;
  #searching = 0;

  constructor(dependencies: SessionFinderDependencies) {
    this.#dependencies = dependencies;
    this.#lookUps = new SharedQuestions(PAUSE_MS, dependencies.clock);
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
    if (endpoint.door.holds(id)) {
      if (fence.isOpen) this.#serve(endpoint, exchange, id);
      else fence.pass(() => this.#takeOrServe(endpoint, exchange));
      return true;
    }
    const opened = this.#openFor(endpoint, exchange, id);
    if (opened === undefined) return false;
    this.#findLater(endpoint, exchange, id, opened);
    return true;
  }

  #takeOrServe(endpoint: Endpoint, exchange: HttpExchange): void {
    if (!this.takes(endpoint, exchange)) this.#dependencies.serveHere(endpoint, exchange);
  }

  /** @returns undefined when it is forged, or another's: refused like any unknown one, and nobody is asked */
  #openFor({ door }: Endpoint, { caller }: HttpExchange, id: string): OpenedSessionId | undefined {
    const known = this.#opened.get(id);
    if (known !== undefined) {
      return known.route === door.prefix && known.principal === caller.principal.id ? known.opened : undefined;
    }
    const opened = this.#dependencies.ids.open(id);
    if (opened?.isBoundTo(door.prefix, caller.principal.id) !== true) return undefined;
    this.#opened.set(id, { opened, route: door.prefix, principal: caller.principal.id });
    return opened;
  }

  /** For a request that another replica passed on: takes its session if it may be taken. @returns whether it is here */
  async takeFor(endpoint: Endpoint, exchange: HttpExchange): Promise<boolean> {
    const id = namedSession(endpoint, exchange);
    const opened = id === undefined ? undefined : this.#openFor(endpoint, exchange, id);
    if (id === undefined || opened === undefined) return false;
    const search = this.#searchFor(endpoint, id, opened, exchange);
    const stored = await this.#dependencies.directory.load(search.key);
    if (stored === undefined || stored.owner !== '') return false;
    return (await this.#take(search, exchange, stored)).kind === 'here';
  }

  /** The session may leave while the request is being read. */
  #serve(endpoint: Endpoint, exchange: HttpExchange, id: string): void {
    this.#dependencies.serveHere(endpoint, {
      ...exchange,
      onMoved: (body, left) => {
        const follow = left.then(() => this.#follow(endpoint, { ...exchange, body }, id));
        background(follow, this.#dependencies.logger, 'forward_failed');
      },
    });
  }

  /** A session that is still here was not what was missing, and looking for it again would find it again. */
  #follow(endpoint: Endpoint, exchange: HttpExchange, id: string): void {
    const opened = endpoint.door.holds(id) ? undefined : this.#openFor(endpoint, exchange, id);
    if (opened === undefined) this.#dependencies.serveHere(endpoint, exchange);
    else this.#findLater(endpoint, exchange, id, opened);
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
    for (const member of this.#inTurn()) {
      const outcome = await this.#forward(member, endpoint, exchange, { [Flag.open]: '1' });
      if (outcome === 'answered') return;
      if (outcome === 'lost') {
        answerLost(endpoint, exchange);
        return;
      }
    }
    this.#dependencies.serveHere(endpoint, exchange);
  }

  /** So that not all go to the same peer. */
  #inTurn(): Member[] {
    const { peers } = this.#dependencies.fleet;
    this.#turn += 1;
    const start = this.#turn % Math.max(1, peers.length);
    return [...peers.slice(start), ...peers.slice(0, start)];
  }

  #findLater(endpoint: Endpoint, exchange: HttpExchange, id: string, opened: OpenedSessionId): void {
    this.#bringLater(this.#find(endpoint, exchange, id, opened), exchange);
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

  async #find(endpoint: Endpoint, unread: HttpExchange, id: string, opened: OpenedSessionId): Promise<void> {
    const read = await this.#withBody(unread);
    if (read === undefined) return;
    let exchange = read;
    const search = this.#searchFor(endpoint, id, opened, exchange);
    while (!exchange.response.destroyed) {
      const place = await this.#locate(search, exchange);
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
      await delay(PAUSE_MS);
      search.tried.clear();
    }
    if (exchange.isAnswerOpen === true) exchange.response.end();
    else refuse(exchange, new OverloadedError('the session cannot be reached at the moment', RETRY_AFTER_MS));
  }

  #searchFor(endpoint: Endpoint, id: string, opened: OpenedSessionId, { request }: HttpExchange): Search {
    const patienceMs = request.method === 'POST' ? POST_PATIENCE_MS : GET_PATIENCE_MS;
    const startedAtMs = this.#dependencies.clock.now();
    const deadlineMs = startedAtMs + patienceMs;
    return { endpoint, id, key: sessionKey(id), opened, startedAtMs, deadlineMs, tried: new Map() };
  }

  /** @returns whether that was the end of it */
  async #bring(search: Search, exchange: HttpExchange, member: Member, mayTake: boolean): Promise<boolean> {
    const { endpoint, id, tried } = search;
    const flags = {
      ...(mayTake ? { [Flag.take]: '1' } : {}),
      ...(exchange.isAnswerOpen === true ? { [Flag.greeted]: '1' } : {}),
    };
    const outcome = await this.#forward(member, endpoint, exchange, flags);
    if (outcome === 'answered') {
      this.#owners.set(id, member.id);
      return true;
    }
    this.#owners.delete(id);
    tried.set(member.id, outcome === 'not-owner' ? 'not-owner' : 'unreachable');
    if (outcome !== 'lost' || exchange.request.method !== 'POST') return false;
    answerLost(endpoint, exchange);
    return true;
  }

  #forward(
    member: Member,
    endpoint: Endpoint,
    exchange: HttpExchange,
    flags: Readonly<Record<string, string>>,
  ): Promise<ForwardOutcome> {
    this.#dependencies.onForwarded();
    return this.#dependencies.peers.forward(member, endpoint, exchange, flags);
  }

  async #locate(search: Search, exchange: HttpExchange): Promise<Place> {
    const { fence, memoryAwayMs, logger } = this.#dependencies;
    if (search.endpoint.door.holds(search.id)) return { kind: fence.isOpen ? 'here' : 'wait' };
    const guess = this.#guess(search);
    if (guess !== undefined) return { kind: 'peer', member: guess, mayTake: false };
    const awayMs = memoryAwayMs();
    if (awayMs > 0) return { kind: awayMs < HICCUP_MS ? 'wait' : 'unknown' };
    try {
      return await this.#lookUp(search, exchange);
    } catch (error) {
      logger.debug('lookup_failed', 'where a session is could not be looked up', { reason: describeError(error) });
      return { kind: 'wait' };
    }
  }

  /** Without asking anybody: where it was met last, or was opened. */
  #guess({ id, opened, tried }: Search): Member | undefined {
    const { fleet, ids, memoryAwayMs, isMemoryYoung } = this.#dependencies;
    const known = this.#owners.get(id);
    const isFromHere = opened.replica === ids.ownReplica;
    const member =
      known === undefined ? (isFromHere ? undefined : fleet.findByHash(opened.replica)) : fleet.find(known);
    if (member === undefined || member.id === fleet.me.id || tried.has(member.id)) return undefined;
    // One whose heartbeat is not known may still be there when it is the memory that is away, or has just come back.
    return fleet.isLive(member.id) || memoryAwayMs() > 0 || isMemoryYoung() ? member : undefined;
  }

  async #lookUp(search: Search, exchange: HttpExchange): Promise<Place> {
    const { directory, fleet, takeover } = this.#dependencies;
    const stored = await this.#lookUps.ask(search.key, () => directory.load(search.key));
    if (stored === undefined) return { kind: this.#isNowhere(search) ? 'nowhere' : 'wait' };
    const { owner } = stored;
    if (owner === '' || owner === fleet.me.id) return this.#take(search, exchange, stored);
    const member = fleet.find(owner);
    if (fleet.isLive(owner) && member !== undefined) {
      return search.tried.has(owner) ? { kind: 'wait' } : { kind: 'peer', member, mayTake: false };
    }
    return (await takeover.isGone(owner)) ? this.#take(search, exchange, stored) : { kind: 'wait' };
  }

  /** Nobody has written it down: whether that says that it does not exist. */
  #isNowhere({ opened, tried, startedAtMs }: Search): boolean {
    const { fleet, ids, clock, isMemoryYoung } = this.#dependencies;
    if (opened.replica === ids.ownReplica && !isMemoryYoung()) return true;
    const minter = fleet.findByHash(opened.replica);
    const mayBeNews = minter === undefined || isMemoryYoung();
    if (mayBeNews && clock.now() - startedAtMs < NEWS_MS) return false;
    // Its minter has it all the same before it is initialized.
    return minter === undefined || !fleet.isLive(minter.id) || tried.get(minter.id) !== 'unreachable';
  }

  /** A replica that is about to stop leaves it to another. */
  async #take(search: Search, exchange: HttpExchange, stored: StoredSession): Promise<Place> {
    const { takeover, isDraining, fence } = this.#dependencies;
    // It may have come here while it was looked up.
    if (search.endpoint.door.holds(search.id)) return { kind: fence.isOpen ? 'here' : 'wait' };
    if (isDraining()) {
      const member = this.#inTurn().find(({ id }) => !search.tried.has(id));
      return member === undefined ? { kind: 'wait' } : { kind: 'peer', member, mayTake: stored.owner === '' };
    }
    const { id, key, endpoint } = search;
    const wanted = { id, key, prefix: endpoint.door.prefix, principal: exchange.caller.principal };
    const result = await takeover.take(wanted, stored);
    return { kind: result === 'taken' ? 'here' : result === 'wait' ? 'wait' : 'nowhere' };
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
      exchange.response.once('close', () => resolve(undefined));
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
