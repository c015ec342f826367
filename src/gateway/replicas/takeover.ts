/** Taking a session whose owner is gone: at most one replica does, and goes on with what was left. */
import type { Principal } from '../../auth/principal.js';
import type { Fleet } from '../../cluster/fleet.js';
import { type LeftSession, readJournal } from '../../cluster/read-journal.js';
import type { Sealer } from '../../cluster/sealer.js';
import type { SessionDirectory, SessionKey, StoredSession } from '../../cluster/session-directory.js';
import type { JournalStore } from '../../cluster/session-journal.js';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/logger.js';
import { SessionUnknownError } from '../../protocol/session-errors.js';
import { withoutLostEvents } from './continued-session.js';
import { sessionLabel } from '../../session/session-record.js';
import { SharedQuestions } from './shared-questions.js';
import { decodeState, type SessionState } from './session-state.js';
import { Takings } from './takings.js';

export interface TakeoverDependencies {
  readonly directory: SessionDirectory;
  readonly journals: JournalStore;
  readonly sealer: Sealer;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Leases that are over say something: the shared memory has been there for long enough. */
  readonly mayTake: () => boolean;
  readonly isThere: (ownerId: string) => Promise<boolean>;
  /** Whether this replica has the route: its configuration may be another one than that of the owner. */
  readonly serves: (prefix: string) => boolean;
  /** @throws {SessionUnknownError} its time is up */
  readonly goOn: (
    prefix: string,
    id: string,
    principal: Principal,
    epoch: number,
    state: SessionState,
    left: LeftSession,
  ) => void;
  readonly onTaken: () => void;
}

/** A replica that is gone does not come back under its id, and one that is there is asked again soon. */
const FATE_GOOD_FOR_MS = 100;

/**
 * What became of the replica that owned a session. `gone`: nobody serves what it owned. `there`: its lease is over, but it answers, so it is
 * the shared memory that it cannot reach. `unsure`: its lease holds, or nobody can tell.
 */
export type OwnerFate = 'gone' | 'there' | 'unsure';

/** `taken`: the session is here. `wait`: not yet, or somebody else was faster. `void`: nobody can go on with it. */
export type TakeoverResult = 'taken' | 'wait' | 'void';

export interface WantedSession {
  readonly id: string;
  readonly key: SessionKey;
  readonly prefix: string;
  readonly principal: Principal;
}

export class Takeover {
  readonly #dependencies: TakeoverDependencies;
  readonly #running = new Map<SessionKey, Promise<TakeoverResult>>();
  readonly #fates: SharedQuestions<OwnerFate>;
  readonly #takings: Takings;

  constructor(dependencies: TakeoverDependencies) {
    this.#dependencies = dependencies;
    this.#fates = new SharedQuestions(FATE_GOOD_FOR_MS, dependencies.clock);
    this.#takings = new Takings(dependencies.clock);
  }

  /**
   * Takes it if it may be taken. However many ask at once, it is tried once.
   *
   * @throws {Error} the memory is away
   */
  take(wanted: WantedSession, stored: StoredSession): Promise<TakeoverResult> {
    const running = this.#running.get(wanted.key) ?? this.#start(wanted, stored);
    return running;
  }

  /**
   * Gone means that its lease is over and its listener does not answer, and that the memory has been there for long enough to know.
   *
   * @throws {Error} the memory is away
   */
  fateOf(ownerId: string): Promise<OwnerFate> {
    return this.#fates.ask(ownerId, () => this.#fateOf(ownerId));
  }

  /**
   * For an owner that asks, so that it is there, whatever was found before.
   *
   * @returns whether a session was taken within the last `ms`, or is just being taken, which may be one of the owner's
   */
  mayHaveTakenFrom(ownerId: string, ms: number): boolean {
    this.#fates.forget(ownerId);
    return this.#takings.areWithin(ownerId, ms);
  }

  async #fateOf(ownerId: string): Promise<OwnerFate> {
    const { fleet, mayTake, isThere } = this.#dependencies;
    const timesAsked = this.#takings.timesAsked(ownerId);
    if (!mayTake() || (await fleet.isLeased(ownerId))) return 'unsure';
    // One that asks meanwhile goes by what it is told, so nothing may be taken of it any more.
    return (await isThere(ownerId)) || this.#takings.timesAsked(ownerId) > timesAsked ? 'there' : 'gone';
  }

  #start(wanted: WantedSession, stored: StoredSession): Promise<TakeoverResult> {
    const running = this.#take(wanted, stored).finally(() => this.#running.delete(wanted.key));
    this.#running.set(wanted.key, running);
    return running;
  }

  async #take(wanted: WantedSession, stored: StoredSession): Promise<TakeoverResult> {
    const { id, key, prefix, principal } = wanted;
    const { directory, journals, sealer, serves, goOn, onTaken, logger } = this.#dependencies;
    if (!serves(prefix)) return 'void';
    const plain = sealer.open(stored.state, key);
    const state = plain === undefined ? undefined : decodeState(plain);
    // Sealed under a secret that is not known here, or written by another version.
    if (state === undefined) return 'void';
    if (!(await this.#takings.during(() => directory.take(key, stored.epoch)))) return 'wait';
    const left = readJournal(await journals.read(key), sealer, key, state.kind === 'sse');
    const streams = left.streams.map((stream) => withoutLostEvents(stream, id));
    try {
      goOn(prefix, id, principal, stored.epoch + 1, state, { ...left, streams });
    } catch (error) {
      if (error instanceof SessionUnknownError) return 'void';
      throw error;
    }
    onTaken();
    logger.info('session_taken', 'went on with a session of another replica', {
      route: prefix,
      session: sessionLabel(id),
      epoch: stored.epoch + 1,
      from: stored.owner === '' ? 'released' : stored.owner,
      unanswered: left.unanswered.length,
    });
    return 'taken';
  }
}
