/**
 * What the server of one session says, and where it goes: answers to their exchanges, everything else to the stream it belongs to,
 * as far as that can be told. What the client says, and what becomes of an exchange, is not decided here.
 */
import { background } from '../core/background.js';
import type { LogFields, Logger } from '../core/logger.js';
import type { SessionStreams } from '../downstream/session-streams.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorResponse } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';
import { isServerRequest, Method } from '../protocol/methods.js';
import { type ClientStream, type Delivery, NOBODY, type UpstreamKind } from '../protocol/transport.js';
import { Exchange } from './exchange.js';
import type { Exchanges } from './exchanges.js';
import type { ListFilter } from './policies/list-filter.js';
import type { RouteRules } from './policies/rules.js';
import { type GateContext, isListed } from './policies/ruling.js';
import type { ServerQuestions } from './server-questions.js';
import { withId, withRequestId } from './server-requests.js';
import { shownAnswer } from './policies/shown-answer.js';

type ServerRequest = Message & { readonly id: RequestId; readonly method: string };

/** The route, as far as its server's messages concern it. */
export interface ServedRoute {
  readonly logger: Logger;
  readonly lists: ListFilter;
  /** Looked at with every message: they may be replaced at any time. */
  readonly rules: RouteRules;
  readonly upstream: { readonly kind: UpstreamKind | undefined; readonly lastReadAtMs: number };
}

/** The session, as far as its server's messages concern it. */
export interface ServedSession {
  readonly streams: SessionStreams;
  /** Who spoke last; undefined before the first request. */
  readonly lastContext: GateContext | undefined;
  readonly logFields: LogFields;
  /** Tells the server something that the client does not know of. */
  tellServer(message: Message, delivery: Delivery): void;
}

export class ServerMessages {
  readonly #route: ServedRoute;
  readonly #session: ServedSession;
  readonly #exchanges: Exchanges;
  readonly #questions: ServerQuestions;

  constructor(route: ServedRoute, session: ServedSession, exchanges: Exchanges, questions: ServerQuestions) {
    this.#route = route;
    this.#session = session;
    this.#exchanges = exchanges;
    this.#questions = questions;
  }

  /** @param related What the message came for; undefined where the transport could not tell. */
  pass(message: Message, related: Delivery | undefined): void {
    const exchange = related instanceof Exchange && !related.isSettled ? related : undefined;
    const readAtMs = this.#route.upstream.lastReadAtMs;
    exchange?.touch(readAtMs);
    switch (message.kind) {
      case 'response':
        this.#passAnswer(message, readAtMs);
        return;
      case 'request':
        this.#passRequest(message as ServerRequest, exchange);
        return;
      case 'notification':
        this.#passNotification(message, exchange);
    }
  }

  #passAnswer(message: Message, readAtMs: number): void {
    const exchange = message.id === undefined ? undefined : this.#exchanges.byUpstreamId(message.id);
    const { logger, lists } = this.#route;
    if (exchange === undefined) {
      logger.debug('stray_answer', 'dropped an answer nobody waits for', this.#session.logFields);
      return;
    }
    const answer = exchange.upstreamId === exchange.clientId ? message : withId(message, exchange.clientId);
    const shown = shownAnswer(lists, exchange, answer);
    if (!(shown instanceof Promise)) exchange.answered(shown, readAtMs);
    else
      background(
        shown.then((late) => exchange.answered(late, readAtMs)),
        logger,
        'answer_failed',
      );
  }

  #passRequest(request: ServerRequest, related: Exchange | undefined): void {
    if (isServerRequest(request.method)) {
      const question = this.#questions.ask(request);
      if (question !== undefined) this.#streamFor(related).send(question);
      return;
    }
    const error = { code: ErrorCode.methodNotFound, message: 'Method not found' };
    this.#session.tellServer(errorResponse(request.id, error), NOBODY);
  }

  #passNotification(message: Message, related: Exchange | undefined): void {
    if (message.method === Method.progress && message.progressToken !== undefined) {
      const exchange = related ?? this.#exchanges.byProgressToken(message.progressToken);
      // Progress for nothing that is under way is late, or another's.
      if (exchange === undefined) return;
      exchange.touch();
      exchange.stream.send(message);
      return;
    }
    if (message.method === Method.cancelled && message.requestId !== undefined) {
      this.#passCancellation(message, message.requestId, related);
      return;
    }
    if (message.method === Method.resourceUpdated && !this.#maySee(message.uri, related)) return;
    this.#streamFor(related).send(message);
  }

  #passCancellation(message: Message, upstreamId: RequestId, related: Exchange | undefined): void {
    const clientId = this.#questions.withdrawn(upstreamId);
    if (clientId === undefined) return;
    this.#streamFor(related).send(clientId === upstreamId ? message : withRequestId(message, clientId));
  }

  /** A change of a resource that this caller may not read is none of its business. */
  #maySee(uri: string | undefined, related: Exchange | undefined): boolean {
    const { rules } = this.#route;
    if (uri === undefined || rules.policy === undefined) return true;
    const context = related?.grant.context ?? this.#session.lastContext;
    return context === undefined || isListed(rules, 'resource', uri, context);
  }

  /** Where a message goes that the transport could not relate: to the newest request in flight, since that is likeliest its cause. */
  #streamFor(related: Exchange | undefined): ClientStream {
    if (related !== undefined) return related.stream;
    const newest = this.#route.upstream.kind === 'sse' ? this.#exchanges.newest : undefined;
    return newest?.stream ?? this.#session.streams.general;
  }
}
