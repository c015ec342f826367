/**
 * Points in time as RFC 3339, in UTC with milliseconds, for many that lie close together: the date is put into words
 * once a second, the rest is looked up.
 */

/** `000` to `999`. */
const THREE_DIGITS = Array.from({ length: 1000 }, (_, number) => String(number).padStart(3, '0'));

export class Timestamps {
  #second = Number.NaN;
  /** Up to the seconds, and the point behind them. */
  #start = '';

  /**
   * @param timeMs Milliseconds since 1970; parts of one are left out.
   * @throws {RangeError} outside of what a date can be
   */
  text(timeMs: number): string {
    const second = Math.floor(timeMs / 1000);
    if (second !== this.#second) {
      this.#start = new Date(second * 1000).toISOString().slice(0, -'000Z'.length);
      this.#second = second;
    }
    return `${this.#start}${THREE_DIGITS[Math.floor(timeMs - second * 1000)]}Z`;
  }
}
