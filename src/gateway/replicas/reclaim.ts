/** After this process stood still: which of its sessions are still its own. */
import { setTimeout as delay } from 'node:timers/promises';
import type { SessionDirectory } from '../../cluster/session-directory.js';
import type { SessionCopies, SessionCopy } from './session-copies.js';

const PER_QUESTION = 200;
const PAUSE_MS = 100;

/**
 * Gives up what others have taken, or have taken and ended. Asks until the shared memory answers: without it nobody can know.
 *
 * @param isMemoryYoung What is not written down may just not be written down yet.
 * @returns how many sessions were another's
 */
export async function reclaim(
  copies: SessionCopies,
  directory: SessionDirectory,
  isMemoryYoung: () => boolean,
): Promise<number> {
  let lost = 0;
  const all = copies.all;
  for (let start = 0; start < all.length; start += PER_QUESTION) {
    const asked = all.slice(start, start + PER_QUESTION);
    const areOwned = await askUntilKnown(asked, directory);
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
  directory: SessionDirectory,
): Promise<readonly (boolean | undefined)[]> {
  for (;;) {
    try {
      return await directory.areOwned(copies.map(({ owned }) => owned));
    } catch {
      await delay(PAUSE_MS);
    }
  }
}
