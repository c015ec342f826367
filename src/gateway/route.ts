/** One prefix: its upstream, its sessions, and the door clients come in by. */
import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import type { TimerWheel } from '../core/timer-wheel.js';
import type { Caller, ClientSession, RouteDoor, StatelessStream } from '../downstream/client-session.js';
import type { EventStreamOptions } from '../downstream/event-stream.js';
import type { ListenerOptions } from '../downstream/options.js';
import type { Message } from '../protocol/message.js';
import { OverloadedError } from '../protocol/session-errors.js';
import type { DownstreamKind } from '../protocol/transport.js';
import type { SessionOptions } from '../session/options.js';
import { SessionManager, type SessionManagerDependencies } from '../session/session-manager.js';
import type { UpstreamOptions } from '../upstream/options.js';
import { Upstream } from '../upstream/upstream.js';
import type { Admission } from './admission.js';
import { Bridge } from './bridge.js';
import { StatelessTraffic } from './stateless.js';

/** What all routes share. */
export interface RouteDependencies extends SessionManagerDependencies {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly admission: Admission;
  readonly streamOptions: EventStreamOptions;
  readonly limits: ListenerOptions['limits'];
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
  readonly #dependencies: RouteDependencies;

  constructor(options: UpstreamOptions, sessionOptions: SessionOptions, dependencies: RouteDependencies) {
    this.prefix = options.prefix;
    this.#dependencies = dependencies;
    this.logger = dependencies.logger.child({ route: options.prefix });
    this.upstream = new Upstream(options, {
      timers: dependencies.timers,
      clock: dependencies.clock,
      logger: this.logger,
      maxMessageBytes: dependencies.limits.upstreamMessageBytes,
    });
    this.sessions = new SessionManager(options.prefix, sessionOptions, dependencies);
    this.stateless = new StatelessTraffic(this);
  }

  get timers(): TimerWheel {
    return this.#dependencies.timers;
  }

  get clock(): Clock {
    return this.#dependencies.clock;
  }

  get admission(): Admission {
    return this.#dependencies.admission;
  }

  get streamOptions(): EventStreamOptions {
    return this.#dependencies.streamOptions;
  }

  open(kind: DownstreamKind, caller: Caller): ClientSession {
    if (this.#dependencies.isDraining()) throw new OverloadedError('the gateway is stopping', DRAIN_RETRY_AFTER_MS);
    return this.sessions.open(kind, caller.principal, (record) => new Bridge(record, this));
  }

  resolve(id: string, kind: DownstreamKind, caller: Caller): ClientSession {
    return this.sessions.resolve(id, kind, caller.principal);
  }

  receiveStateless(message: Message, stream: StatelessStream | undefined, caller: Caller): void {
    if (this.#dependencies.isDraining())
      stream?.refuse(message.id ?? '', new OverloadedError('the gateway is stopping', DRAIN_RETRY_AFTER_MS, message.id));
    else this.stateless.receive(message, stream, caller);
  }

  async close(reason: string): Promise<void> {
    this.sessions.closeAll(reason);
    await this.upstream.close();
  }
}
