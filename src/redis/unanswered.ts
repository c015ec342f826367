/**
 * Commands that wait for an answer, oldest first, and the watch over how long they do.
 * One timer for all. Time is counted in its ticks: while this process itself stands still none passes, so that its own
 * pauses are not taken for those of the server.
 */

const TICK_MS = 20;
/** An entry is late at its fifth tick: 80 to 100 ms after it was added. */
const LATE_TICKS = 5;

export type Fail = (error: Error) => void;

export class Unanswered {
  readonly #onLate: () => void;
  readonly #entries = new Set<UnansweredCommand>();
  #tick = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onLate called when the oldest entry has waited too long, again with each tick that it goes on waiting */
  constructor(onLate: () => void) {
    this.#onLate = onLate;
  }

  /** @param fail who is told by `failAll`; nobody for a command nobody waits for */
  add(fail?: Fail): UnansweredCommand {
    const entry = new UnansweredCommand(this.#tick, fail);
    this.#entries.add(entry);
    this.#timer ??= setInterval(() => this.#onTick(), TICK_MS).unref();
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

  #onTick(): void {
    this.#tick += 1;
    if (this.#entries.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    // An answer may have arrived already and be next in line to be read: sockets come after timers.
    if (this.#isLate()) setImmediate(() => this.#isLate() && this.#onLate());
  }

  #isLate(): boolean {
    for (const { tick } of this.#entries) return this.#tick - tick >= LATE_TICKS;
    return false;
  }
}

export class UnansweredCommand {
  readonly tick: number;
  readonly fail: Fail | undefined;

  constructor(tick: number, fail: Fail | undefined) {
    this.tick = tick;
    this.fail = fail;
  }
}
