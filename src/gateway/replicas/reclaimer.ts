/** Keeps the fence shut from when it is in doubt whose this replica's sessions are until it is known. */
import { setTimeout as delay } from 'node:timers/promises';
import { background } from '../../core/background.js';
import type { Clock } from '../../core/clock.js';
import { describeError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { Fence } from './fence.js';
import { reclaim, type ReclaimDependencies } from './reclaim.js';

export interface ReclaimerDependencies extends Omit<ReclaimDependencies, 'isNothingTaken'> {
  readonly fence: Fence;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether all other replicas say that they took nothing for so long, in milliseconds. */
  readonly isNothingTaken: (ms: number) => Promise<boolean>;
  /** Looks whether the process stood still just now; then there is a new doubt. */
  readonly checkAwake: () => void;
}

const RETRY_MS = 1000;

export class Reclaimer {
  readonly #dependencies: ReclaimerDependencies;
  /** By the clock of this process; undefined: there is no doubt. */
  #doubtfulSinceMs: number | undefined;
  #doubts = 0;

  constructor(dependencies: ReclaimerDependencies) {
    this.#dependencies = dependencies;
  }

  /** @param sinceMs From then on, by the clock of this process, others may have taken what is its own. */
  doubt(sinceMs: number): void {
    this.#doubts += 1;
    if (this.#doubtfulSinceMs !== undefined) {
      this.#doubtfulSinceMs = Math.min(this.#doubtfulSinceMs, sinceMs);
      return;
    }
    this.#doubtfulSinceMs = sinceMs;
    const { fence, logger } = this.#dependencies;
    fence.shut();
    background(this.#settle(), logger, 'fence_failed');
  }

  async #settle(): Promise<void> {
    const { fence, logger } = this.#dependencies;
    let lost = 0;
    let doubts: number;
    do {
      doubts = this.#doubts;
      lost += await this.#reclaim();
      // What was answered before it stood still again says nothing.
      this.#dependencies.checkAwake();
    } while (doubts !== this.#doubts);
    this.#doubtfulSinceMs = undefined;
    if (lost > 0) logger.warn('sessions_lost', 'other replicas went on with sessions of this one', { lost });
    fence.open();
  }

  /** Until it is done, whatever goes wrong: a fence that stays shut is worse. */
  async #reclaim(): Promise<number> {
    const { logger } = this.#dependencies;
    for (;;) {
      try {
        return await reclaim({ ...this.#dependencies, isNothingTaken: () => this.#isNothingTaken() });
      } catch (error) {
        const facts = { reason: describeError(error) };
        logger.error('reclaim_failed', 'asking whose sessions are failed; asking again', facts);
        await delay(RETRY_MS);
      }
    }
  }

  async #isNothingTaken(): Promise<boolean> {
    const { clock, logger, isNothingTaken } = this.#dependencies;
    const isNothing = await isNothingTaken(clock.now() - (this.#doubtfulSinceMs ?? Number.NEGATIVE_INFINITY));
    if (isNothing) logger.info('reclaimed_without_store', 'no other replica took a session of this one meanwhile');
    return isNothing;
  }
}
