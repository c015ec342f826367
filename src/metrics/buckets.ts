/**
 * One histogram of one label set, as plain numbers: an observation is a short search and two additions, a tenth of what the metrics
 * library asks for. Rendering it is the work of whoever reads.
 */
export class Buckets {
  /** Upper bounds in milliseconds, inclusive and rising. */
  readonly boundsMs: readonly number[];
  /** By bound, not cumulative; the last one counts what is beyond all bounds. */
  readonly #counts: Float64Array;
  #sumMs = 0;

  constructor(boundsMs: readonly number[]) {
    this.boundsMs = boundsMs;
    this.#counts = new Float64Array(boundsMs.length + 1);
  }

  /** @param valueMs In milliseconds; less than nothing counts as nothing, since clocks are read in several places. */
  observe(valueMs: number): void {
    const bounds = this.boundsMs;
    let index = 0;
    while (index < bounds.length && valueMs > (bounds[index] as number)) index += 1;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    if (valueMs > 0) this.#sumMs += valueMs;
  }

  get sumMs(): number {
    return this.#sumMs;
  }

  /** How many were not above each bound, and last how many there were at all. */
  cumulative(): number[] {
    let total = 0;
    return [...this.#counts].map((count) => (total += count));
  }
}
