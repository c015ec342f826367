/**
 * Keeps a replica that stood still from acting for sessions that others may have taken meanwhile: while it is shut, what would be done
 * waits; when it opens, it is done in order, for the sessions that are still here. What somebody waits for does not wait for ever.
 */
import { type Timer, TimerWheel } from '../../core/timer-wheel.js';

/** What is done instead, when the fence has not opened in time. */
export interface Otherwise {
  readonly afterMs: number;
  readonly act: () => void;
}

interface Waiting {
  readonly act: () => void;
  timer: Timer | undefined;
}

export class Fence {
  #waiting: Set<Waiting> | undefined;
  readonly #check: () => void;
  readonly #timers: TimerWheel;

  /** @param check Looks whether the process stood still, and shuts the fence if it did. */
  constructor(check: () => void = () => {}, timers = new TimerWheel()) {
    this.#check = check;
    this.#timers = timers;
  }

  /** Asked before anything is done in the name of a session. */
  get isOpen(): boolean {
    if (this.#waiting === undefined) this.#check();
    return this.#waiting === undefined;
  }

  shut(): void {
    this.#waiting ??= new Set();
  }

  /** @throws the first failure of what waited, once all of it was done */
  open(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    const failures: unknown[] = [];
    for (const { act, timer } of waiting) {
      timer?.cancel();
      try {
        act();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Does it when the fence is open; or else, if that takes too long, something else. */
  pass(act: () => void, otherwise?: Otherwise): void {
    const waiting = this.#waiting;
    if (waiting === undefined) {
      act();
      return;
    }
    const each: Waiting = { act, timer: undefined };
    waiting.add(each);
    if (otherwise === undefined) return;
    each.timer = this.#timers.schedule(otherwise.afterMs, () => {
      waiting.delete(each);
      otherwise.act();
    });
  }
}
