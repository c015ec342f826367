/**
 * The requests of one session's client from their arrival to the verdict: the handshake comes before them, then the gate judges them.
 * A refusal is their last word; what is let through is run elsewhere.
 */
import { background } from '../core/background.js';
import type { Caller } from '../downstream/client-session.js';
import { emptyResponse } from '../protocol/json-rpc.js';
import { Method } from '../protocol/methods.js';
import { SessionMovedError, SessionUnknownError } from '../protocol/session-errors.js';
import type { ClientStream } from '../protocol/transport.js';
import type { SessionRecord } from '../session/session-record.js';
import type { ClientHandshake } from './client-handshake.js';
import type { Timing } from './exchange.js';
import type { ExchangeRunner } from './exchange-runner.js';
import { type ClientRequest, judge, type Verdict } from './policies/gate.js';
import type { Route } from './route.js';
import type { GateContext } from './policies/ruling.js';
import type { SessionTenure } from './replicas/session-tenure.js';

/** The route, as far as requests of its clients concern it. */
export type RequestedRoute = Pick<
  Route,
  'logger' | 'requestAnsweredHere' | 'requestClock' | 'requestDenied' | 'requestRefused' | 'rules'
>;

/** What else the session is made of, as far as requests of its client meet it. */
export interface RequestSurroundings {
  readonly record: SessionRecord;
  readonly handshake: ClientHandshake;
  readonly runner: Pick<ExchangeRunner, 'start'>;
  readonly tenure: Pick<SessionTenure, 'departed' | 'departIfQuiet'>;
}

export class ClientRequests {
  readonly #route: RequestedRoute;
  readonly #record: SessionRecord;
  readonly #handshake: ClientHandshake;
  readonly #runner: RequestSurroundings['runner'];
  readonly #tenure: RequestSurroundings['tenure'];
  #lastContext: GateContext | undefined;
  #judging = 0;
  #isRefusing = false;

  constructor(route: RequestedRoute, { record, handshake, runner, tenure }: RequestSurroundings) {
    this.#route = route;
    this.#record = record;
    this.#handshake = handshake;
    this.#runner = runner;
    this.#tenure = tenure;
  }

  /** How many wait for their verdict. */
  get judging(): number {
    return this.#judging;
  }

  /** Who spoke last; undefined before the first request. */
  get lastContext(): GateContext | undefined {
    return this.#lastContext;
  }

  /** Takes no more; those under way may finish. */
  refuseMore(): void {
    this.#isRefusing = true;
  }

  /**
   * Refusals are measured here; everything that is answered, where it is.
   *
   * @throws {SessionUnknownError} no more are taken
   * @throws {SessionMovedError} the session is about to go on elsewhere
   * @throws {SessionProtocolError} it comes before the handshake, or is another one
   * @throws {OverloadedError | RateLimitedError | UnauditableError} there is no place for it, or it may not pass
   */
  receive(request: ClientRequest, stream: ClientStream, caller: Caller): void {
    const timing: Timing = { arrivedAtMs: this.#route.requestClock.arrivedAtMs, waitedMs: 0 };
    try {
      if (this.#isRefusing) throw new SessionUnknownError();
      const { departed } = this.#tenure;
      if (departed !== undefined && request.method !== Method.ping) throw new SessionMovedError(departed);
      this.#take(request, stream, caller, timing);
    } catch (error) {
      if (!(error instanceof SessionMovedError)) this.#route.requestRefused(request.method, error, timing);
      throw error;
    }
  }

  #take(request: ClientRequest, stream: ClientStream, caller: Caller, timing: Timing): void {
    if (this.#handshake.needsNoServer(request)) {
      stream.answer(emptyResponse(request.id));
      this.#route.requestAnsweredHere(request.method, 'ok', timing);
      return;
    }
    if (request.method === Method.initialize) this.#handshake.expectFirst(request);
    const context = this.#contextOf(request, caller);
    const verdict = judge(this.#route.rules, request, context);
    if (!(verdict instanceof Promise)) this.#proceed(verdict, request, stream, context, timing);
    else
      background(this.#proceedLater(verdict, request, stream, context, timing), this.#route.logger, 'request_failed');
  }

  #contextOf(request: ClientRequest, caller: Caller): GateContext {
    // Only conditions of a policy ask for it.
    const isAsked = request.method === Method.initialize && this.#route.rules.policy !== undefined;
    if (isAsked) this.#handshake.introduced(request);
    const context: GateContext = {
      caller,
      client: this.#handshake.client,
      nowMs: Date.now(),
      era: 'legacy',
      session: this.#record,
    };
    this.#lastContext = context;
    return context;
  }

  /** After a wait nobody is there to catch: the refusal is an answer like any other. */
  async #proceedLater(
    coming: Promise<Verdict>,
    request: ClientRequest,
    stream: ClientStream,
    context: GateContext,
    timing: Timing,
  ): Promise<void> {
    this.#judging += 1;
    const verdict = await coming.finally(() => {
      this.#judging -= 1;
    });
    try {
      if (request.method === Method.initialize) this.#handshake.expectFirst(request);
      this.#proceed(verdict, request, stream, context, timing);
    } catch (error) {
      stream.refuse(request.id, error);
      this.#route.requestRefused(request.method, error, timing);
      if (request.method === Method.initialize) this.#handshake.closeUnopened();
    }
    this.#tenure.departIfQuiet();
  }

  #proceed(verdict: Verdict, request: ClientRequest, stream: ClientStream, context: GateContext, timing: Timing): void {
    switch (verdict.kind) {
      case 'error':
        throw verdict.error;
      case 'refuse':
        stream.answer(verdict.refusal.answer, verdict.refusal.hints);
        this.#route.requestDenied(request.method, verdict.refusal, timing);
        return;
      case 'pass':
        this.#runner.start(request, stream, { rules: verdict.rules, note: verdict.note, context }, timing);
    }
  }
}
