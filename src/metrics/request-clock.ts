/**
 * When the request that is being handled right now began: the moment its body was complete, less the work its head had cost before.
 * The listener sets it, and whoever takes the message reads it before the turn ends; one number does for all requests,
 * because a body is complete and its message taken in one go. Whoever has to wait first reads it before waiting.
 */
import { type Clock, systemClock } from '../core/clock.js';

export class RequestClock {
  readonly #clock: Clock;
  #arrivedAtMs = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** On the clock of durations, in milliseconds. */
  get arrivedAtMs(): number {
    return this.#arrivedAtMs;
  }

  now(): number {
    return this.#clock.now();
  }

  /**
   * The last byte of a request's body was read.
   *
   * @param headMs What its head had cost: guards, routing, and who it comes from.
   */
  bodyRead(headMs: number): void {
    this.#arrivedAtMs = this.#clock.now() - headMs;
  }
}
