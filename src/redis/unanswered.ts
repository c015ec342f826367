/**
 * Commands that wait for an answer, oldest first, and the watch over how long they do.
 * One timer for all. Of a pause of this process itself little is counted, so that it is not taken for one of the server.
 */
import type { Clock } from '../core/clock.js';

const TICK_MS = 20;
/** What one tick counts at most, however long ago the last one was. */
const MAX_TICK_MS = 2 * TICK_MS;
/** Counted from the tick before a command, so it waits 80 to 100 ms. */
const LATE_MS = 100;

export type Fail = (error: Error) => void;

export class Unanswered {
  readonly #clock: Clock;
  readonly #onLate: () => void;
  readonly #entries = new Set<UnansweredCommand>();
  /** Time as it is counted here. */
  #countedMs = 0;
  #lastTickMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onLate called when the oldest entry has waited too long, again with each tick that it goes on waiting */
  constructor(clock: Clock, onLate: () => void) {
    this.#clock = clock;
    this.#onLate = onLate;
  }

  /** @param fail who is told by `failAll`; nobody for a command nobody waits for */
  add(fail?: Fail): UnansweredCommand {
    if (this.#timer === undefined) this.#start();
    const entry = new UnansweredCommand(this.#countedMs, fail);
    this.#entries.add(entry);
    return entry;
  }

  remove(entry: UnansweredCommand): void {
    this.#entries.delete(entry);
  }

  /** Forgets all entries and fails those somebody waits for. */
  failAll(makeError: () => Error): void {
    const entries = [...this.#entries];
    this.#entries.clear();
    for (const { fail } of entries) fail?.(makeError());
  }

  #start(): void {
    this.#lastTickMs = this.#clock.now();
    this.#timer = setInterval(() => this.#onTick(), TICK_MS).unref();
  }

  #onTick(): void {
    if (this.#entries.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const nowMs = this.#clock.now();
    // Timers may be early by a fraction of a millisecond, and a tick is never less than one.
    this.#countedMs += Math.min(Math.max(nowMs - this.#lastTickMs, TICK_MS), MAX_TICK_MS);
    this.#lastTickMs = nowMs;
    // An answer may have arrived already and be next in line to be read: sockets come after timers.
    if (this.#isLate()) setImmediate(() => this.#isLate() && this.#onLate());
  }

  #isLate(): boolean {
    for (const { addedMs } of this.#entries) return this.#countedMs - addedMs >= LATE_MS;
    return false;
  }
}

export class UnansweredCommand {
  readonly addedMs: number;
  readonly fail: Fail | undefined;

  constructor(addedMs: number, fail: Fail | undefined) {
    this.addedMs = addedMs;
    this.fail = fail;
  }
}
