/**
 * Joins one client session to its upstream session, both ways: each message goes to the part that knows what becomes of it, and a loss
 * on one side is told to the other. Of all its parts, this one alone is known to those who keep, move and end sessions.
 */
import { background } from '../core/background.js';
import type { LogFields, Logger } from '../core/logger.js';
import type { Caller, ClientSession } from '../downstream/client-session.js';
import { SessionStreams } from '../downstream/session-streams.js';
import { encodeRetry } from '../downstream/sse-encode.js';
import { ownNotification } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import type { OpenQuestion } from '../protocol/stream-journal.js';
import { type ClientStream, type Delivery, NOBODY, type UpstreamError } from '../protocol/transport.js';
import type { ManagedSession } from '../session/session-manager.js';
import type { SessionRecord } from '../session/session-record.js';
import { UpstreamFailedError } from '../upstream/errors.js';
import { UpstreamSession, type UpstreamSessionListener } from '../upstream/upstream-session.js';
import { ClientHandshake, type GreetingSession } from './client-handshake.js';
import { ClientRequests } from './client-requests.js';
import type { ContinuedSession } from './replicas/continued-session.js';
import { ExchangeRunner } from './exchange-runner.js';
import { forwardedHeaders } from './forwarded-headers.js';
import type { ClientRequest } from './policies/gate.js';
import type { Route } from './route.js';
import type { CallContext, GateContext } from './policies/ruling.js';
import { ServerMessages, type ServedSession } from './server-messages.js';
import { type QuestionedSession, ServerQuestions } from './server-questions.js';
import type { SessionState } from './replicas/session-state.js';
import { type MovingSession, SessionTenure } from './replicas/session-tenure.js';

/** How soon a client is to come back whose session goes on at another replica, in milliseconds. */
const MOVED_RETRY_MS = 20;

