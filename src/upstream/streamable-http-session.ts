/** What the calls and the general stream of one Streamable HTTP session share. */
import type { Logger } from '../core/logger.js';
import type { TimerWheel } from '../core/timer-wheel.js';
import type { Message } from '../protocol/message.js';
import type { Delivery } from '../protocol/transport.js';
import type { HttpCall, HttpRequester, ResponseHandler } from '../http-client/types.js';

export interface StreamableSession {
  readonly http: HttpRequester;
  readonly path: string;
  readonly timers: TimerWheel;
  readonly logger: Logger;
  readonly maxMessageBytes: number;
  /** The server gave the session an id; a stateless one does not. */
  readonly hasId: boolean;
  readonly isClosed: boolean;
  /** The answer to `initialize` may name the session. */
  adopt(id: string | undefined): void;
  deliver(message: Message, related: Delivery | undefined): void;
  /** Everything that came on the general stream up to this event was delivered. */
  heard(eventId: string | undefined): void;
  /** The server no longer knows it. */
  gone(): void;
  /** GETs an event stream, or goes on with the one that `lastEventId` was said on. */
  openStream(lastEventId: string | undefined, handler: ResponseHandler): HttpCall;
}
