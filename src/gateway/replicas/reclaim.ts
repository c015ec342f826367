/** After this process stood still: which of its sessions are still its own. */
import { setTimeout as delay } from 'node:timers/promises';
import type { SessionDirectory } from '../../cluster/session-directory.js';
import type { SessionCopies, SessionCopy } from './session-copies.js';

export interface ReclaimDependencies {
  readonly copies: SessionCopies;
  readonly directory: SessionDirectory;
  /** What is not written down may just not be written down yet. */
  readonly isMemoryYoung: () => boolean;
  /** Whether all other replicas say that they took nothing. */
  readonly isNothingTaken: () => Promise<boolean>;
}

const PER_QUESTION = 200;
const PAUSE_MS = 100;

/**
 * Gives up what others have taken, or have taken and ended. Asks until the shared memory answers, or all others say that there is nothing to ask.
 *
 * @returns how many sessions were another's
 */
export async function reclaim(dependencies: ReclaimDependencies): Promise<number> {
  const { copies, directory, isMemoryYoung, isNothingTaken } = dependencies;
  let lost = 0;
  const all = copies.all;
  for (let start = 0; start < all.length; start += PER_QUESTION) {
    const asked = all.slice(start, start + PER_QUESTION);
    const areOwned = await askUntilKnown(asked, {
      directory,
      isNothingTaken: async () => lost === 0 && isNothingTaken(),
    });
    if (areOwned === 'nothing-taken') return lost;
    for (const [index, copy] of asked.entries()) {
      const isOwned = areOwned[index] ?? (copy.isDue || isMemoryYoung());
      if (isOwned) continue;
      lost += 1;
      copy.session.forsake();
    }
  }
  return lost;
}

async function askUntilKnown(
  copies: readonly SessionCopy[],
  { directory, isNothingTaken }: Pick<ReclaimDependencies, 'directory' | 'isNothingTaken'>,
): Promise<readonly (boolean | undefined)[] | 'nothing-taken'> {
  let asking: Promise<boolean> | undefined;
  for (;;) {
    try {
      return await directory.areOwned(copies.map(({ owned }) => owned));
    } catch {
      asking ??= isNothingTaken()
        .catch(() => false)
        .finally(() => (asking = undefined));
      // A replica that does not answer is waited for longer than the memory.
      if (await Promise.race([asking, delay(PAUSE_MS, false)])) return 'nothing-taken';
      if (asking === undefined) await delay(PAUSE_MS);
    }
  }
}