export class Bridge
  implements
    ClientSession,
    ManagedSession,
    UpstreamSessionListener,
    GreetingSession,
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
  readonly #handshake: ClientHandshake;
  readonly #requests: ClientRequests;
  readonly #runner: ExchangeRunner;
  readonly #serverMessages: ServerMessages;
  readonly #tenure: SessionTenure;
  #wasDetached = false;
  /** The client was told of changed tools while it was away, and need not be told again. */
  #hasUnreadChange = false;

  /** @param continued What another replica left of it. */
  constructor(record: SessionRecord, route: Route, continued?: ContinuedSession) {
    this.record = record;
    this.#route = route;
    this.#logger = route.logger;
    this.streams = new SessionStreams(record.id, route.streamOptions, this);
    const tenure = new SessionTenure(this, route.copies, route.logger);
    const upstream = new UpstreamSession(route.upstream, this, continued?.upstream);
    const questions = new ServerQuestions(this, route.timers, route.upstream.options.timeouts.totalMs);
    const handshake = new ClientHandshake(route, this, upstream, continued?.client);
    this.#tenure = tenure;
    this.#upstream = upstream;
    this.questions = questions;
    this.#handshake = handshake;
    const runner = new ExchangeRunner(route, { record, handshake, upstream, questions, tenure });
    this.#runner = runner;
    this.#requests = new ClientRequests(route, { record, handshake, runner, tenure });
    this.#serverMessages = new ServerMessages(route, this, runner.exchanges, questions);
    if (continued !== undefined) this.#continue(continued);
  }

  #continue(continued: ContinuedSession): void {
    this.record.protocolVersion = continued.upstream.protocolVersion;
    this.#tenure.continue(continued);
    // A server's session that goes on by its name waits for answers still; one that ended with its connection does not.
    this.questions.restore(continued.left.questions, this.#upstream.isConnected);
  }

  get id(): string {
    return this.record.id;
  }

  get protocolVersion(): string | undefined {
    return this.record.protocolVersion;
  }

  get inFlight(): number {
    return this.#runner.inFlight;
  }

  get lastContext(): GateContext | undefined {
    return this.#requests.lastContext;
  }

  get logFields(): LogFields {
    return { session: this.record.label, route: this.#route.prefix };
  }

  /** The client comes back from a session it cannot name. */
  returns(protocolVersion: string): void {
    this.#handshake.returns(protocolVersion);
  }

  // From the client.

  receive(message: Message, stream: ClientStream, caller: Caller): void {
    switch (message.kind) {
      case 'request':
        this.#requests.receive(message as ClientRequest, stream, caller);
        return;
      case 'notification':
        this.#receiveNotification(message, caller);
        return;
      case 'response':
        if (this.questions.answered(message)) return;
        this.#logger.debug('stray_response', 'dropped an answer to nothing', this.logFields);
    }
  }

  #receiveNotification(message: Message, caller: Caller): void {
    if (message.method === Method.cancelled) {
      this.#runner.cancel(message);
      return;
    }
    this.#handshake.expectMade();
    this.#upstream.send(message, NOBODY, forwardedHeaders(this.#route.upstream.options.forwardHeaders, caller.headers));
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
    this.#runner.pressed(isPressed);
  }

  close(reason: string): void {
    this.#route.sessions.close(this, reason);
  }

  // From whoever moves sessions between replicas.

  get state(): SessionState | undefined {
    const upstream = this.#upstream.record;
    const { kind, openedAtMs } = this.record;
    return upstream === undefined ? undefined : { kind, openedAtMs, upstream, client: this.#handshake.client };
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
    return this.#runner.inFlight + this.#requests.judging > 0;
  }

  stopReading(): void {
    this.#runner.held(true);
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
    this.#requests.refuseMore();
  }

  /** Nothing is under way, and the client has what there was to say. */
  get isQuiet(): boolean {
    return this.#runner.inFlight === 0 && this.streams.isCaughtUp;
  }

  /** Who speaks here: as in the last request, or as the session was opened. */
  get context(): CallContext {
    const { lastContext } = this.#requests;
    if (lastContext !== undefined) return { ...lastContext, nowMs: Date.now() };
    return { caller: { principal: this.record.principal, ip: '', headers: {} }, client: undefined, nowMs: Date.now() };
  }

  tellToolsChanged(): void {
    const isAway = !this.streams.hasGeneralConnection;
    if (!this.#upstream.isInitialized || (isAway && this.#hasUnreadChange)) return;
    this.#hasUnreadChange = isAway;
    this.streams.general.send(ownNotification(Method.toolsChanged, {}));
  }

  // From the upstream.

  onMessage(message: Message, related: Delivery | undefined): void {
    if (this.#tenure.isCertain) this.#serverMessages.pass(message, related);
    else this.#passLater(message, related);
  }

  #passLater(message: Message, related: Delivery | undefined): void {
    this.#runner.held(true);
    this.#tenure.whenCertain(message, (kept) => {
      this.#serverMessages.pass(kept, related);
      // Behind all others that waited.
      queueMicrotask(() => this.#runner.held(false));
    });
  }

  onHeard(sessionId: string, eventId: string | undefined): void {
    this.#tenure.heard({ sessionId, eventId });
  }

  tellServer(message: Message, delivery: Delivery): void {
    this.#upstream.send(message, delivery);
  }

  get hasListener(): boolean {
    return this.streams.hasGeneralConnection;
  }

  questionDropped(clientId: RequestId): void {
    const reason = 'the server does not wait for the answer any more';
    this.streams.general.send(ownNotification(Method.cancelled, { requestId: clientId, reason }));
  }

  questionOpened(question: OpenQuestion): void {
    this.#tenure.questionOpened(question);
  }

  questionClosed(clientId: RequestId): void {
    this.#tenure.questionClosed(clientId);
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
    this.#runner.fail(error);
    this.questions.voidAll();
    if (this.#route.upstream.options.onLoss === 'close') this.close('the upstream session was lost');
  }

  // What the session manager says.

  idle(): void {
    if (this.#runner.inFlight > 0 || this.questions.size > 0) return;
    background(this.#upstream.park(), this.#logger, 'park_failed');
  }

  ended(reason: string): void {
    if (this.#logger.debugEnabled) {
      this.#logger.debug('session_closed', 'a session ended', { ...this.logFields, reason });
    }
    this.#route.noteSession('session_close', this.record, reason);
    this.#tenure.remove();
    if (this.#runner.inFlight > 0) this.endExchanges(new UpstreamFailedError('the session was closed', 'unknown'));
    this.questions.clear();
    this.streams.closeAll();
    background(this.#upstream.close(), this.#logger, 'upstream_close_failed');
    this.#tenure.over();
  }

  endExchanges(error: UpstreamError): void {
    this.#runner.end(error);
  }
}
