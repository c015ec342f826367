/**
 * What the event streams of one session write down while they speak, so that another replica can go on with them.
 * Writing never throws and is never waited for.
 */
import type { RequestId } from './message.js';

/** A request whose answer is due on a stream. */
export interface AskedRequest {
  readonly id: RequestId;
  readonly isToolCall: boolean;
}

/** What a server asked its client, while the client may still answer. */
export interface OpenQuestion {
  /** By which the client knows it. */
  readonly clientId: RequestId;
  /** By which the server does; undefined: it does not wait any more, and an answer is for nobody. */
  readonly upstreamId: RequestId | undefined;
}

/** How far a server was heard that numbers what it says unasked. */
export interface HeardUpTo {
  /** The server's name for its session: the number means nothing in any other. */
  readonly sessionId: string;
  /** Undefined: what it said last has no number. */
  readonly eventId: string | undefined;
}

/** One event as it went to the client, or waits for it. */
export interface StreamEvent {
  readonly sequence: number;
  /** As they are on the wire; undefined: too large to be kept anywhere but where it was made. */
  readonly bytes: Buffer | undefined;
  readonly isNotification: boolean;
  /** The request that it answers. */
  readonly answers: RequestId | undefined;
}

export interface StreamJournal {
  /** @param stream The sequence that opened the stream; its name within the session. */
  opened(stream: number, isGeneral: boolean, requests: readonly AskedRequest[]): void;
  /** @param isWaiting No connection is there to carry it. */
  said(stream: number, isGeneral: boolean, event: StreamEvent, isWaiting: boolean): void;
  /** What waited is on its way to the client. */
  attached(stream: number): void;
  /** Nothing more will be said. */
  finished(stream: number): void;
  /** Nothing below this sequence is needed any more. */
  keepFrom(sequence: number): void;
  /** Does `work` as soon as all that was written down is on its way out of this process: at once, or at the end of this turn of the event loop. */
  whenSent(work: () => void): void;
  /** What waits for that is done now. */
  sendNow(): void;
}

/** One stream as another replica left it. */
export interface StreamSnapshot {
  readonly openedAt: number;
  readonly isGeneral: boolean;
  readonly requests: readonly AskedRequest[];
  readonly events: readonly StreamEvent[];
  /** Everything up to here cannot be said again. */
  readonly forgottenUpTo: number;
  /** How many of the events, from the end, nobody has been given. */
  readonly waiting: number;
  readonly isFinished: boolean;
  /**
   * No other stream of the session gives out numbers: a client that has seen one which is not known here has seen everything before it,
   * and is only ahead of what could be written down.
   */
  readonly isOnlyStream: boolean;
}
