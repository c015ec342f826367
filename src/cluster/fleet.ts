/**
 * The replicas that serve together, as the shared memory knows them: says every now and then that this one is alive, and learns who else is.
 * Remembers where replicas were reached while the memory is away. Notices when this very process stood still for so long
 * that others may have taken what it owns.
 */
import type { Clock } from '../core/clock.js';
import { background } from '../core/background.js';
import type { Logger } from '../core/logger.js';

/** One replica, as it describes itself. */
export interface Member {
  /** Unlike that of any other process, also after a restart. */
  readonly id: string;
  /** As session ids name it. */
  readonly hash: string;
  /** Origin of its replica listener. */
  readonly address: string;
  readonly version: string;
  /** It is about to stop: nothing new is for it. */
  readonly isDraining: boolean;
}

export interface Heartbeat {
  /** Those whose last heartbeat is younger than the lease, this one included. */
  readonly members: readonly Member[];
  /** Grows with each change of a shared policy. */
  readonly policyVersion: number;
  /** Another one than before: the memory has lost what it held. */
  readonly generation: string;
  /** The time of the memory, in milliseconds since 1970: the one clock that all replicas have in common. */
  readonly timeMs: number;
}

/** Where replicas are registered. */
export interface FleetStore {
  /** @throws {Error} the memory is away */
  beat(me: Member, leaseMs: number): Promise<Heartbeat>;
  /** This replica is gone for good. */
  leave(id: string): Promise<void>;
  /** @throws {Error} the memory is away */
  leaseOf(id: string, leaseMs: number): Promise<Lease>;
}

export interface Lease {
  /** The replica's last heartbeat is younger than the lease. */
  readonly isHeld: boolean;
  /** What it said of itself, if that was not long ago. */
  readonly member: Member | undefined;
}

export interface FleetListener {
  /** The policies that all replicas share have changed, or may have. */
  policyVersion(version: number): void;
  /** Their heartbeat has stopped. */
  vanished(members: readonly Member[]): void;
  /**
   * This process stood still for longer than its lease: before it acts for a session again, it has to ask whose it is.
   *
   * @param sinceMs Of the process's clock: until then all was well.
   */
  overslept(sinceMs: number): void;
  /** The shared memory was emptied. */
  memoryLost(): void;
}

export const HEARTBEAT_MS = 250;
/** Without a heartbeat for this long, what a replica owns may be taken by others, if it does not answer either. */
export const LEASE_MS = 1000;
/** A pause of this process that is shorter than this can have cost it nothing, in milliseconds. */
const OVERSLEPT_MS = LEASE_MS - HEARTBEAT_MS - 200;
/** How many replicas are remembered that are gone: requests may still name them. */
const MAX_REMEMBERED = 1000;
/** One whose heartbeat did not arrive in time may still be there: it has this long to be heard of again before it does not count, in milliseconds. */
const SETTLE_MS = 10_000;
/** One that is gone for longer than this does not come back, in milliseconds. */
const RECENT_MS = 600_000;

interface Remembered {
  readonly member: Member;
  /** Of the clock of this process. */
  readonly goneSinceMs: number;
}

export class Fleet {
  readonly #store: FleetStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #listener: FleetListener;
  #me: Member;
  #live = new Map<string, Member>();
  readonly #remembered = new Map<string, Remembered>();
  #timer: NodeJS.Timeout | undefined;
  #lastTickMs: number;
  /** Of the last heartbeat that arrived. */
  #lastBeatMs: number;
  #isBeating = false;
  /** By how much the clock of the memory is ahead of this process's, in milliseconds. */
  #ahead = 0;
  #generation: string | undefined;

  constructor(me: Member, store: FleetStore, clock: Clock, logger: Logger, listener: FleetListener) {
    this.#me = me;
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
    this.#listener = listener;
    this.#lastTickMs = clock.now();
    this.#lastBeatMs = this.#lastTickMs;
    this.#live.set(me.id, me);
  }

  get me(): Member {
    return this.#me;
  }

