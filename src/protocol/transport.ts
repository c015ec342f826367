/** What the two sides of the gateway agree on: how an answer finds its way back, and how a message reaches a client. */
import { GatewayError } from '../core/errors.js';
import type { Executed } from './error-codes.js';
import type { Message, RequestId } from './message.js';

export type DownstreamKind = 'sse' | 'streamable-http';
export type UpstreamKind = 'sse' | 'streamable-http';

/** Why an upstream did not answer, and whether it may have acted all the same. */
export abstract class UpstreamError extends GatewayError {
  abstract readonly executed: Executed;
}

/** Who waits for what becomes of a message sent upstream. */
export interface Delivery {
  /** The upstream has taken the message; may be followed by `failed`. */
  accepted(): void;
  /** It answers with an event stream that can be resumed, so the answer may take a while. */
  primed(): void;
  /** It ended that stream on purpose, and is asked for the rest in so many milliseconds. */
  deferred?(retryMs: number): void;
  /** The message got no answer and will get none; said at most once. */
  failed(error: UpstreamError): void;
}

/** Whoever sends something for which no answer is due. */
export const NOBODY: Delivery = { accepted: () => {}, primed: () => {}, failed: () => {} };

/** What an answer is beside its message; only an HTTP answer of its own can show it. */
export interface AnswerHints {
  /** HTTP status; only of the stateless revision, where it is part of the answer. */
  readonly status?: number;
  readonly retryAfterMs?: number;
}

/** Where messages for one client go: an event stream, or the answer of one HTTP request. Never throws. */
export interface ClientStream {
  /** Says something that is not the answer. Takes a copy of what it has to keep: the bytes are only valid during the call. */
  send(message: Message): void;
  /** The answer to the request the stream was given for; the same holds for its bytes. */
  answer(message: Message, hints?: AnswerHints): void;
  /** The request is refused before anything came of it, in the form that `error` stands for. */
  refuse(id: RequestId, error: unknown): void;
  /** There will be no answer, and the client knows it: it cancelled. */
  abandon(): void;
  /** The upstream has begun to answer with an event stream, so this may take a while. */
  expectEvents(): void;
  /** The upstream says the rest in so many milliseconds; a client that can come back needs no connection until then. */
  defer?(retryMs: number): void;
}
