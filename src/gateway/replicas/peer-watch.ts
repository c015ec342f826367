/**
 * Notices that another replica does not answer any more, so that nobody waits for it for ever. Heartbeats tell while there is a memory to tell them;
 * without it, or where a replica had none to begin with, those are asked that something is expected of.
 */
import type { Fleet, Member } from '../../cluster/fleet.js';
import { background } from '../../core/background.js';
import type { Logger } from '../../core/logger.js';
import type { Peers } from './peers.js';

export interface PeerWatchDependencies {
  readonly fleet: Pick<Fleet, 'find' | 'isLive'>;
  readonly peers: Pick<Peers, 'awaited' | 'giveUp' | 'isThere'>;
  /** How long the shared memory has been away, in milliseconds; 0 while it answers. */
  readonly memoryAwayMs: () => number;
  /** Whether requests are passed on to replicas whose heartbeat is not known. */
  readonly mayGuess: () => boolean;
  /** @param ms for how long, in milliseconds */
  readonly pause: (ms: number) => Promise<void>;
  readonly logger: Logger;
}

const LOOK_MS = 1000;
/** Between two questions to one that did not answer, which may have been for a reason of this process. */
const PAUSE_MS = 500;

export class PeerWatch {
  readonly #dependencies: PeerWatchDependencies;
  /** Did not answer when they were asked last. */
  readonly #silent = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  constructor(dependencies: PeerWatchDependencies) {
    this.#dependencies = dependencies;
  }

  start(): void {
    const look = (): void => background(this.look(), this.#dependencies.logger, 'peer_check_failed');
    this.#timer = setInterval(look, LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** It was given up, and has not been heard of since. */
  isSilent(id: string): boolean {
    return this.#silent.has(id) && !this.#isHeard(id);
  }

  /** A heartbeat may have stopped because the memory could not be reached from there: who still answers is not given up. */
  async vanished(members: readonly Member[]): Promise<void> {
    await Promise.all(members.map((member) => this.#ask(member, 1)));
  }

  /** Every now and then. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { fleet, peers, mayGuess } = this.#dependencies;
    try {
      // While heartbeats tell, nothing is passed on to who has none.
      if (!mayGuess()) this.#silent.clear();
      const ids = new Set([...peers.awaited, ...this.#silent]);
      await Promise.all(
        [...ids].map(async (id) => {
          const member = fleet.find(id);
          if (member === undefined || this.#isHeard(id)) this.#silent.delete(id);
          // Not at the first silence: no heartbeat was missed before.
          else await this.#ask(member, 2);
        }),
      );
    } finally {
      this.#isLooking = false;
    }
  }

  async #ask(member: Member, times: number): Promise<void> {
    const { peers, memoryAwayMs, pause, logger } = this.#dependencies;
    for (let time = 0; time < times; time += 1) {
      if (time > 0) await pause(PAUSE_MS);
      if (await peers.isThere(member)) {
        this.#silent.delete(member.id);
        return;
      }
    }
    if (this.#isHeard(member.id)) return;
    if (peers.awaited.includes(member.id)) {
      const facts = { replica: member.id, address: member.address, withoutStore: memoryAwayMs() > 0 };
      logger.warn('replica_silent', 'another replica does not answer; nobody waits for it any longer', facts);
    }
    this.#silent.add(member.id);
    peers.giveUp(member);
  }

  /** Its heartbeat arrives, and there is a memory for it to arrive in. */
  #isHeard(id: string): boolean {
    const { fleet, memoryAwayMs } = this.#dependencies;
    return memoryAwayMs() === 0 && fleet.isLive(id);
  }
}
