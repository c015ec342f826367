/**
 * One event stream to one client, over as many connections as the client needs for it: writes with back-pressure, keeps silent connections
 * alive, cuts readers that do not read, and goes on behind any event the client names.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import type { ServedResponse } from '../http-server/types.js';
import type { Timer, TimerWheel } from '../core/timer-wheel.js';
import { errorResponse } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';
import type { ClientStream } from '../protocol/transport.js';
import type { BufferBudget } from './buffer-budget.js';
import { toWireError } from './error-response.js';
import { ReplayLog } from './replay-log.js';
import type { AskedRequest, StreamEvent, StreamJournal, StreamSnapshot } from '../protocol/stream-journal.js';
import { encodeMessageEvent, encodePrimingEvent, eventId, KEEP_ALIVE_COMMENT } from './sse-encode.js';

export interface EventStreamOptions {
  readonly timers: TimerWheel;
  readonly budget: BufferBudget;
  /** What may wait for this stream, in bytes; a single larger message may wait alone. */
  readonly bufferBytes: number;
}

/** The session a stream belongs to, as far as the stream needs it. */
export interface EventStreamOwner {
  readonly sessionId: string;
  /** Undefined: nobody goes on with the session elsewhere. */
  readonly journal: StreamJournal | undefined;
  nextSequence(): number;
  pressed(isPressed: boolean): void;
  /** Something was written down. */
  noteSaid(): void;
  /** The connection under the stream ended before the stream did. */
  cut(stream: EventStream): void;
  /** Everything was said and written. */
  ended(stream: EventStream): void;
  /** The client is away and a response no longer fits. */
  overflowed(stream: EventStream): void;
}

export interface StreamBeginning {
  readonly isGeneral: boolean;
  /** Those it answers; none when it is the session's general stream. */
  readonly requests: readonly AskedRequest[];
}

export const KEEP_ALIVE_MS = 15_000;
/** A connection that takes no byte for this long while bytes wait is given up. */
export const WRITE_DEADLINE_MS = 10_000;
/** A large event goes out in slices: each one that is taken shows that the client still reads, however slow it is. */
const SLICE_BYTES = 64 * 1024;

export class EventStream implements ClientStream {
  readonly #owner: EventStreamOwner;
  readonly #requests: readonly AskedRequest[];
  readonly isGeneral: boolean;
  readonly #options: EventStreamOptions;
  readonly #log: ReplayLog;
  #response: ServedResponse | undefined;
  /** How much of the next event has gone out. */
  #writtenBytes = 0;
  #isBlocked = false;
  #isPressing = false;
  #isFinished = false;
  /** What was said last is not on its way to the journal yet, so the client may not have it. */
  #isHeld = false;
  #wroteSinceKeepAlive = false;
  #keepAlive: Timer | undefined;
  #writeDeadline: Timer | undefined;

