/** What the transports toward the client need of the gateway: a session to hand messages to, and a door to get one through. */
import type { Principal } from '../auth/principal.js';
import type { Clock } from '../core/clock.js';
import type { TimerWheel } from '../core/timer-wheel.js';
import type { Message } from '../protocol/message.js';
import type { ClientStream, DownstreamKind } from '../protocol/transport.js';
import type { SessionStreams } from './session-streams.js';

/** Facts about the HTTP request a message came with. */
export interface Caller {
  readonly principal: Principal;
  readonly ip: string;
  /** As Node read them: lower-case names. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface ClientSession {
  /** Sealed; the only name the client has for the session. */
  readonly id: string;
  /** Undefined until the server has answered `initialize`. */
  readonly protocolVersion: string | undefined;
  /** Resolves when another replica may go on with it; undefined while it is to stay here. */
  readonly departed: Promise<void> | undefined;
  /** The event streams of this session; they belong to the transport that opened it. */
  readonly streams: SessionStreams;

  /**
   * Takes one message of the client; what comes of it goes to `stream`.
   *
   * @throws {SessionProtocolError} not at this point of the session
   * @throws {OverloadedError} as many requests in flight as there may be
   */
  receive(message: Message, stream: ClientStream, caller: Caller): void;

  /** The client's stream was cut; the session lives on for `resumeGrace`. */
  detached(): void;
  /** The client is back, or has come for the first time. */
  attached(): void;
  /** A stream of the session is full (true) or has room again (false). */
  pressed(isPressed: boolean): void;
  /** A stream had to give up something that may not be lost, or the client said goodbye. */
  close(reason: string): void;
}

/** Whoever answers a stateless request. */
export interface StatelessStreamOwner {
  /** The client closed its connection, and with it cancelled. */
  gone(): void;
  pressed(isPressed: boolean): void;
}

/** The answer to one stateless request. */
export interface StatelessStream extends ClientStream {
  setOwner(owner: StatelessStreamOwner): void;
}

/** One route as clients see it. */
export interface RouteDoor {
  readonly prefix: string;
  /**
   * @param returningVersion The client lost a session, cannot name it, and goes on as if it still had it: in this revision.
   * @throws {OverloadedError | TooManySessionsError}
   */
  open(kind: DownstreamKind, caller: Caller, returningVersion?: string): ClientSession;
  /**
   * Counts a stream that is about to begin as a request of the caller. A promise only if the store of a limit has to wait.
   *
   * @throws {RateLimitedError} by the promise too
   */
  admitStream(caller: Caller): undefined | Promise<undefined>;
  /** Whether a session of this id is here, whoever asks. */
  holds(id: string): boolean;
  /** @throws {SessionUnknownError} */
  resolve(id: string, kind: DownstreamKind, caller: Caller): ClientSession;
  /**
   * Takes one message of the revision without sessions.
   *
   * @param stream Where the answer goes; undefined for a notification.
   */
  receiveStateless(message: Message, stream: StatelessStream | undefined, caller: Caller): void;
  /** For whatever the transports have to time. */
  readonly timers: TimerWheel;
  readonly clock: Clock;
}
