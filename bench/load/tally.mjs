/** Counts what came back in one measurement, and how long it took. */

export class Tally {
  right = 0;
  wrong = 0;
  lost = 0;
  /** @type {string | undefined} the first failure in words */
  firstFailure;
  #latenciesUs = [];

  /** @param {number} startedAtMs from `performance.now()` */
  onRight(startedAtMs) {
    this.right += 1;
    this.#latenciesUs.push((performance.now() - startedAtMs) * 1000);
  }

  /** @param {string} why */
  onWrong(why) {
    this.wrong += 1;
    this.firstFailure ??= why;
  }

  /** @param {string} why */
  onLost(why, count = 1) {
    this.lost += count;
    this.firstFailure ??= why;
  }

  /** Percentiles are in microseconds. */
  summary() {
    const sorted = Float64Array.from(this.#latenciesUs).toSorted();
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
    const { right, wrong, lost, firstFailure } = this;
    return { right, wrong, lost, firstFailure, p50Us: at(0.5), p90Us: at(0.9), p99Us: at(0.99) };
  }
}
