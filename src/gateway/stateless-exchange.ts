/**
 * One request of the revision without sessions: joins the exchange, the call upstream and the client's stream, and delivers what comes
 * back. Whether the request may pass at all is decided before.
 */
import { background } from '../core/background.js';
import type { Timer } from '../core/timer-wheel.js';
import type { StatelessStream, StatelessStreamOwner } from '../downstream/client-session.js';
import { ownNotification, resultResponse } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import type { AnswerHints, UpstreamError } from '../protocol/transport.js';
import { StatelessCall, type StatelessDelivery } from '../upstream/stateless-call.js';
import { failureAnswer } from './answers.js';
import { Exchange, type ExchangeOutcome, type ExchangeOwner, type ExchangeTimeouts, type Timing } from './exchange.js';
import type { Grant } from './policies/grant.js';
import type { Route } from './route.js';
import type { CallContext } from './policies/ruling.js';
import { shownAnswer } from './policies/shown-answer.js';
import { countsAgainstUpstream } from './upstream-verdict.js';

type Request = Message & { readonly id: RequestId; readonly method: string };

/** What a client should do whose `server/discover` failed: of a plain error it would conclude that the server is a legacy one, for good. */
export const TRY_AGAIN: AnswerHints = { status: 503, retryAfterMs: 1000 };
const SUBSCRIPTION_META = 'io.modelcontextprotocol/subscriptionId';

/** As far as it is looked at here. */
interface ListenRequest {
  readonly params?: { readonly notifications?: { readonly toolsListChanged?: unknown } };
}

/** A subscription may be silent for as long as it likes. */
const NO_TIMEOUTS: ExchangeTimeouts = { idleMs: 2 ** 31, totalMs: 2 ** 31 };

/** A client without a session that listens. */
export interface ToolListener {
  readonly context: CallContext;
  tellToolsChanged(): void;
}

/** Whoever looks after all requests of the route. */
export interface StatelessExchangeHooks {
  settled(): void;
  /** Sees the answer before the client does. */
  answer(message: Message): Message;
  failed(error: UpstreamError): void;
}

export class StatelessExchange implements ExchangeOwner, StatelessDelivery, StatelessStreamOwner, ToolListener {
  readonly #route: Route;
  readonly #request: Request;
  readonly #stream: StatelessStream;
  readonly #hooks: StatelessExchangeHooks;
  readonly #exchange: Exchange;
  readonly #call: StatelessCall;
  #wasNotified = false;

  constructor(
    route: Route,
    request: Request,
    stream: StatelessStream,
    grant: Grant,
    timing: Timing,
    hooks: StatelessExchangeHooks,
  ) {
    this.#route = route;
    this.#request = request;
    this.#stream = stream;
    this.#hooks = hooks;
    const timeouts = request.method === Method.listen ? NO_TIMEOUTS : route.upstream.options.timeouts;
    this.#exchange = new Exchange(this, request, request.id, stream, timeouts, grant, timing);
    this.#call = new StatelessCall(route.upstream, request, this);
    this.#exchange.call = this.#call;
    stream.setOwner(this);
  }

  start(headers: string): void {
    this.#call.start(headers);
    this.#exchange.sent();
  }

  /** Not before the acknowledgement, which has to be the first message of a subscription. */
  get wantsToolChanges(): boolean {
    if (!this.#wasNotified || this.#exchange.isSettled) return false;
    const { params } = JSON.parse(this.#request.raw.toString()) as ListenRequest;
    return params?.notifications?.toolsListChanged === true;
  }

  get context(): CallContext {
    return { ...this.#exchange.grant.context, nowMs: Date.now() };
  }

  tellToolsChanged(): void {
    if (this.#exchange.isSettled) return;
    const meta = { [SUBSCRIPTION_META]: this.#request.id };
    this.#stream.send(ownNotification(Method.toolsChanged, { _meta: meta }));
  }

  endGracefully(): void {
    if (this.#exchange.isSettled) return;
    const meta = { [SUBSCRIPTION_META]: this.#request.id };
    this.#call.abort();
    const answer = resultResponse(this.#request.id, JSON.stringify({ resultType: 'complete', _meta: meta }));
    this.#exchange.answered(answer, this.now());
  }

  accepted(): void {
    this.#exchange.accepted();
  }

  primed(): void {
    this.#exchange.primed();
  }

  failed(error: UpstreamError): void {
    this.#hooks.failed(error);
    if (this.#request.method !== Method.discover || this.#exchange.isSettled) {
      this.#exchange.failed(error);
      return;
    }
    const answer = failureAnswer(this.#request.id, this.#request.method, error, 'modern');
    this.#exchange.failedWith(error, () => this.#stream.answer(answer, TRY_AGAIN));
  }

  onMessage(message: Message, status: number): void {
    const readAtMs = this.#route.upstream.lastReadAtMs;
    this.#exchange.touch(readAtMs);
    if (message.kind === 'notification') {
      this.#wasNotified = true;
      this.#stream.send(message);
    } else if (message.kind === 'response' && message.id === this.#request.id) {
      const shown = shownAnswer(this.#route.lists, this.#exchange, this.#hooks.answer(message));
      if (!(shown instanceof Promise)) this.#answer(shown, status, readAtMs);
      else
        background(
          shown.then((late) => this.#answer(late, status, readAtMs)),
          this.#route.logger,
          'answer_failed',
        );
    } else if (message.kind === 'request') {
      // Servers of this revision ask by their answers and not by requests of their own.
      this.#route.logger.warn('upstream_garbage', 'dropped a request of a stateless upstream');
    }
  }

  #answer(answer: Message, status: number, readAtMs: number): void {
    this.#exchange.answeredWith(answer.isError, readAtMs, () => this.#stream.answer(answer, { status }));
  }

  gone(): void {
    this.#exchange.drop();
  }

  pressed(isPressed: boolean): void {
    if (isPressed) this.#call.pause();
    else this.#call.resume();
  }

  settled(_exchange: Exchange, outcome: ExchangeOutcome, error: UpstreamError | undefined): void {
    const { admission, upstream } = this.#route;
    admission.leave(upstream);
    this.#exchange.grant.note?.write(outcome);
    if (outcome === 'ok' || outcome === 'error') upstream.succeeded();
    else if (error !== undefined && countsAgainstUpstream(error)) upstream.failed();
    this.#hooks.settled();
  }

  closed({ method }: Exchange, outcome: ExchangeOutcome, durationMs: number, overheadMs: number): void {
    this.#route.requestClosed(method, outcome, durationMs, overheadMs);
  }

  /** Closing the stream is the cancellation, and the exchange does that. */
  timedOut(): void {}

  isWaitingForClient(): boolean {
    return false;
  }

  now(): number {
    return this.#route.clock.now();
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return this.#route.timers.schedule(delayMs, callback);
  }
}