  /** All that were alive at the last heartbeat, this one included. */
  get members(): readonly Member[] {
    return [...this.#live.values()];
  }

  /** Others that take new work. */
  get peers(): readonly Member[] {
    return this.members.filter(({ id, isDraining }) => id !== this.#me.id && !isDraining);
  }

  /** All others that were there lately, whether their heartbeats still arrive or not. */
  get recentOthers(): readonly Member[] {
    const gone = this.#goneAfter(this.#clock.now() - RECENT_MS);
    return [...this.members.filter(({ id }) => id !== this.#me.id), ...gone];
  }

  /** How many may have been there, this one included, when the memory was heard of last: rather too many than too few. */
  get mostMembers(): number {
    return this.#live.size + this.#goneAfter(this.#lastBeatMs - SETTLE_MS).length;
  }

  isLive(id: string): boolean {
    return this.#live.has(id);
  }

  /** As all replicas agree on it, however their own clocks stand; milliseconds since 1970. */
  get sharedTimeMs(): number {
    return this.#clock.wallTimeMs() + this.#ahead;
  }

  /** Also one that is gone. */
  find(id: string): Member | undefined {
    return this.#live.get(id) ?? this.#remembered.get(id)?.member;
  }

  /** The replica that session ids name so. */
  findByHash(hash: string): Member | undefined {
    for (const member of this.#live.values()) if (member.hash === hash) return member;
    for (const { member } of this.#remembered.values()) if (member.hash === hash) return member;
    return undefined;
  }

  /** @throws nothing: without the memory this replica is alone until it comes back */
  async join(): Promise<void> {
    this.#lastTickMs = this.#clock.now();
    await this.#beat();
    this.#timer = setInterval(() => this.#tick(), HEARTBEAT_MS);
    this.#timer.unref();
  }

  /** Tells the others at once that nothing new is for this one. */
  async drain(): Promise<void> {
    this.#me = { ...this.#me, isDraining: true };
    await this.#beat();
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    try {
      await this.#store.leave(this.#me.id);
    } catch {
      // The lease runs out by itself.
    }
  }

  /**
   * Whether the last heartbeat of a replica is younger than its lease. From here on it can be found.
   *
   * @throws {Error} the memory is away
   */
  async isLeased(id: string): Promise<boolean> {
    const { isHeld, member } = await this.#store.leaseOf(id, LEASE_MS);
    if (member !== undefined && this.find(id) === undefined) this.#remember([member]);
    return isHeld;
  }

  /** Looks whether this process stood still; cheap enough to be asked with every message. */
  checkAwake(): void {
    const nowMs = this.#clock.now();
    const sinceMs = this.#lastTickMs;
    const sleptMs = nowMs - sinceMs;
    if (this.#timer === undefined || sleptMs < OVERSLEPT_MS + HEARTBEAT_MS) return;
    this.#lastTickMs = nowMs;
    this.#logger.warn('overslept', 'this process stood still; asking whose its sessions are', {
      sleptMs: Math.round(sleptMs),
    });
    this.#listener.overslept(sinceMs);
  }

  #tick(): void {
    this.checkAwake();
    this.#lastTickMs = this.#clock.now();
    if (!this.#isBeating) background(this.#beat(), this.#logger, 'heartbeat_failed');
  }

  async #beat(): Promise<void> {
    this.#isBeating = true;
    try {
      const { members, policyVersion, generation, timeMs } = await this.#store.beat(this.#me, LEASE_MS);
      this.#ahead = timeMs - this.#clock.wallTimeMs();
      if (this.#generation !== undefined && generation !== this.#generation) this.#listener.memoryLost();
      this.#generation = generation;
      this.#noteBeat();
      this.#learn(members);
      this.#listener.policyVersion(policyVersion);
    } catch {
      // What was known last is the best there is.
    } finally {
      this.#isBeating = false;
    }
  }

  /** Others may have taken what this replica owns when its heartbeats did not arrive for too long. */
  #noteBeat(): void {
    const nowMs = this.#clock.now();
    const sinceMs = this.#lastBeatMs;
    this.#lastBeatMs = nowMs;
    if (this.#timer !== undefined && nowMs - sinceMs > LEASE_MS) this.#listener.overslept(sinceMs);
  }

  #learn(members: readonly Member[]): void {
    const before = this.#live;
    this.#live = new Map(members.map((member) => [member.id, member]));
    this.#live.set(this.#me.id, this.#me);
    for (const member of members) this.#remembered.delete(member.id);
    const vanished = [...before.values()].filter(({ id }) => !this.#live.has(id));
    this.#remember(vanished);
    if (vanished.length > 0) this.#listener.vanished(vanished);
  }

  #goneAfter(ms: number): readonly Member[] {
    return [...this.#remembered.values()].filter(({ goneSinceMs }) => goneSinceMs > ms).map(({ member }) => member);
  }

  #remember(gone: readonly Member[]): void {
    const goneSinceMs = this.#clock.now();
    for (const member of gone) this.#remembered.set(member.id, { member, goneSinceMs });
    for (const [oldest] of this.#remembered) {
      if (this.#remembered.size <= MAX_REMEMBERED) break;
      this.#remembered.delete(oldest);
    }
  }
}
