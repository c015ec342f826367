/** How long work takes at its fastest, in milliseconds: a machine that stands still for a moment does so for one of several attempts. */
export function fastestMs(work: () => void, attempts = 5): number {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const startedMs = performance.now();
    work();
    bestMs = Math.min(bestMs, performance.now() - startedMs);
  }
  return bestMs;
}
