/** One prefix: its upstream, its sessions, and the door clients come in by. */
import type { AuditOutcome } from '../audit/event.js';
import type { Principal } from '../auth/principal.js';
import type { LeftSession } from '../cluster/read-journal.js';
import { background } from '../core/background.js';
import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import type { TimerWheel } from '../core/timer-wheel.js';
import type { Caller, ClientSession, RouteDoor, StatelessStream } from '../downstream/client-session.js';
import type { EventStreamOptions } from '../downstream/event-stream.js';
import type { ListenerOptions } from '../downstream/options.js';
import type { PinChange } from '../policy/tool-pins.js';
import type { Metrics } from '../metrics/metrics.js';
import type { RequestClock } from '../metrics/request-clock.js';
import type { RouteMetrics } from '../metrics/route-metrics.js';
import type { Message } from '../protocol/message.js';
import { OverloadedError, RateLimitedError } from '../protocol/session-errors.js';
import type { DownstreamKind } from '../protocol/transport.js';
import type { SessionRecord } from '../session/session-record.js';
import type { SessionOptions } from '../session/options.js';
import { SessionManager, type SessionManagerDependencies } from '../session/session-manager.js';
import type { UpstreamOptions } from '../upstream/options.js';
import { Upstream } from '../upstream/upstream.js';
import type { UpstreamVerdictStore } from '../upstream/verdicts.js';
import type { Admission } from './admission.js';
import { Bridge } from './bridge.js';
import type { Refusal } from './policies/denials.js';
import type { Timing } from './exchange.js';
import { takeForStream } from './policies/gate.js';
import { ListFilter } from './policies/list-filter.js';
import type { RouteRules } from './policies/rules.js';
import { behindWhatWasHeard } from './replicas/continued-session.js';
import type { SessionCopies } from './replicas/session-copies.js';
import type { SessionState } from './replicas/session-state.js';
import { StatelessTraffic } from './stateless.js';

/** What all routes share. */
export interface RouteDependencies extends SessionManagerDependencies {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly admission: Admission;
  readonly requestClock: RequestClock;
  /** Undefined: nobody counts. */
  readonly metrics: Metrics | undefined;
  readonly streamOptions: EventStreamOptions;
  readonly limits: ListenerOptions['limits'];
  /** Undefined: nobody else asks the upstreams. */
  readonly verdicts: UpstreamVerdictStore | undefined;
  /** Undefined: there are no other replicas. */
  readonly copies: SessionCopies | undefined;
  /** The gateway is about to stop. */
  isDraining(): boolean;
}

const DRAIN_RETRY_AFTER_MS = 2000;

export class Route implements RouteDoor {
  readonly prefix: string;
  readonly upstream: Upstream;
  readonly sessions: SessionManager<Bridge>;
  readonly logger: Logger;
  readonly stateless: StatelessTraffic;
  readonly lists: ListFilter;
  #rules: RouteRules;
  readonly #dependencies: RouteDependencies;
  readonly #metrics: RouteMetrics | undefined;