  /** @param begun What it answers, or what another replica left of it. */
  constructor(owner: EventStreamOwner, options: EventStreamOptions, begun: StreamBeginning | StreamSnapshot) {
    this.#owner = owner;
    this.#options = options;
    this.#requests = begun.requests;
    this.isGeneral = begun.isGeneral;
    this.openedAt = 'openedAt' in begun ? begun.openedAt : owner.nextSequence();
    this.#log = new ReplayLog(options.bufferBytes, options.budget, this.openedAt);
    if ('openedAt' in begun) {
      this.#isFinished = begun.isFinished;
      this.#log.restore(begun);
    } else owner.journal?.opened(this.openedAt, this.isGeneral, this.#requests);
  }

  /** What another replica needs to go on with it. */
  get snapshot(): StreamSnapshot {
    const { events, forgottenUpTo, waitingCount: waiting } = this.#log;
    const { openedAt, isGeneral } = this;
    return {
      openedAt,
      isGeneral,
      requests: this.#requests,
      events,
      forgottenUpTo,
      waiting,
      isFinished: this.#isFinished,
      isOnlyStream: false,
    };
  }

  /** Requests it was opened for and has not answered, as far as it still knows. */
  get unanswered(): readonly AskedRequest[] {
    const answered = new Set(this.#log.events.map(({ answers }) => answers));
    return this.#requests.filter(({ id }) => !answered.has(id));
  }

  /** The oldest sequence that somebody who goes on with it needs. */
  neededFrom(tailBytes: number): number {
    return this.#log.tailStart(tailBytes) ?? Math.max(this.#log.forgottenUpTo, this.openedAt);
  }

  /** The sequence of the event that opens the stream; a client that has seen nothing else may resume behind it. */
  readonly openedAt: number;

  get isAttached(): boolean {
    return this.#response !== undefined;
  }

  /** Everything that was said is on its way to the client. */
  get isCaughtUp(): boolean {
    return this.#log.waitingBytes === 0;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  get retainedBytes(): number {
    return this.#log.retainedBytes;
  }

  canResumeAfter(sequence: number): boolean {
    return this.#log.canResumeAfter(sequence);
  }

  /**
   * Carries the stream over `response`, whose head is written; a connection it had before is given up.
   *
   * @param afterSequence Says again what came behind it; undefined goes on where the stream is.
   */
  attach(response: ServedResponse, afterSequence?: number): void {
    this.#release()?.destroy();
    if (afterSequence !== undefined) this.#log.rewindTo(afterSequence);
    if (this.#log.waitingBytes > 0) this.#owner.journal?.attached(this.openedAt);
    this.#response = response;
    this.#isBlocked = response.writableNeedDrain;
    response.on('drain', this.#onDrain);
    response.on('close', this.#onClose);
    this.#wroteSinceKeepAlive = true;
    this.#keepAlive = this.#options.timers.schedule(KEEP_ALIVE_MS, this.#onKeepAlive);
    this.#writeOnceSent();
  }

  send(message: Message): void {
    if (this.#isFinished) return;
    const sequence = this.#owner.nextSequence();
    const bytes = encodeMessageEvent(eventId(this.#owner.sessionId, sequence), message.raw);
    this.#append({
      sequence,
      bytes,
      isNotification: message.kind === 'notification',
      answers: message.kind === 'response' ? message.id : undefined,
    });
  }

  answer(message: Message): void {
    this.send(message);
  }

  refuse(id: RequestId, error: unknown): void {
    this.send(errorResponse(id, toWireError(error).rpc));
  }

  abandon(): void {}

  expectEvents(): void {}

  /** Gives the client an event id to come back with before anything was said. */
  prime(): void {
    const sequence = this.#owner.nextSequence();
    const bytes = Buffer.from(encodePrimingEvent(eventId(this.#owner.sessionId, sequence)));
    this.#append({ sequence, bytes, isNotification: true, answers: undefined });
  }

  /** Everything this stream was opened for has been said; its connection ends when all is written. */
  finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#owner.journal?.finished(this.openedAt);
    if (this.#response === undefined) this.#owner.ended(this);
    else this.#writeOnceSent();
  }

  /** What was said goes out now instead of at the end of the turn, still after all that was written down. */
  sendNow(): void {
    if (this.#isHeld) this.#owner.journal?.sendNow();
  }

  /** Ends the connection at a place where the client can go on later. An event that has gone out in part is none to the client. */
  disconnect(lastWords: string): void {
    this.sendNow();
    const isBetweenEvents = this.#writtenBytes === 0;
    const response = this.#release();
    response?.end(isBetweenEvents ? lastWords : '');
  }

  /** Ends the stream for good and frees what it held. */
  close(): void {
    this.sendNow();
    this.#isFinished = true;
    this.#log.clear();
    this.#setPressing(false);
    this.#release()?.end();
  }

  /** Written down before the client can have it: what it has seen must be known to whoever goes on. */
  #append(event: StreamEvent & { readonly bytes: Buffer }): void {
    const isWaiting = this.#response === undefined;
    this.#owner.journal?.said(this.openedAt, this.isGeneral, event, isWaiting);
    const fits = this.#log.append(event, isWaiting);
    if (this.#owner.journal !== undefined) this.#owner.noteSaid();
    if (!fits) this.#owner.overflowed(this);
    else this.#writeOnceSent();
  }

  #writeOnceSent(): void {
    const { journal } = this.#owner;
    if (journal === undefined || this.#response === undefined) return this.#write();
    if (this.#isHeld) return;
    this.#isHeld = true;
    journal.whenSent(this.#onSent);
  }

  readonly #onSent = (): void => {
    this.#isHeld = false;
    this.#write();
  };

  #write(): void {
    if (this.#isHeld) return;
    const response = this.#response;
    if (response !== undefined) {
      while (!this.#isBlocked) {
        const bytes = this.#nextSlice();
        if (bytes === undefined) break;
        this.#wroteSinceKeepAlive = true;
        if (!response.write(bytes)) this.#block();
      }
      // Not before the last byte was taken, or nothing would watch over it.
      if (this.#isFinished && !this.#isBlocked) this.#end(response);
    }
    this.#setPressing(response !== undefined && this.#log.waitingBytes >= this.#options.bufferBytes);
  }

  #nextSlice(): Buffer | undefined {
    const event = this.#log.next;
    if (event === undefined) return undefined;
    const start = this.#writtenBytes;
    this.#writtenBytes += SLICE_BYTES;
    if (this.#writtenBytes < event.length) return event.subarray(start, this.#writtenBytes);
    this.#writtenBytes = 0;
    this.#log.advance();
    return start === 0 ? event : event.subarray(start);
  }

  #end(response: ServedResponse): void {
    this.#release();
    response.end();
    this.#owner.ended(this);
  }

  #block(): void {
    this.#isBlocked = true;
    this.#writeDeadline ??= this.#options.timers.schedule(WRITE_DEADLINE_MS, this.#onWriteDeadline);
  }

  #setPressing(isPressing: boolean): void {
    if (this.#isPressing === isPressing) return;
    this.#isPressing = isPressing;
    this.#owner.pressed(isPressing);
  }

  readonly #onDrain = (): void => {
    this.#isBlocked = false;
    this.#writeDeadline?.cancel();
    this.#writeDeadline = undefined;
    this.#write();
  };

  readonly #onWriteDeadline = (): void => {
    this.#response?.destroy();
  };

  readonly #onClose = (): void => {
    this.#release();
    this.#setPressing(false);
    this.#owner.cut(this);
  };

  readonly #onKeepAlive = (): void => {
    const response = this.#response;
    if (response === undefined) return;
    if (!this.#wroteSinceKeepAlive) this.#log.settle();
    if (!this.#wroteSinceKeepAlive && !this.#isBlocked && !response.write(KEEP_ALIVE_COMMENT)) this.#block();
    this.#wroteSinceKeepAlive = false;
    this.#keepAlive = this.#options.timers.schedule(KEEP_ALIVE_MS, this.#onKeepAlive);
  };

  /** Lets go of the connection without ending it. */
  #release(): ServedResponse | undefined {
    const response = this.#response;
    if (response === undefined) return undefined;
    this.#response = undefined;
    this.#keepAlive?.cancel();
    this.#writeDeadline?.cancel();
    this.#writeDeadline = undefined;
    this.#isBlocked = false;
    this.#writtenBytes = 0;
    response.off('drain', this.#onDrain);
    response.off('close', this.#onClose);
    return response;
  }
}
