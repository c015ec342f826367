/**
 * Says where a session is: here, at another replica, nowhere - or takes it, when its owner is gone. Goes by what is known first: where it was met last,
 * then the replica that its id names, and only then the shared memory. Bringing requests there is the finder's work.
 */
import { LRUCache } from 'lru-cache';
import type { Principal } from '../../auth/principal.js';
import type { Fleet, Member } from '../../cluster/fleet.js';
import type { SessionDirectory, SessionKey, StoredSession } from '../../cluster/session-directory.js';
import type { Clock } from '../../core/clock.js';
import { describeError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { Endpoint } from '../../downstream/endpoints.js';
import type { OpenedSessionId, SessionIds } from '../../session/session-id.js';
import type { Fence } from './fence.js';
import { SharedQuestions } from './shared-questions.js';
import type { Takeover } from './takeover.js';

export interface SessionLocatorDependencies {
  readonly ids: Pick<SessionIds, 'ownReplica'>;
  readonly fleet: Fleet;
  readonly directory: SessionDirectory;
  readonly takeover: Takeover;
  readonly fence: Fence;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long the shared memory has been away, in milliseconds; 0 while it answers. */
  readonly memoryAwayMs: () => number;
  /** The shared memory came back, or was emptied, so recently that owners may not have said yet what is theirs. */
  readonly isMemoryYoung: () => boolean;
  readonly isDraining: () => boolean;
  /** Whether the replica was asked and did not answer. */
  readonly isSilent: (id: string) => boolean;
}

/** Only the shared memory could tell, and it is away: more than a hiccup of it is not waited for. */
const HICCUP_MS = 2000;
/** What a replica says that has just joined, or an owner to a memory that was empty, is known to all after so long. */
const NEWS_MS = 2000;
/** For so long one look into the shared memory does for all requests of a session. */
const LOOK_UP_GOOD_FOR_MS = 40;
const MAX_KNOWN_OWNERS = 50_000;

export type Place =
  | { readonly kind: 'here' }
  | { readonly kind: 'peer'; readonly member: Member; readonly mayTake: boolean }
  /** No such session, anywhere. */
  | { readonly kind: 'nowhere' }
  | { readonly kind: 'wait' }
  /** The shared memory is away, and nothing else tells. */
  | { readonly kind: 'unknown' };

/** One request on its way to its session. */
export interface Search {
  readonly endpoint: Endpoint;
  readonly id: string;
  readonly key: SessionKey;
  readonly opened: OpenedSessionId;
  readonly principal: Principal;
  readonly startedAtMs: number;
  readonly deadlineMs: number;
  /** Where it was looked for in vain since the last pause. */
  readonly tried: Map<string, 'not-owner' | 'unreachable'>;
}

export class SessionLocator {
  readonly #dependencies: SessionLocatorDependencies;
  readonly #owners = new LRUCache<string, string>({ max: MAX_KNOWN_OWNERS });
  /** Many requests of one session may wait for it at the same time. */
  readonly #lookUps: SharedQuestions<StoredSession | undefined>;
  #turn = 0;

  constructor(dependencies: SessionLocatorDependencies) {
    this.#dependencies = dependencies;
    this.#lookUps = new SharedQuestions(LOOK_UP_GOOD_FOR_MS, dependencies.clock);
  }

  /** The replica served a request of the session. */
  met(id: string, member: Member): void {
    this.#owners.set(id, member.id);
  }

  /** It did not. */
  missed({ id, tried }: Search, member: Member, how: 'not-owner' | 'unreachable'): void {
    this.#owners.delete(id);
    tried.set(member.id, how);
  }

  /** Looks once. What it says may be over when it is acted upon. */
  async locate(search: Search): Promise<Place> {
    const { fence, memoryAwayMs, logger } = this.#dependencies;
    if (search.endpoint.door.holds(search.id)) return { kind: fence.isOpen ? 'here' : 'wait' };
    const guess = this.guess(search.id, search.opened);
    if (guess !== undefined && !search.tried.has(guess.id)) return { kind: 'peer', member: guess, mayTake: false };
    const awayMs = memoryAwayMs();
    if (awayMs > 0) return { kind: awayMs < HICCUP_MS ? 'wait' : 'unknown' };
    try {
      return await this.#lookUp(search);
    } catch (error) {
      logger.debug('lookup_failed', 'where a session is could not be looked up', { reason: describeError(error) });
      return { kind: 'wait' };
    }
  }

  /** Without asking anybody: where it was met last, or was opened. */
  guess(id: string, opened: OpenedSessionId): Member | undefined {
    const { fleet, ids, memoryAwayMs, isMemoryYoung, isSilent } = this.#dependencies;
    const known = this.#owners.get(id);
    const isFromHere = opened.replica === ids.ownReplica;
    const member =
      known === undefined ? (isFromHere ? undefined : fleet.findByHash(opened.replica)) : fleet.find(known);
    // One that is about to stop lets go of its sessions, and is soon not there to say so.
    if (member === undefined || member.id === fleet.me.id || member.isDraining) return undefined;
    if (isSilent(member.id)) return undefined;
    // One whose heartbeat is not known may still be there when it is the memory that is away, or has just come back.
    return fleet.isLive(member.id) || memoryAwayMs() > 0 || isMemoryYoung() ? member : undefined;
  }

  async #lookUp(search: Search): Promise<Place> {
    const { directory, fleet, takeover } = this.#dependencies;
    const stored = await this.#lookUps.ask(search.key, () => directory.load(search.key));
    if (stored === undefined) return { kind: this.#isNowhere(search) ? 'nowhere' : 'wait' };
    const { owner } = stored;
    if (owner === '' || owner === fleet.me.id) return this.take(search, stored);
    const member = fleet.find(owner);
    const wasTried = search.tried.has(owner);
    if (member !== undefined && fleet.isLive(owner) && !wasTried) return { kind: 'peer', member, mayTake: false };
    // Not left to the next heartbeat: whoever could not be reached may be gone since.
    const fate = await takeover.fateOf(owner);
    if (fate === 'gone') return this.take(search, stored);
    return fate === 'there' && member !== undefined && !wasTried
      ? { kind: 'peer', member, mayTake: false }
      : { kind: 'wait' };
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
  async take(search: Search, stored: StoredSession): Promise<Place> {
    const { takeover, isDraining, fence } = this.#dependencies;
    // It may have come here while it was looked up.
    if (search.endpoint.door.holds(search.id)) return { kind: fence.isOpen ? 'here' : 'wait' };
    if (isDraining()) {
      const member = this.peersInTurn().find(({ id }) => !search.tried.has(id));
      return member === undefined ? { kind: 'wait' } : { kind: 'peer', member, mayTake: stored.owner === '' };
    }
    const { id, key, endpoint, principal } = search;
    const wanted = { id, key, prefix: endpoint.door.prefix, principal };
    const result = await takeover.take(wanted, stored);
    return { kind: result === 'taken' ? 'here' : result === 'wait' ? 'wait' : 'nowhere' };
  }

  /** So that not all go to the same peer. */
  peersInTurn(): Member[] {
    const { fleet, isSilent } = this.#dependencies;
    const peers = fleet.peers.filter(({ id }) => !isSilent(id));
    this.#turn += 1;
    const start = this.#turn % Math.max(1, peers.length);
    return [...peers.slice(start), ...peers.slice(0, start)];
  }
}
