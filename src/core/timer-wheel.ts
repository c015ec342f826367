import { type Clock, systemClock } from './clock.js';

/** A scheduled callback; `cancel()` may be called at any time, any number of times. */
export interface Timer {
  cancel(): void;
}

/**
 * One interval for all deadlines of the process: arming and cancelling one is a few pointer writes,
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
    this.#slots = Array.from({ length: slotCount }, () => new Entry(0, undefined, undefined));
  }

  /** Calls back once, `delayMs` from now. */
  schedule(delayMs: number, callback: () => void): Timer {
    const now = this.#clock.now();
    if (this.#armed === 0) this.#start(now);
    this.#armed += 1;
    const ticks = Math.max(1, Math.ceil((now + delayMs - this.#cursorMs) / this.#tickMs));
    const entry = new Entry(now + delayMs, callback, this);
    entry.linkAfter(this.#slots[(this.#cursor + ticks) % this.#slots.length] as Entry);
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

  /** Called by an entry that left the wheel, fired or cancelled. */
  forget(): void {
    this.#armed -= 1;
    if (this.#armed > 0) return;
    clearInterval(this.#interval);
    this.#interval = undefined;
  }

  #fireSlot(slot: Entry, now: number): void {
    let entry = slot.next;
    while (entry !== undefined) {
      const following = entry.next;
      const callback = entry.dueMs <= now ? entry.callback : undefined;
      if (callback !== undefined) {
        entry.cancel();
        callback();
      }
      entry = following;
    }
  }

  #start(now: number): void {
    this.#cursorMs = now;
    this.#interval = setInterval(() => this.advance(), this.#tickMs);
    this.#interval.unref();
  }
}

class Entry implements Timer {
  readonly dueMs: number;
  callback: (() => void) | undefined;
  next: Entry | undefined;
  #previous: Entry | undefined;
  readonly #wheel: TimerWheel | undefined;

  constructor(dueMs: number, callback: (() => void) | undefined, wheel: TimerWheel | undefined) {
    this.dueMs = dueMs;
    this.callback = callback;
    this.#wheel = wheel;
  }

  linkAfter(head: Entry): void {
    this.#previous = head;
    this.next = head.next;
    if (this.next !== undefined) this.next.#previous = this;
    head.next = this;
  }

  cancel(): void {
    if (this.callback === undefined) return;
    this.callback = undefined;
    if (this.#previous !== undefined) this.#previous.next = this.next;
    if (this.next !== undefined) this.next.#previous = this.#previous;
    // `next` stays: a slot that is being walked may stand on this entry.
    this.#previous = undefined;
    this.#wheel?.forget();
  }
}
