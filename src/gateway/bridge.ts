/**
 * Joins one client session to its upstream session, both ways: every request becomes an exchange, every answer finds its own,
 * what the server says unasked finds the right stream, and a loss on one side is told to the other.
 */
import { background } from '../core/background.js';
import type { LogFields, Logger } from '../core/logger.js';
import type { Timer } from '../core/timer-wheel.js';
import type { Caller, ClientSession } from '../downstream/client-session.js';
import { SessionStreams } from '../downstream/session-streams.js';
import { encodeRetry } from '../downstream/sse-encode.js';
import { emptyResponse, ownNotification } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import { SessionMovedError, SessionProtocolError, SessionUnknownError } from '../protocol/session-errors.js';
import { type ClientStream, type Delivery, NOBODY, type UpstreamError } from '../protocol/transport.js';
import type { ManagedSession } from '../session/session-manager.js';
import type { SessionRecord } from '../session/session-record.js';
import { CircuitOpenError, UpstreamFailedError } from '../upstream/errors.js';
import { UpstreamSession, type UpstreamSessionListener } from '../upstream/upstream-session.js';
import { failureAnswer } from './answers.js';
import { Exchange, type ExchangeOutcome, type ExchangeOwner, type Timing } from './exchange.js';
import { Exchanges } from './exchanges.js';
import { forwardedHeaders } from './forwarded-headers.js';
import { judge, type Verdict } from './gate.js';
import type { Grant } from './grant.js';
import { lostHandshake, ownHandshake } from './returning-client.js';
import type { Route } from './route.js';
import type { CallContext, ClientInfo, GateContext } from './ruling.js';
import { clientInfoOf } from './client-info.js';
import type { ContinuedSession } from './continued-session.js';
import type { SessionState } from './session-state.js';
import { type MovingSession, SessionTenure } from './session-tenure.js';
import { ServerMessages, type ServedSession } from './server-messages.js';
import { type QuestionedSession, ServerQuestions } from './server-questions.js';
import { withId, withRequestId } from './server-requests.js';
import { countsAgainstUpstream } from './upstream-verdict.js';

type Request = Message & { readonly id: RequestId; readonly method: string };

/** How soon a client is to come back whose session goes on at another replica, in milliseconds. */
const MOVED_RETRY_MS = 20;

