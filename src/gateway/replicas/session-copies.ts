/**
 * The copies of this replica's sessions in the shared memory: each is written down as it changes, and anew when the memory was away.
 * Whose a session is, is decided elsewhere.
 */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Sealer } from '../../cluster/sealer.js';
import type { OwnedSession, SessionDirectory, SessionKey } from '../../cluster/session-directory.js';
import { type JournalStore, MAX_KEPT_BYTES, SessionJournal } from '../../cluster/session-journal.js';
import type { Clock } from '../../core/clock.js';
import type { SessionStreams } from '../../downstream/session-streams.js';
import type { SessionOptions } from '../../session/options.js';
import type { SessionRecord } from '../../session/session-record.js';
import type { Fence } from './fence.js';
import { encodeState, type SessionState } from './session-state.js';

/** A session as far as its copy needs it. */
export interface CopiedSession {
  readonly record: SessionRecord;
  readonly streams: SessionStreams;
  /** Undefined while there is nothing that could go on elsewhere. */
  readonly state: SessionState | undefined;
  /** Another replica has taken the session: what is here is void. */
  forsake(): void;
}

export interface SessionCopiesDependencies {
  readonly directory: SessionDirectory;
  readonly journals: JournalStore;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly fence: Fence;
  /** Looked at whenever a time is needed. */
  readonly options: SessionOptions;
}

/** A session whose client listens all the time is over soon after its replica is, if nobody takes it. */
const ABANDONED_FOR_MS = 600_000;
/** Older ones expire by themselves. */
const MAX_UNREMOVED = 10_000;
/** So many are written in one turn. */
const PER_TURN = 50;

/** How the shared memory names a session: the name opens nothing. */
export function sessionKey(id: string): SessionKey {
  return createHash('sha256').update('copy').update(id).digest('hex').slice(0, 32);
}

export class SessionCopies {
  readonly #dependencies: SessionCopiesDependencies;
  readonly #copies = new Set<SessionCopy>();
  /** Sessions that are over, of which the memory could not be told. */
  #unremoved: OwnedSession[] = [];

  constructor(dependencies: SessionCopiesDependencies) {
    this.#dependencies = dependencies;
  }

  get fence(): Fence {
    return this.#dependencies.fence;
  }

  get all(): readonly SessionCopy[] {
    return [...this.#copies];
  }

  /** From here on the session is written down. */
  begin(session: CopiedSession): SessionCopy {
    const copy: SessionCopy = new SessionCopy(session, this.#dependencies, {
      gone: () => void this.#copies.delete(copy),
      unremoved: (owned) => this.#unremoved.length < MAX_UNREMOVED && this.#unremoved.push(owned),
    });
    this.#copies.add(copy);
    copy.writeAnew();
    return copy;
  }

  /** The memory may have lost everything, or missed something. */
  async writeAllAnew(): Promise<void> {
    let written = 0;
    for (const copy of this.all) {
      copy.writeAnew();
      written += 1;
      if (written % PER_TURN === 0) await nextTurn();
    }
  }

  /** The memory says that another replica has taken it. It may have come back since, under another epoch. */
  taken({ key, epoch }: OwnedSession): void {
    for (const { owned, session } of this.all) if (owned.key === key && owned.epoch === epoch) session.forsake();
  }

  /** Writes down what could not be when it was said, and shortens what has become long. */
  async mend(): Promise<void> {
    this.#unremoved = this.#unremoved.filter((owned) => !this.#dependencies.directory.remove(owned));
    let written = 0;
    for (const copy of this.#copies) {
      if (!copy.isDue) continue;
      copy.writeAnew();
      written += 1;
      if (written % PER_TURN === 0) await nextTurn();
    }
  }

  /** Keeps what lives from expiring. */
  async touch(): Promise<void> {
    let touched = 0;
    for (const copy of this.all) {
      copy.touch();
      touched += 1;
      if (touched % PER_TURN === 0) await nextTurn();
    }
  }
}

/** What copies tell the one who keeps them. */
interface CopyKeeper {
  readonly gone: () => void;
  readonly unremoved: (owned: OwnedSession) => void;
}

export class SessionCopy {
  readonly session: CopiedSession;
  readonly owned: OwnedSession;
  readonly journal: SessionJournal;
  readonly #dependencies: SessionCopiesDependencies;
  readonly #keeper: CopyKeeper;
  /** The state changed, and could not be written down. */
  #isStale = false;

  constructor(session: CopiedSession, dependencies: SessionCopiesDependencies, keeper: CopyKeeper) {
    this.session = session;
    this.#dependencies = dependencies;
    this.#keeper = keeper;
    const { record, streams } = session;
    this.owned = { key: sessionKey(record.id), epoch: record.epoch };
    this.journal = new SessionJournal(this.owned, dependencies.journals, dependencies.sealer, streams);
    streams.keepJournal(this.journal);
  }

  /** It has to be written anew. */
  get isDue(): boolean {
    return this.#isStale || this.journal.isTorn || this.journal.isLong;
  }

  /** The state changed. */
  save(): void {
    const { directory, sealer } = this.#dependencies;
    const { state } = this.session;
    if (state === undefined) return;
    this.#isStale = !directory.save(this.owned, sealer.seal(encodeState(state), this.owned.key), this.#ttlMs);
  }

  writeAnew(): void {
    this.save();
    this.journal.rewrite(this.session.streams.snapshots, this.#ttlMs);
  }

  touch(): void {
    this.#dependencies.directory.touch(this.owned.key, this.#ttlMs);
  }

  /** The session is over, for everybody. */
  remove(): void {
    this.forget();
    if (!this.#dependencies.directory.remove(this.owned)) this.#keeper.unremoved(this.owned);
  }

  /** Somebody else goes on, or has done so already. */
  forget(): void {
    this.journal.end();
    this.#keeper.gone();
  }

  /** @throws {Error} the memory is away, so nobody can take it */
  async release(): Promise<void> {
    if (this.#holdsLarge) this.#writeWhole();
    if (this.isDue) this.writeAnew();
    await this.#dependencies.directory.release(this.owned);
    this.forget();
  }

  get #holdsLarge(): boolean {
    const { snapshots } = this.session.streams;
    return snapshots.some(({ events }) => events.some(({ bytes }) => (bytes?.length ?? 0) > MAX_KEPT_BYTES));
  }

  /** With what is otherwise too large: its owner goes, and it would go with it. */
  #writeWhole(): void {
    this.save();
    this.journal.rewrite(this.session.streams.snapshots, this.#ttlMs, Number.POSITIVE_INFINITY);
  }

  get #ttlMs(): number {
    const { options, clock } = this.#dependencies;
    const { record } = this.session;
    const restMs = Math.max(1000, Math.round(record.openedAtMs + options.ttlMs - clock.wallTimeMs()));
    return record.kind === 'sse' ? Math.min(restMs, 2 * options.resumeGraceMs + ABANDONED_FOR_MS) : restMs;
  }
}
