import { type Clock, systemClock } from './clock.js';

/** A scheduled callback; `cancel()` may be called at any time, any number of times. */
export interface Timer {
  cancel(): void;
}

interface Entry extends Timer {
  dueMs: number;
  callback: (() => void) | undefined;
  previous: Entry | undefined;
  next: Entry | undefined;
}

/**
 * One interval for all deadlines of the process: arming and cancelling one is two pointer writes,
 * where a Node timer per call costs a closure, a heap object and a list search.
 * Fires up to one tick late, never early. The interval runs only while something is armed and never keeps the process alive.
 */
export class TimerWheel {
  readonly #tickMs: number;
  readonly #slots: Entry[];
  readonly #clock: Clock;
  #cursor = 0;
  #cursorMs = 0;
  #armed = 0;
  #interval: NodeJS.Timeout | undefined;

  /** @param tickMs Resolution, in milliseconds. Delays longer than `tickMs * slotCount` simply go round more than once. */
  constructor(tickMs = 50, slotCount = 512, clock: Clock = systemClock) {
    this.#tickMs = tickMs;
    this.#clock = clock;
    this.#slots = Array.from({ length: slotCount }, () => sentinel());
  }

  /** Calls back once, `delayMs` from now. */
  schedule(delayMs: number, callback: () => void): Timer {
    const now = this.#clock.now();
    if (this.#armed === 0) this.#start(now);
    this.#armed += 1;
    const ticks = Math.max(1, Math.ceil((now + delayMs - this.#cursorMs) / this.#tickMs));
    const slot = this.#slots[(this.#cursor + ticks) % this.#slots.length] as Entry;
    const entry: Entry = {
      dueMs: now + delayMs,
      callback,
      previous: slot,
      next: slot.next,
      cancel: () => {
        if (entry.callback !== undefined) this.#unlink(entry);
      },
    };
    if (slot.next !== undefined) slot.next.previous = entry;
    slot.next = entry;
    return entry;
  }

  /** How many callbacks are waiting. */
  get size(): number {
    return this.#armed;
  }

  /** Fires everything that is due; the interval calls it, and tests with their own clock may. */
  advance(): void {
    const now = this.#clock.now();
    while (this.#armed > 0 && this.#cursorMs + this.#tickMs <= now) {
      this.#cursor = (this.#cursor + 1) % this.#slots.length;
      this.#cursorMs += this.#tickMs;
      this.#fireSlot(this.#slots[this.#cursor] as Entry, now);
    }
  }

  #fireSlot(slot: Entry, now: number): void {
    let entry = slot.next;
    while (entry !== undefined) {
      const following: Entry | undefined = entry.next;
      const { callback } = entry;
      if (callback !== undefined && entry.dueMs <= now) {
        this.#unlink(entry);
        callback();
      }
      entry = following;
    }
  }

  #unlink(entry: Entry): void {
    entry.callback = undefined;
    if (entry.previous !== undefined) entry.previous.next = entry.next;
    if (entry.next !== undefined) entry.next.previous = entry.previous;
    entry.previous = undefined;
    // `next` stays: a slot that is being walked may stand on this entry.
    this.#armed -= 1;
    if (this.#armed === 0) this.#stop();
  }

  #start(now: number): void {
    this.#cursorMs = now;
    this.#interval = setInterval(() => this.advance(), this.#tickMs);
    this.#interval.unref();
  }

  #stop(): void {
    clearInterval(this.#interval);
    this.#interval = undefined;
  }
}

function sentinel(): Entry {
  return { dueMs: 0, callback: undefined, previous: undefined, next: undefined, cancel: () => {} };
}