export class Bridge
  implements
    ClientSession,
    ManagedSession,
    UpstreamSessionListener,
    ExchangeOwner,
    MovingSession,
    ServedSession,
    QuestionedSession
{
  readonly record: SessionRecord;
  readonly streams: SessionStreams;
  readonly questions: ServerQuestions;
  readonly #route: Route;
  readonly #logger: Logger;
  readonly #upstream: UpstreamSession;
  readonly #exchanges = new Exchanges();
  readonly #serverMessages: ServerMessages;
  readonly #tenure: SessionTenure;
  /** Self-reported. */
  #client: ClientInfo | undefined;
  #lastContext: GateContext | undefined;
  #wasDetached = false;
  #isInitializing = false;
  #isPressed = false;
  #isLosing = false;
  #isRetiring = false;
  /** The client was told of changed tools while it was away, and need not be told again. */
  #hasUnreadChange = false;
  /** Requests that wait for their verdict. */
  #judging = 0;
  /** The client may go on without a handshake, in this revision. */
  #returningVersion: string | undefined;

  /** @param continued What another replica left of it. */
  constructor(record: SessionRecord, route: Route, continued?: ContinuedSession) {
    this.record = record;
    this.#route = route;
    this.#logger = route.logger;
    this.streams = new SessionStreams(record.id, route.streamOptions, this);
    this.#tenure = new SessionTenure(this, route.copies, route.logger);
    this.#upstream = new UpstreamSession(route.upstream, this, continued?.upstream);
    this.questions = new ServerQuestions(this, route.timers, route.upstream.options.timeouts.totalMs);
    this.#serverMessages = new ServerMessages(route, this, this.#exchanges, this.questions);
    if (continued !== undefined) this.#continue(continued);
  }

  #continue(continued: ContinuedSession): void {
    this.record.protocolVersion = continued.upstream.protocolVersion;
    this.#client = continued.client;
    this.#tenure.continue(continued);
  }

  get id(): string {
    return this.record.id;
  }

  get protocolVersion(): string | undefined {
    return this.record.protocolVersion;
  }

  get inFlight(): number {
    return this.#exchanges.size;
  }

  get lastContext(): GateContext | undefined {
    return this.#lastContext;
  }

  get logFields(): LogFields {
    return { session: this.record.label, route: this.#route.prefix };
  }

  /** The client comes back from a session it cannot name: it will not initialize again, so that is done for it when it has to be. */
  returns(protocolVersion: string): void {
    this.#returningVersion = protocolVersion;
  }

  // From the client.

  receive(message: Message, stream: ClientStream, caller: Caller): void {
    switch (message.kind) {
      case 'request':
        this.#takeRequest(message as Request, stream, caller);
        return;
      case 'notification':
        this.#receiveNotification(message, caller);
        return;
      case 'response':
        if (this.questions.answered(message)) return;
        this.#logger.debug('stray_response', 'dropped an answer to nothing', this.logFields);
    }
  }

  detached(): void {
    this.#wasDetached = true;
    this.#tenure.departIfQuiet();
    if (this.record.kind === 'sse') this.#route.sessions.detached(this);
  }

  attached(): void {
    if (this.#wasDetached) this.#route.noteSession('session_resume', this.record);
    this.#wasDetached = false;
    this.#hasUnreadChange = false;
    this.#route.sessions.attached(this);
    this.#upstream.listen();
  }

  pressed(isPressed: boolean): void {
    this.#isPressed = isPressed;
    if (isPressed) {
      this.#upstream.pause();
      this.#exchanges.pause();
    } else {
      this.#upstream.resume();
      this.#exchanges.resume();
    }
  }

  close(reason: string): void {
    this.#route.sessions.close(this, reason);
  }

  // From whoever moves sessions between replicas.

  get state(): SessionState | undefined {
    const upstream = this.#upstream.record;
    const { kind, openedAtMs } = this.record;
    return upstream === undefined ? undefined : { kind, openedAtMs, upstream, client: this.#client };
  }

  /**
   * Lets another replica go on with the session as soon as nothing is under way; requests that come until then wait for that.
   * Resolves when somebody else may take it, or it is over.
   */
  depart(): Promise<void> {
    return this.#tenure.depart();
  }

  /** As `depart`, but waits for nobody: what is under way is answered with this. */
  departNow(error: UpstreamError): Promise<void> {
    return this.#tenure.departNow(error);
  }

  forsake(): void {
    this.#tenure.forsake();
  }

  get departed(): Promise<void> | undefined {
    return this.#tenure.departed;
  }

  get isBusy(): boolean {
    return this.#exchanges.size + this.#judging > 0;
  }

  letGo(): void {
    this.#route.sessions.handOver(this);
    this.questions.clear();
    this.streams.disconnectAll(encodeRetry(MOVED_RETRY_MS));
    this.streams.closeAll();
    this.#upstream.abandon();
  }

  // From whoever changes the configuration.

  /** Takes no more requests; those under way may finish, and what they ask the client may be answered. */
  retire(): void {
    this.#isRetiring = true;
  }

  /** Nothing is under way, and the client has what there was to say. */
  get isQuiet(): boolean {
    return this.#exchanges.size === 0 && this.streams.isCaughtUp;
  }

  /** Who speaks here: as in the last request, or as the session was opened. */
  get context(): CallContext {
    if (this.#lastContext !== undefined) return { ...this.#lastContext, nowMs: Date.now() };
    return { caller: { principal: this.record.principal, ip: '', headers: {} }, client: undefined, nowMs: Date.now() };
  }

  tellToolsChanged(): void {
    const isAway = !this.streams.hasGeneralConnection;
    if (!this.#upstream.isInitialized || (isAway && this.#hasUnreadChange)) return;
    this.#hasUnreadChange = isAway;
    this.streams.general.send(ownNotification(Method.toolsChanged, {}));
  }

  /** Refusals are measured here; everything that is answered, where it is. */
  #takeRequest(request: Request, stream: ClientStream, caller: Caller): void {
    const timing: Timing = { arrivedAtMs: this.#route.requestClock.arrivedAtMs, waitedMs: 0 };
    try {
      if (this.#isRetiring) throw new SessionUnknownError();
      const { departed } = this.#tenure;
      if (departed !== undefined && request.method !== Method.ping) throw new SessionMovedError(departed);
      this.#receiveRequest(request, stream, caller, timing);
    } catch (error) {
      if (!(error instanceof SessionMovedError)) this.#route.requestRefused(request.method, error, timing);
      throw error;
    }
  }

  #receiveRequest(request: Request, stream: ClientStream, caller: Caller, timing: Timing): void {
    if (!this.#upstream.isInitialized && this.#refusesBeforeHandshake(request)) {
      stream.answer(emptyResponse(request.id));
      this.#route.requestAnsweredHere(request.method, 'ok', timing);
      return;
    }
    if (request.method === Method.initialize) this.#expectFirstHandshake(request);
    const context = this.#contextOf(request, caller);
    const verdict = judge(this.#route.rules, request, context);
    if (!(verdict instanceof Promise)) this.#proceed(verdict, request, stream, context, timing);
    else background(this.#proceedLater(verdict, request, stream, context, timing), this.#logger, 'request_failed');
  }

  #contextOf(request: Request, caller: Caller): GateContext {
    // Only conditions of a policy ask for it.
    const isAsked = request.method === Method.initialize && this.#route.rules.policy !== undefined;
    if (isAsked) this.#client = clientInfoOf(request);
    const context: GateContext = {
      caller,
      client: this.#client,
      nowMs: Date.now(),
      era: 'legacy',
      session: this.record,
    };
    this.#lastContext = context;
    return context;
  }

  /** After a wait nobody is there to catch: the refusal is an answer like any other. */
  async #proceedLater(
    coming: Promise<Verdict>,
    request: Request,
    stream: ClientStream,
    context: GateContext,
    timing: Timing,
  ): Promise<void> {
    this.#judging += 1;
    const verdict = await coming.finally(() => {
      this.#judging -= 1;
    });
    try {
      if (request.method === Method.initialize) this.#expectFirstHandshake(request);
      this.#proceed(verdict, request, stream, context, timing);
    } catch (error) {
      stream.refuse(request.id, error);
      this.#route.requestRefused(request.method, error, timing);
      if (request.method === Method.initialize && !this.#upstream.isInitialized) this.#closeUnopened();
    }
    this.#tenure.departIfQuiet();
  }

  #proceed(verdict: Verdict, request: Request, stream: ClientStream, context: GateContext, timing: Timing): void {
    switch (verdict.kind) {
      case 'error':
        throw verdict.error;
      case 'refuse':
        stream.answer(verdict.refusal.answer, verdict.refusal.hints);
        this.#route.requestDenied(request.method, verdict.refusal, timing);
        return;
      case 'pass':
        this.#admit(request, stream, { rules: verdict.rules, note: verdict.note, context }, timing);
    }
  }

  #admit(request: Request, stream: ClientStream, grant: Grant, timing: Timing): void {
    const { upstream, admission } = this.#route;
    try {
      if (this.record.isClosed) throw new SessionUnknownError();
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
    if (request.method === Method.initialize) this.#isInitializing = true;
    this.#send(request, this.#register(request, stream, grant, timing), grant);
  }

  #send(request: Request, exchange: Exchange, grant: Grant): void {
    const { options } = this.#route.upstream;
    const outgoing = exchange.upstreamId === request.id ? request : withId(request, exchange.upstreamId);
    const headers = forwardedHeaders(options.forwardHeaders, grant.context.caller.headers);
    exchange.call = this.#upstream.send(outgoing, exchange, headers);
    exchange.sent();
    if (exchange.isSettled) exchange.call.abort();
    else if (this.#isPressed) exchange.call.pause();
  }

  /**
   * @returns true when the request is a ping, which needs no server
   * @throws {SessionProtocolError} nothing but `initialize` and pings may come first
   */
  #refusesBeforeHandshake(request: Request): boolean {
    if (request.method === Method.ping) return true;
    if (request.method === Method.initialize && !this.#isInitializing) return false;
    this.#goOnUninitialized(request.id);
    return false;
  }

  /** @throws {SessionProtocolError} unless the client believes that it has done its part */
  #goOnUninitialized(id?: RequestId): void {
    if (this.#returningVersion === undefined || this.#isInitializing) {
      throw new SessionProtocolError('the session is not initialized', id);
    }
    this.#initializeFor(this.#returningVersion);
  }

  #initializeFor(protocolVersion: string): void {
    const { upstream, sessions } = this.#route;
    const kind = upstream.candidates[0] ?? 'streamable-http';
    const initialize = lostHandshake(sessions.sessions, this.record) ?? ownHandshake(protocolVersion);
    const { fingerprint: server } = upstream;
    this.#upstream.continue({
      handshake: { initialize, state: [] },
      kind,
      protocolVersion,
      sessionId: undefined,
      server,
    });
    this.onInitialized(protocolVersion);
  }

  #expectFirstHandshake(request: Request): void {
    if (this.#upstream.isInitialized || this.#isInitializing) {
      throw new SessionProtocolError('this session is initialized already', request.id);
    }
  }

  #answerCircuitOpen(request: Request, stream: ClientStream): void {
    const error = new CircuitOpenError(this.#route.upstream.breaker.retryAfterMs);
    stream.answer(failureAnswer(request.id, request.method, error));
    if (request.method === Method.initialize) this.#closeUnopened();
  }

  #register(request: Request, stream: ClientStream, grant: Grant, timing: Timing): Exchange {
    const upstreamId = this.#exchanges.upstreamIdFor(request.id);
    const { timeouts } = this.#route.upstream.options;
    const exchange = new Exchange(this, request, upstreamId, stream, timeouts, grant, timing);
    this.#exchanges.add(exchange);
    this.#tenure.asked(request.id, request.method);
    return exchange;
  }

  #receiveNotification(message: Message, caller: Caller): void {
    if (message.method === Method.cancelled) {
      this.#receiveCancellation(message);
      return;
    }
    if (!this.#upstream.isInitialized) this.#goOnUninitialized();
    this.#upstream.send(message, NOBODY, forwardedHeaders(this.#route.upstream.options.forwardHeaders, caller.headers));
  }

  /** Only the client's own requests can be cancelled; of several with one id, the newest. */
  #receiveCancellation(message: Message): void {
    const target = message.requestId === undefined ? undefined : this.#exchanges.byClientId(message.requestId);
    // The handshake must not be cancelled, says the specification.
    if (target === undefined || target.method === Method.initialize) return;
    const outgoing = target.upstreamId === target.clientId ? message : withRequestId(message, target.upstreamId);
    this.#upstream.send(outgoing, NOBODY);
    target.cancelled();
  }

  // From the upstream.

  onMessage(message: Message, related: Delivery | undefined): void {
    if (this.#tenure.isCertain) this.#serverMessages.pass(message, related);
    else this.#passLater(message, related);
  }

  #passLater(message: Message, related: Delivery | undefined): void {
    this.#tenure.whenCertain(message, (kept) => this.#serverMessages.pass(kept, related));
  }

  tellServer(message: Message, delivery: Delivery): void {
    this.#upstream.send(message, delivery);
  }

  get hasListener(): boolean {
    return this.streams.hasGeneralConnection;
  }

  questionDropped(clientId: RequestId): void {
    const reason = 'the session moves to another replica of the gateway';
    this.streams.general.send(ownNotification(Method.cancelled, { requestId: clientId, reason }));
  }

  questionsChanged(): void {
    this.#tenure.departIfQuiet();
  }

  onInitialized(protocolVersion: string): void {
    this.record.protocolVersion = protocolVersion;
    this.#tenure.begin();
  }

  onRecordChanged(): void {
    this.#tenure.changed();
  }

  onReestablished(): void {
    this.#logger.info(
      'upstream_session_reopened',
      'opened a new upstream session for a client session',
      this.logFields,
    );
    const data = 'The connection to the server was lost and made anew. State it kept for this session may be gone.';
    this.streams.general.send(ownNotification(Method.message, { level: 'warning', logger: 'mcp-gateway', data }));
  }

  onLost(error: UpstreamError): void {
    this.#logger.info('upstream_session_lost', 'an upstream session ended', {
      ...this.logFields,
      reason: error.message,
    });
    // A stream that ends is no failed call: whether the upstream is well shows when it is asked again.
    this.#isLosing = true;
    this.#exchanges.fail(error);
    this.#isLosing = false;
    this.questions.clear();
    if (this.#route.upstream.options.onLoss === 'close') this.close('the upstream session was lost');
  }

  // What exchanges need.

  settled(exchange: Exchange, outcome: ExchangeOutcome, error: UpstreamError | undefined): void {
    const { admission, upstream } = this.#route;
    this.#exchanges.remove(exchange);
    admission.leave(upstream);
    exchange.grant.note?.write(outcome);
    if (outcome === 'ok' || outcome === 'error') upstream.succeeded();
    else if (error !== undefined && !this.#isLosing && countsAgainstUpstream(error)) upstream.failed();
    if (outcome === 'cancelled') this.#tenure.cancelled(exchange.clientId);
    this.#handshakeSettled(exchange, outcome);
  }

  #handshakeSettled(exchange: Exchange, outcome: ExchangeOutcome): void {
    if (exchange.method !== Method.initialize) return;
    // A server that was replaced by one of the stateless revision refuses every handshake.
    if (outcome === 'error') this.#route.stateless.doubt();
    this.#endHandshake();
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
    return this.questions.size > 0;
  }

  now(): number {
    return this.#route.clock.now();
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return this.#route.timers.schedule(delayMs, callback);
  }

  // What the session manager says.

  idle(): void {
    if (this.#exchanges.size > 0 || this.questions.size > 0) return;
    background(this.#upstream.park(), this.#logger, 'park_failed');
  }

  ended(reason: string): void {
    if (this.#logger.debugEnabled) {
      this.#logger.debug('session_closed', 'a session ended', { ...this.logFields, reason });
    }
    this.#route.noteSession('session_close', this.record, reason);
    this.#tenure.remove();
    if (this.#exchanges.size > 0) this.endExchanges(new UpstreamFailedError('the session was closed', 'unknown'));
    this.questions.clear();
    this.streams.closeAll();
    background(this.#upstream.close(), this.#logger, 'upstream_close_failed');
    this.#tenure.over();
  }

  endExchanges(error: UpstreamError): void {
    // Not the upstream's fault.
    this.#isLosing = true;
    this.#exchanges.end(error);
  }

  #endHandshake(): void {
    this.#isInitializing = false;
    if (!this.#upstream.isInitialized) this.#closeUnopened();
  }

  /** On Streamable HTTP a session that never opened has no id the client could use. */
  #closeUnopened(): void {
    if (this.record.kind === 'streamable-http') queueMicrotask(() => this.close('it was never initialized'));
  }
}
