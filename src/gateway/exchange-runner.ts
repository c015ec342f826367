/**
 * Runs the exchanges of one session: what was let through gets a place among those under way, is sent, and is followed to its last word;
 * what becomes of it is told to all who count on it. What may be let through, and what the server says to it, is not decided here.
 */
import type { Timer } from '../core/timer-wheel.js';
import { ownNotification } from '../protocol/json-rpc.js';
import type { Message } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import { SessionUnknownError } from '../protocol/session-errors.js';
import { type ClientStream, NOBODY, type UpstreamError } from '../protocol/transport.js';
import { CircuitOpenError } from '../upstream/errors.js';
import type { UpstreamSession } from '../upstream/upstream-session.js';
import { failureAnswer } from './answers.js';
import type { ClientHandshake } from './client-handshake.js';
import { Exchange, type ExchangeOutcome, type ExchangeOwner, type Timing } from './exchange.js';
import { Exchanges } from './exchanges.js';
import { forwardedHeaders } from './forwarded-headers.js';
import type { ClientRequest } from './policies/gate.js';
import type { Grant } from './policies/grant.js';
import type { Route } from './route.js';
import type { ServerQuestions } from './server-questions.js';
import { withId, withRequestId } from './server-requests.js';
import type { SessionTenure } from './replicas/session-tenure.js';
import { countsAgainstUpstream } from './upstream-verdict.js';

/** The route, as far as exchanges concern it. */
export type RunnerRoute = Pick<
  Route,
  'admission' | 'clock' | 'requestAnsweredHere' | 'requestClosed' | 'timers' | 'upstream'
>;

/** What else the session is made of, as far as exchanges meet it. */
export interface RunnerSurroundings {
  readonly record: { readonly isClosed: boolean };
  readonly handshake: Pick<ClientHandshake, 'began' | 'closeUnopened' | 'settled'>;
  readonly upstream: Pick<UpstreamSession, 'isInitialized' | 'pause' | 'resume' | 'send'>;
  readonly questions: Pick<ServerQuestions, 'size'>;
  readonly tenure: Pick<SessionTenure, 'asked' | 'cancelled' | 'departIfQuiet'>;
}

export class ExchangeRunner implements ExchangeOwner {
  /** Those under way. */
  readonly exchanges = new Exchanges();
  readonly #route: RunnerRoute;
  readonly #record: RunnerSurroundings['record'];
  readonly #handshake: RunnerSurroundings['handshake'];
  readonly #upstream: RunnerSurroundings['upstream'];
  readonly #questions: RunnerSurroundings['questions'];
  readonly #tenure: RunnerSurroundings['tenure'];
  /** Why nothing is read. */
  #isPressed = false;
  #isHeld = false;
  /** Exchanges end for a reason that says nothing about the upstream. */
  #isLosing = false;

  constructor(route: RunnerRoute, { record, handshake, upstream, questions, tenure }: RunnerSurroundings) {
    this.#route = route;
    this.#record = record;
    this.#handshake = handshake;
    this.#upstream = upstream;
    this.#questions = questions;
    this.#tenure = tenure;
  }

  /** How many are under way. */
  get inFlight(): number {
    return this.exchanges.size;
  }

