/**
 * The handshake of one session's client: whether it has been made, what the client said of itself, and what may come before it.
 * A client that came back from a session it cannot name makes none; then the server is to hear one in its name, once.
 * How the server is greeted, and greeted again, is the upstream session's business.
 */
import type { Message, RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import { SessionProtocolError } from '../protocol/session-errors.js';
import type { UpstreamKind } from '../protocol/transport.js';
import type { SessionRecord } from '../session/session-record.js';
import type { UpstreamSessionRecord } from '../upstream/upstream-session.js';
import { clientInfoOf } from './client-info.js';
import type { ExchangeOutcome } from './exchange.js';
import type { ClientRequest } from './policies/gate.js';
import { lostHandshake, type OtherSession, ownHandshake } from './returning-client.js';
import type { ClientInfo } from './policies/ruling.js';

/** The route, as far as handshakes concern it. */
export interface GreetedRoute {
  readonly upstream: { readonly candidates: readonly UpstreamKind[]; readonly fingerprint: string };
  readonly sessions: { readonly sessions: Iterable<OtherSession> };
  readonly stateless: { doubt(): void };
}

/** The session, as far as its handshake concerns it. */
export interface GreetingSession {
  readonly record: SessionRecord;
  onInitialized(protocolVersion: string): void;
  close(reason: string): void;
}

/** The upstream session, as far as its client's handshake concerns it. */
export interface GreetedServer {
  /** The server has accepted an `initialize`, or will be told one before anything else. */
  readonly isInitialized: boolean;
  continue(record: UpstreamSessionRecord): void;
}

export class ClientHandshake {
  readonly #route: GreetedRoute;
  readonly #session: GreetingSession;
  readonly #server: GreetedServer;
  /** Self-reported. */
  #client: ClientInfo | undefined;
  #isUnderWay = false;
  /** The client may go on without a handshake, in this revision. */
  #returningVersion: string | undefined;

  /** @param client What it said of itself elsewhere. */
  constructor(route: GreetedRoute, session: GreetingSession, server: GreetedServer, client: ClientInfo | undefined) {
    this.#route = route;
    this.#session = session;
    this.#server = server;
    this.#client = client;
  }

  /** What the client said of itself; undefined where nobody asked for it. */
  get client(): ClientInfo | undefined {
    return this.#client;
  }

  /** Reads what the client says of itself. */
  introduced(initialize: Message): void {
    this.#client = clientInfoOf(initialize);
  }

  /** The client comes back from a session it cannot name: it will not initialize again, so that is done for it when it has to be. */
  returns(protocolVersion: string): void {
    this.#returningVersion = protocolVersion;
  }

  /**
   * @returns true for a ping that comes before the handshake, which needs no server
   * @throws {SessionProtocolError} nothing but `initialize` and pings may come first
   */
  needsNoServer(request: ClientRequest): boolean {
    if (this.#server.isInitialized) return false;
    if (request.method === Method.ping) return true;
    if (request.method !== Method.initialize || this.#isUnderWay) this.expectMade(request.id);
    return false;
  }

  /** @throws {SessionProtocolError} unless it has been made, or the client believes that it has done its part */
  expectMade(id?: RequestId): void {
    if (this.#server.isInitialized) return;
    if (this.#returningVersion === undefined || this.#isUnderWay) {
      throw new SessionProtocolError('the session is not initialized', id);
    }
    this.#makeFor(this.#returningVersion);
  }

  /** @throws {SessionProtocolError} a session is initialized once */
  expectFirst(initialize: ClientRequest): void {
    if (this.#server.isInitialized || this.#isUnderWay) {
      throw new SessionProtocolError('this session is initialized already', initialize.id);
    }
  }

  /** The client's `initialize` goes to the server: no other may follow until it has settled. */
  began(): void {
    this.#isUnderWay = true;
  }

  /** The client's `initialize` had its answer, or will have none. */
  settled(outcome: ExchangeOutcome): void {
    // A server that was replaced by one of the stateless revision refuses every handshake.
    if (outcome === 'error') this.#route.stateless.doubt();
    this.#isUnderWay = false;
    this.closeUnopened();
  }

  /** On Streamable HTTP a session that did not open has no id the client could use. */
  closeUnopened(): void {
    if (this.#server.isInitialized || this.#session.record.kind !== 'streamable-http') return;
    queueMicrotask(() => this.#session.close('it was never initialized'));
  }

  #makeFor(protocolVersion: string): void {
    const { upstream, sessions } = this.#route;
    const kind = upstream.candidates[0] ?? 'streamable-http';
    const initialize = lostHandshake(sessions.sessions, this.#session.record) ?? ownHandshake(protocolVersion);
    const handshake = { initialize, state: [] };
    const { fingerprint: server } = upstream;
    this.#server.continue({ handshake, kind, protocolVersion, sessionId: undefined, server });
    this.#session.onInitialized(protocolVersion);
  }
}
