/** The event streams of one session: the general one, and those that answer single requests. Hands out event numbers that are unique among them. */
import type { ServedResponse } from '../http-server/types.js';
import type { Message } from '../protocol/message.js';
import { EventStream, type EventStreamOptions, type EventStreamOwner, type StreamBeginning } from './event-stream.js';
import type { AskedRequest, StreamJournal, StreamSnapshot } from '../protocol/stream-journal.js';

/** What a session lets its streams tell. */
export interface StreamsListener {
  detached(): void;
  attached(): void;
  pressed(isPressed: boolean): void;
  close(reason: string): void;
}

/** Streams of answered requests that are kept, for a client whose connection broke under the last event: so many, and so long. */
const MAX_ENDED_STREAMS = 8;
const ENDED_STREAM_KEPT_MS = 60_000;
const GENERAL: StreamBeginning = { isGeneral: true, requests: [] };
/** So much of what a client was given is kept for it elsewhere too, in case it never arrived. */
const JOURNAL_TAIL_BYTES = 64 * 1024;
/** How many events go by between two looks at what the journal no longer needs. */
const EVENTS_PER_TRIM = 64;

export class SessionStreams implements EventStreamOwner {
  readonly sessionId: string;
  readonly options: EventStreamOptions;
  readonly #listener: StreamsListener;
  #general: EventStream | undefined;
  readonly #replies = new Set<EventStream>();
  #sequence = 0;
  #pressing = 0;
  #isClosed = false;
  #isExpiring = false;
  #journal: StreamJournal | undefined;
  #saidSinceTrim = 0;

  constructor(sessionId: string, options: EventStreamOptions, listener: StreamsListener) {
    this.sessionId = sessionId;
    this.options = options;
    this.#listener = listener;
  }

  /** Carries what belongs to no request. Exists before the client opens it: what is said meanwhile waits. */
  get general(): EventStream {
    this.#general ??= new EventStream(this, this.options, GENERAL);
    return this.#general;
  }

  get journal(): StreamJournal | undefined {
    return this.#journal;
  }

  /** From here on all that is said is written down; what was said before is in the snapshots. */
  keepJournal(journal: StreamJournal): void {
    this.#journal = journal;
  }

  /** Does `work` as soon as what was written down is on its way: at once where nothing is. */
  whenSent(work: () => void): void {
    if (this.#journal === undefined) work();
    else this.#journal.whenSent(work);
  }

  /** All streams, for whoever goes on with them. What could go to a client has gone. */
  get snapshots(): StreamSnapshot[] {
    this.#journal?.sendNow();
    const streams = this.#general === undefined ? [...this.#replies] : [this.#general, ...this.#replies];
    return streams.map((stream) => stream.snapshot);
  }

  /** Goes on with the streams of another replica. @param nextSequence Above all that were ever given out. */
  restore(snapshots: readonly StreamSnapshot[], nextSequence: number): void {
    this.#sequence = nextSequence;
    for (const snapshot of snapshots) {
      const stream = new EventStream(this, this.options, snapshot);
      if (snapshot.isGeneral) this.#general = stream;
      else this.#replies.add(stream);
    }
    this.#expireLater();
  }

  get hasGeneralConnection(): boolean {
    return this.#general?.isAttached ?? false;
  }

  /** Nothing waits for a client that is there. */
  get isCaughtUp(): boolean {
    const isBehind = (stream: EventStream): boolean => stream.isAttached && !stream.isCaughtUp;
    if (this.#general !== undefined && isBehind(this.#general)) return false;
    for (const stream of this.#replies) if (isBehind(stream)) return false;
    return true;
  }

  /** A stream that answers one request. */
  openReply(requests: readonly AskedRequest[]): EventStream {
    const stream = new EventStream(this, this.options, { isGeneral: false, requests });
    this.#replies.add(stream);
    return stream;
  }

  /** The stream that `sequence` was said on, if what came behind it is still known. */
  findResumable(sequence: number): EventStream | undefined {
    if (this.#general?.canResumeAfter(sequence)) return this.#general;
    for (const stream of this.#replies) if (stream.canResumeAfter(sequence)) return stream;
    return undefined;
  }

  attachGeneral(response: ServedResponse, afterSequence?: number): void {
    this.general.attach(response, afterSequence);
    this.#listener.attached();
  }

  /** For messages of a session that has no stream at hand for them. */
  send(message: Message): void {
    this.general.send(message);
  }

  /** Ends all connections at a place where the client can go on later. */
  disconnectAll(lastWords: string): void {
    this.#general?.disconnect(lastWords);
    for (const stream of this.#replies) stream.disconnect(lastWords);
  }

  closeAll(): void {
    this.#isClosed = true;
    this.#general?.close();
    for (const stream of this.#replies) stream.close();
    this.#replies.clear();
  }

  /** The reply streams that another replica left behind without all their answers. */
  get unfinishedReplies(): EventStream[] {
    return [...this.#replies].filter((reply) => !reply.isFinished);
  }

  /** A stream said something: now and then it is worth a look what the journal no longer needs. */
  noteSaid(): void {
    this.#saidSinceTrim += 1;
    if (this.#journal === undefined || this.#saidSinceTrim < EVENTS_PER_TRIM) return;
    this.#saidSinceTrim = 0;
    let oldest = this.#general?.neededFrom(JOURNAL_TAIL_BYTES) ?? this.#sequence;
    for (const reply of this.#replies) oldest = Math.min(oldest, reply.openedAt);
    this.#journal?.keepFrom(oldest);
  }

  nextSequence(): number {
    const sequence = this.#sequence;
    this.#sequence += 1;
    return sequence;
  }

  pressed(isPressed: boolean): void {
    this.#pressing += isPressed ? 1 : -1;
    if (this.#pressing === (isPressed ? 1 : 0)) this.#listener.pressed(isPressed);
  }

  cut(stream: EventStream): void {
    if (!this.#isClosed && stream === this.#general) this.#listener.detached();
  }

  ended(stream: EventStream): void {
    if (!this.#replies.has(stream)) return;
    const ended = this.#endedReplies();
    let excess = ended.length - MAX_ENDED_STREAMS;
    let bytes = ended.reduce((sum, reply) => sum + reply.retainedBytes, 0);
    for (const oldest of ended) {
      if (excess <= 0 && !this.options.budget.isFull && (bytes <= this.options.bufferBytes || oldest === stream)) break;
      excess -= 1;
      bytes -= oldest.retainedBytes;
      this.drop(oldest);
    }
    this.#expireLater();
  }

  overflowed(stream: EventStream): void {
    if (stream === this.#general) this.#listener.close('more was said than could be kept for an absent client');
    else this.drop(stream);
  }

  #endedReplies(): EventStream[] {
    return [...this.#replies].filter((reply) => reply.isFinished && !reply.isAttached);
  }

  /** One timer for all: what had ended when it was set goes when it fires. */
  #expireLater(): void {
    if (this.#isExpiring) return;
    const expiring = this.#endedReplies();
    this.#isExpiring = expiring.length > 0;
    if (!this.#isExpiring) return;
    this.options.timers.schedule(ENDED_STREAM_KEPT_MS, () => {
      this.#isExpiring = false;
      for (const stream of expiring) if (!stream.isAttached) this.drop(stream);
      this.#expireLater();
    });
  }

  /** Forgets a reply stream nobody will come back for. */
  drop(stream: EventStream): void {
    this.#replies.delete(stream);
    stream.close();
  }
}