  /**
   * Sends a request that was let through, or answers it where the server is not to be asked now. Its note is written in any case.
   *
   * @throws {SessionUnknownError} the session ended meanwhile
   * @throws {OverloadedError} there is no place for it
   */
  start(request: ClientRequest, stream: ClientStream, grant: Grant, timing: Timing): void {
    const { upstream, admission } = this.#route;
    try {
      if (this.#record.isClosed) throw new SessionUnknownError();
      admission.enter(upstream, request.id);
    } catch (error) {
      grant.note?.write('error');
      throw error;
    }
    if (!upstream.breaker.tryPass()) {
      admission.leave(upstream);
      grant.note?.write('upstream_failed');
      this.#answerCircuitOpen(request, stream);
      this.#route.requestAnsweredHere(request.method, 'upstream_failed', timing);
      return;
    }
    // Only now: a handshake that was refused for want of room may be tried again.
    if (request.method === Method.initialize) this.#handshake.began();
    this.#send(request, this.#register(request, stream, grant, timing), grant);
  }

  /** Takes a cancellation of the client: only its own requests can be cancelled; of several with one id, the newest. */
  cancel(cancellation: Message): void {
    const { requestId } = cancellation;
    const target = requestId === undefined ? undefined : this.exchanges.byClientId(requestId);
    // The handshake must not be cancelled, says the specification.
    if (target === undefined || target.method === Method.initialize) return;
    const isSameId = target.upstreamId === target.clientId;
    this.#upstream.send(isSameId ? cancellation : withRequestId(cancellation, target.upstreamId), NOBODY);
    target.cancelled();
  }

  /** While the client has more to read than it takes, nothing more is read for it. */
  pressed(isPressed: boolean): void {
    this.#isPressed = isPressed;
    this.#readOrWait();
  }

  /** While what was read must not be passed on, nothing more is read: it would pile up here. */
  held(isHeld: boolean): void {
    if (this.#isHeld === isHeld) return;
    this.#isHeld = isHeld;
    this.#readOrWait();
  }

  get #isWaiting(): boolean {
    return this.#isPressed || this.#isHeld;
  }

  #readOrWait(): void {
    if (this.#isWaiting) {
      this.#upstream.pause();
      this.exchanges.pause();
    } else {
      this.#upstream.resume();
      this.exchanges.resume();
    }
  }

  /** The upstream session was lost, and with it every answer. */
  fail(error: UpstreamError): void {
    // A stream that ends is no failed call: whether the upstream is well shows when it is asked again.
    this.#isLosing = true;
    this.exchanges.fail(error);
    this.#isLosing = false;
  }

  /** The session ends: whatever is still under way is answered with this. */
  end(error: UpstreamError): void {
    // Not the upstream's fault.
    this.#isLosing = true;
    this.exchanges.end(error);
  }

  #answerCircuitOpen(request: ClientRequest, stream: ClientStream): void {
    const error = new CircuitOpenError(this.#route.upstream.breaker.retryAfterMs);
    stream.answer(failureAnswer(request.id, request.method, error));
    if (request.method === Method.initialize) this.#handshake.closeUnopened();
  }

  #register(request: ClientRequest, stream: ClientStream, grant: Grant, timing: Timing): Exchange {
    const upstreamId = this.exchanges.upstreamIdFor(request.id);
    const { timeouts } = this.#route.upstream.options;
    const exchange = new Exchange(this, request, upstreamId, stream, timeouts, grant, timing);
    this.exchanges.add(exchange);
    this.#tenure.asked(request.id, request.method);
    return exchange;
  }

  #send(request: ClientRequest, exchange: Exchange, grant: Grant): void {
    const { options } = this.#route.upstream;
    const outgoing = exchange.upstreamId === request.id ? request : withId(request, exchange.upstreamId);
    const headers = forwardedHeaders(options.forwardHeaders, grant.context.caller.headers);
    exchange.call = this.#upstream.send(outgoing, exchange, headers);
    exchange.sent();
    if (exchange.isSettled) exchange.call.abort();
    else if (this.#isWaiting) exchange.call.pause();
  }

  // What exchanges need.

  settled(exchange: Exchange, outcome: ExchangeOutcome, error: UpstreamError | undefined): void {
    const { admission, upstream } = this.#route;
    this.exchanges.remove(exchange);
    admission.leave(upstream);
    exchange.grant.note?.write(outcome);
    if (outcome === 'ok' || outcome === 'error') upstream.succeeded();
    else if (error !== undefined && !this.#isLosing && countsAgainstUpstream(error)) upstream.failed();
    if (outcome === 'cancelled') this.#tenure.cancelled(exchange.clientId);
    if (exchange.method === Method.initialize) this.#handshake.settled(outcome);
  }

  closed({ method }: Exchange, outcome: ExchangeOutcome, durationMs: number, overheadMs: number): void {
    this.#route.requestClosed(method, outcome, durationMs, overheadMs);
    this.#tenure.departIfQuiet();
  }

  timedOut(exchange: Exchange): void {
    const params = { requestId: exchange.upstreamId, reason: 'timed out' };
    if (this.#upstream.isInitialized) this.#upstream.send(ownNotification(Method.cancelled, params), NOBODY);
    exchange.call?.abort();
  }

  isWaitingForClient(): boolean {
    return this.#questions.size > 0;
  }

  now(): number {
    return this.#route.clock.now();
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return this.#route.timers.schedule(delayMs, callback);
  }
}
