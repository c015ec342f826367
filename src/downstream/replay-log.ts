/**
 * The events of one stream, in order: those the client has not been given yet, and a tail of those it has, for when the connection
 * turns out to have been cut. Bounded: past the limit what was given goes first, then notifications, and a response never silently.
 * What was given last may never have arrived, so of a client that is away half the room is kept for it.
 */
import type { BufferBudget } from './buffer-budget.js';
import type { StreamEvent, StreamSnapshot } from '../protocol/stream-journal.js';

interface LoggedEvent extends StreamEvent {
  readonly bytes: Buffer;
}

const NOTHING = Buffer.alloc(0);
/** Stands where an event was forgotten, until there are enough such places to close the gap. */
const FORGOTTEN: LoggedEvent = { sequence: -1, bytes: NOTHING, isNotification: true, answers: undefined };
const MIN_GAP = 64;

export class ReplayLog {
  readonly #limitBytes: number;
  readonly #budget: BufferBudget;
  #events: LoggedEvent[] = [];
  /** Index of the oldest event that is kept. */
  #first = 0;
  /** Index of the first event that was not given out. */
  #next = 0;
  #bytes = 0;
  #waitingBytes = 0;
  /** Everything up to here can no longer be replayed. */
  #forgottenUpTo: number;
  /** Another log gave out events that were never told to this one. */
  #mayHaveMissed = false;

  /** @param firstSequence The sequence of whatever opened the stream: a client may resume right behind it. */
  constructor(limitBytes: number, budget: BufferBudget, firstSequence: number) {
    this.#limitBytes = limitBytes;
    this.#budget = budget;
    this.#forgottenUpTo = firstSequence;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get retainedBytes(): number {
    return this.#bytes;
  }

  /**
   * @param mayDrop The client is away. While it is there, but slow, the upstream is held back instead and nothing is dropped.
   * @returns false when something would have to go that may not be lost
   */
  append(event: LoggedEvent, mayDrop: boolean): boolean {
    const { bytes } = event;
    this.#events.push(event);
    this.#bytes += bytes.length;
    this.#budget.take(bytes.length);
    this.#setWaiting(this.#waitingBytes + bytes.length);
    this.#forgetGiven(mayDrop ? this.#limitBytes / 2 : 0);
    if (!mayDrop || this.#isWithinLimit()) return true;
    this.#dropNotifications();
    this.#forgetGiven(0);
    return this.#isWithinLimit();
  }

  /** Takes what another log held. What was too large to leave it keeps its place: a client may have seen it, and goes on behind it. */
  restore({ events, forgottenUpTo, waiting, isOnlyStream }: StreamSnapshot): void {
    this.#forgottenUpTo = forgottenUpTo;
    this.#mayHaveMissed = isOnlyStream;
    for (const event of events) {
      const { bytes = NOTHING } = event;
      this.#events.push({ ...event, bytes });
      this.#bytes += bytes.length;
      this.#budget.take(bytes.length);
    }
    this.#next = Math.max(0, this.#events.length - waiting);
    this.#countWaiting();
  }

  get events(): readonly LoggedEvent[] {
    return this.#first === 0 ? this.#events : this.#events.slice(this.#first);
  }

  get forgottenUpTo(): number {
    return this.#forgottenUpTo;
  }

  /** How many events nobody has been given. */
  get waitingCount(): number {
    return this.#events.length - this.#next;
  }

  /** The last sequence that a client has seen who misses more than `tailBytes` of what was given, or as many; undefined: nobody can. */
  tailStart(tailBytes: number): number | undefined {
    let bytes = 0;
    for (let i = this.#next - 1; i >= this.#first; i -= 1) {
      const event = this.#events[i] as LoggedEvent;
      bytes += event.bytes.length;
      if (bytes > tailBytes) return event.sequence;
    }
    return undefined;
  }

  /** The next event to give out; undefined when all are. Stays the next one until `advance`. */
  get next(): Buffer | undefined {
    return this.#events[this.#next]?.bytes;
  }

  /** The next event was given out whole. */
  advance(): void {
    const event = this.#events[this.#next];
    if (event === undefined) return;
    this.#next += 1;
    this.#setWaiting(this.#waitingBytes - event.bytes.length);
  }

  /** What was given out has had time to arrive: from now on no single event may be larger than the limit. */
  settle(): void {
    while (this.#next > this.#first && this.#isTooLarge()) this.#forgetFirst();
  }

  /** Whether the log knows everything that came behind `sequence`, and `sequence` is of this stream. */
  canResumeAfter(sequence: number): boolean {
    if (sequence === this.#forgottenUpTo) return true;
    if (this.#mayHaveMissed && sequence > this.#forgottenUpTo) return true;
    return this.#events.some((event) => event.sequence === sequence);
  }

  /** Everything behind `sequence` waits again. Only after `canResumeAfter`. */
  rewindTo(sequence: number): void {
    const index = this.#events.findIndex((event) => event.sequence > sequence);
    this.#next = index === -1 ? this.#events.length : index;
    this.#countWaiting();
  }

  clear(): void {
    this.#budget.giveBack(this.#bytes);
    this.#events = [];
    this.#first = 0;
    this.#next = 0;
    this.#bytes = 0;
    this.#setWaiting(0);
  }

  #countWaiting(): void {
    let waiting = 0;
    for (let i = this.#next; i < this.#events.length; i += 1) waiting += this.#events[i]?.bytes.length ?? 0;
    this.#setWaiting(waiting);
  }

  #setWaiting(bytes: number): void {
    this.#budget.waits(bytes - this.#waitingBytes);
    this.#waitingBytes = bytes;
  }

  /** Keeps a tail of what was given, and always the newest event: it may be the one that was cut off. */
  #forgetGiven(keepBytes: number): void {
    while (this.#first < this.#next && this.#first < this.#events.length - 1 && this.#isTooLarge()) {
      if (this.#bytes - this.#waitingBytes <= keepBytes) return;
      this.#forgetFirst();
    }
  }

  #isWithinLimit(): boolean {
    if (this.#events.length - this.#first === 1) return true;
    return this.#bytes <= this.#limitBytes && !this.#budget.isExceeded;
  }

  #isTooLarge(): boolean {
    return this.#bytes > this.#limitBytes || this.#budget.isFull;
  }

  /** Oldest first. A hole in the numbers is fine: the client never saw those, and ids only have to grow. */
  #dropNotifications(): void {
    let index = this.#next;
    while (!this.#isWithinLimit() && index < this.#events.length) {
      const event = this.#events[index] as LoggedEvent;
      if (!event.isNotification) {
        index += 1;
        continue;
      }
      this.#events.splice(index, 1);
      this.#bytes -= event.bytes.length;
      this.#budget.giveBack(event.bytes.length);
      this.#setWaiting(this.#waitingBytes - event.bytes.length);
    }
  }

  /** The others move up now and then only: a full log forgets an event for each that comes. */
  #forgetFirst(): void {
    const event = this.#events[this.#first] as LoggedEvent;
    this.#bytes -= event.bytes.length;
    this.#budget.giveBack(event.bytes.length);
    this.#forgottenUpTo = event.sequence;
    this.#events[this.#first] = FORGOTTEN;
    this.#first += 1;
    if (this.#first < MIN_GAP || this.#first * 2 < this.#events.length) return;
    this.#events.splice(0, this.#first);
    this.#next -= this.#first;
    this.#first = 0;
  }
}
