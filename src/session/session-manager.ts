/** All sessions of one route: gives out ids, finds sessions by them, and ends those whose time has come. What a session does is not its business. */
import type { Principal } from '../auth/principal.js';
import type { Clock } from '../core/clock.js';
import type { Timer, TimerWheel } from '../core/timer-wheel.js';
import { SessionUnknownError } from '../protocol/session-errors.js';
import type { DownstreamKind } from '../protocol/transport.js';
import type { SessionOptions } from './options.js';
import { type SessionBeginning, SessionRecord } from './session-record.js';
import type { SessionIds } from './session-id.js';
import type { SessionQuota } from './session-quota.js';

const FIRST_EPOCH = 1;

/** What the manager tells the one who runs a session. */
export interface ManagedSession {
  readonly record: SessionRecord;
  /** Silent for `idleTimeout`. */
  idle(): void;
  /** The manager has forgotten it: close both sides. */
  ended(reason: string): void;
}

export interface SessionManagerDependencies {
  readonly ids: SessionIds;
  readonly timers: TimerWheel;
  readonly clock: Clock;
  readonly quota: SessionQuota;
}

export class SessionManager<S extends ManagedSession> {
  readonly #route: string;
  readonly #options: SessionOptions;
  readonly #dependencies: SessionManagerDependencies;
  readonly #sessions = new Map<string, S>();

  /** @param options Looked at whenever a time is set, so that they may change. */
  constructor(route: string, options: SessionOptions, dependencies: SessionManagerDependencies) {
    this.#route = route;
    this.#options = options;
    this.#dependencies = dependencies;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get sessions(): Iterable<S> {
    return this.#sessions.values();
  }

  /** @throws {OverloadedError | TooManySessionsError} */
  open(kind: DownstreamKind, principal: Principal, create: (record: SessionRecord) => S): S {
    const { ids, clock, quota } = this.#dependencies;
    quota.take(principal);
    const beginning = { openedAtMs: clock.wallTimeMs(), epoch: FIRST_EPOCH };
    const id = ids.mint(this.#route, principal.id);
    return this.#admit(create(new SessionRecord(id, kind, principal, clock.now(), beginning)), this.#options.ttlMs);
  }

  /**
   * Goes on with a session that another replica had. Its place in the quota is counted, never refused: it was open already.
   *
   * @throws {SessionUnknownError} its time is up
   */
  adopt(
    id: string,
    kind: DownstreamKind,
    principal: Principal,
    beginning: SessionBeginning,
    create: (record: SessionRecord) => S,
  ): S {
    const { clock, quota } = this.#dependencies;
    const restMs = beginning.openedAtMs + this.#options.ttlMs - clock.wallTimeMs();
    if (restMs <= 0) throw new SessionUnknownError();
    quota.count(principal);
    return this.#admit(create(new SessionRecord(id, kind, principal, clock.now(), beginning)), restMs);
  }

  holds(id: string): boolean {
    return this.#sessions.has(id);
  }

  /** Another replica goes on with it: nothing is closed. */
  handOver(session: S): void {
    this.#forget(session);
  }

  /** @throws {SessionUnknownError} the same for all who may not have it */
  resolve(id: string, kind: DownstreamKind, principal: Principal): S {
    const session = this.#sessions.get(id);
    if (session === undefined || session.record.kind !== kind || session.record.principal.id !== principal.id) {
      throw new SessionUnknownError();
    }
    session.record.usedBy(principal);
    session.record.lastUsedAtMs = this.#dependencies.clock.now();
    return session;
  }

  /** The client's connection was cut: it may come back for a while. */
  detached(session: S): void {
    if (session.record.isClosed) return;
    session.record.absence?.cancel();
    this.#watchAbsence(session);
  }

  attached(session: S): void {
    session.record.absence?.cancel();
    session.record.absence = undefined;
  }

  close(session: S, reason: string): void {
    if (this.#forget(session)) session.ended(reason);
  }

  closeAll(reason: string): void {
    for (const session of [...this.#sessions.values()]) this.close(session, reason);
  }

  #admit(session: S, ttlMs: number): S {
    const { record } = session;
    this.#sessions.set(record.id, session);
    record.expiry = this.#schedule(session, ttlMs, 'it reached its greatest age');
    this.#watchCredential(session);
    if (record.kind === 'streamable-http') this.#watchIdle(session, this.#options.idleTimeoutMs);
    else this.#watchAbsence(session);
    return session;
  }

  /** @returns false when it was forgotten before */
  #forget({ record }: S): boolean {
    if (record.isClosed) return false;
    record.isClosed = true;
    record.cancelTimers();
    this.#sessions.delete(record.id);
    this.#dependencies.quota.giveBack(record.principal);
    return true;
  }

  #watchAbsence(session: S): void {
    session.record.absence = this.#schedule(session, this.#options.resumeGraceMs, 'the client did not come back');
  }

  /** A stream outlives the request that opened it, but not the right to it. A token that took the old one's place counts. */
  #watchCredential(session: S): void {
    const { timers, clock } = this.#dependencies;
    const { record } = session;
    if (record.endsAtMs === undefined) return;
    record.credential = timers.schedule(Math.max(0, record.endsAtMs - clock.wallTimeMs()), () => {
      if ((record.endsAtMs ?? 0) > clock.wallTimeMs()) this.#watchCredential(session);
      else this.close(session, 'the credential of the caller ended');
    });
  }

  /** Looks again when the session could be idle at the earliest, instead of moving a timer with every message. */
  #watchIdle(session: S, delayMs: number): void {
    const { timers, clock } = this.#dependencies;
    session.record.idleness = timers.schedule(delayMs, () => {
      const restMs = session.record.lastUsedAtMs + this.#options.idleTimeoutMs - clock.now();
      if (restMs <= 0) session.idle();
      this.#watchIdle(session, restMs > 0 ? restMs : this.#options.idleTimeoutMs);
    });
  }

  #schedule(session: S, delayMs: number, reason: string): Timer {
    return this.#dependencies.timers.schedule(delayMs, () => this.close(session, reason));
  }
}