  constructor(
    options: UpstreamOptions,
    sessionOptions: SessionOptions,
    rules: RouteRules,
    dependencies: RouteDependencies,
  ) {
    this.prefix = options.prefix;
    this.#dependencies = dependencies;
    this.#metrics = dependencies.metrics?.route(options.prefix);
    this.logger = dependencies.logger.child({ route: options.prefix });
    this.upstream = new Upstream(options, {
      timers: dependencies.timers,
      clock: dependencies.clock,
      logger: this.logger,
      verdicts: dependencies.verdicts,
      get maxMessageBytes() {
        return dependencies.limits.upstreamMessageBytes;
      },
    });
    background(this.upstream.recallKind(), this.logger, 'recall_failed');
    this.sessions = new SessionManager(options.prefix, sessionOptions, dependencies);
    this.stateless = new StatelessTraffic(this);
    this.#rules = rules;
    this.lists = new ListFilter((seenBy, change) => this.#onPinChange(seenBy, change));
  }

  /** What rules over requests that come now. */
  get rules(): RouteRules {
    return this.#rules;
  }

  /** From here on requests are ruled by these; those under way keep the ones they came with. */
  applyRules(rules: RouteRules): void {
    this.#rules = rules;
    this.lists.catalog.forgetLists();
  }

  get timers(): TimerWheel {
    return this.#dependencies.timers;
  }

  get clock(): Clock {
    return this.#dependencies.clock;
  }

  /** Read it in the turn in which a request is received. */
  get requestClock(): RequestClock {
    return this.#dependencies.requestClock;
  }

  get admission(): Admission {
    return this.#dependencies.admission;
  }

  get streamOptions(): EventStreamOptions {
    return this.#dependencies.streamOptions;
  }

  open(kind: DownstreamKind, caller: Caller, returningVersion?: string): ClientSession {
    if (this.#dependencies.isDraining()) throw new OverloadedError('the gateway is stopping', DRAIN_RETRY_AFTER_MS);
    const session = this.sessions.open(kind, caller.principal, (record) => new Bridge(record, this));
    if (returningVersion !== undefined) session.returns(returningVersion);
    this.noteSession('session_open', session.record);
    return session;
  }

  admitStream(caller: Caller): undefined | Promise<undefined> {
    return takeForStream(this.#rules, caller);
  }

  get copies(): SessionCopies | undefined {
    return this.#dependencies.copies;
  }

  holds(id: string): boolean {
    return this.sessions.holds(id);
  }

  /**
   * Goes on with a session that this replica has taken over.
   *
   * @throws {SessionUnknownError} its time is up
   */
  continue(id: string, principal: Principal, epoch: number, state: SessionState, left: LeftSession): void {
    const { kind, openedAtMs, client } = state;
    const upstream = behindWhatWasHeard(state.upstream, left);
    const session = this.sessions.adopt(id, kind, principal, { openedAtMs, epoch }, (record) => {
      return new Bridge(record, this, { upstream, client, left });
    });
    this.noteSession('session_takeover', session.record);
  }

  resolve(id: string, kind: DownstreamKind, caller: Caller): ClientSession {
    return this.sessions.resolve(id, kind, caller.principal);
  }

  receiveStateless(message: Message, stream: StatelessStream | undefined, caller: Caller): void {
    if (!this.#dependencies.isDraining()) {
      this.stateless.receive(message, stream, caller);
      return;
    }
    const error = new OverloadedError('the gateway is stopping', DRAIN_RETRY_AFTER_MS, message.id);
    stream?.refuse(message.id ?? '', error);
    const timing = { arrivedAtMs: this.requestClock.arrivedAtMs, waitedMs: 0 };
    if (stream !== undefined) this.requestRefused(message.method ?? '', error, timing);
  }

  /** A request has had its last word; every one passes here, once. Times in milliseconds. */
  requestClosed(method: string, outcome: AuditOutcome, durationMs: number, overheadMs: number): void {
    this.#metrics?.requestEnded(method, outcome, durationMs, overheadMs);
  }

  /** The last word was said without an exchange. */
  requestAnsweredHere(method: string, outcome: AuditOutcome, timing: Timing): void {
    const durationMs = this.clock.now() - timing.arrivedAtMs;
    this.requestClosed(method, outcome, durationMs, durationMs - timing.waitedMs);
  }

  /** The last word was an error. */
  requestRefused(method: string, error: unknown, timing: Timing): void {
    const isLimit = error instanceof OverloadedError || error instanceof RateLimitedError;
    this.requestAnsweredHere(method, isLimit ? 'limited' : 'error', timing);
  }

  /** The gate said no. A limit says when to come back, a rule does not. */
  requestDenied(method: string, { hints }: Refusal, timing: Timing): void {
    this.requestAnsweredHere(method, hints?.retryAfterMs === undefined ? 'denied' : 'limited', timing);
  }

  noteSession(
    event: 'session_open' | 'session_resume' | 'session_takeover' | 'session_close',
    record: SessionRecord,
    reason?: string,
  ): void {
    const { audit } = this.#rules;
    if (audit === undefined) return;
    const { principal, label } = record;
    audit.record({
      event,
      route: this.prefix,
      principal: principal.id,
      role: principal.role ?? this.#rules.defaultRole,
      tenant: principal.tenant,
      session: label,
      reason,
    });
  }

  #onPinChange(rules: RouteRules, change: PinChange): void {
    const { tool, kind } = change;
    this.logger.warn('pin_change', `the definition of tool ${JSON.stringify(tool)} is not the one first seen`, {
      kind,
    });
    rules.audit?.record({ event: 'pin_change', route: this.prefix, tool, layer: 'pin', reason: kind });
  }

  async close(reason: string): Promise<void> {
    this.sessions.closeAll(reason);
    await this.upstream.close();
  }
}
