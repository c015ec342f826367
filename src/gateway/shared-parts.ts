/** What all routes share and no configuration replaces: counts, clocks and keys that sessions depend on. Bounds are read when they are needed, so that a new configuration only changes them here. */
import { isAuthConfigured } from '../auth/create-authenticator.js';
import type { GatewayConfig } from '../config/config.js';
import { systemClock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import { TimerWheel } from '../core/timer-wheel.js';
import { BufferBudget } from '../downstream/buffer-budget.js';
import type { EventStreamOptions } from '../downstream/event-stream.js';
import type { ServerLimits } from '../downstream/options.js';
import type { Metrics } from '../metrics/metrics.js';
import type { RequestClock } from '../metrics/request-clock.js';
import type { SessionOptions } from '../session/options.js';
import { generateSealingKey, type SealingKey, SessionIds } from '../session/session-id.js';
import { SessionQuota } from '../session/session-quota.js';
import type { UpstreamVerdictStore } from '../upstream/verdicts.js';
import { Admission } from './admission.js';
import type { RouteDependencies } from './route.js';
import type { SessionCopies } from './replicas/session-copies.js';

/** What replicas have in common. */
export interface ReplicatedParts {
  readonly copies: SessionCopies;
  readonly idKeys: readonly SealingKey[];
  readonly verdicts: UpstreamVerdictStore;
}

export interface SharedPartsContext {
  readonly logger: Logger;
  readonly replica: string;
  readonly requestClock: RequestClock;
  /** Undefined: nobody counts. */
  readonly metrics: Metrics | undefined;
  /** Of the configuration in force. */
  readonly sessionOptions: SessionOptions;
  /** Undefined: this replica is the only one. */
  readonly replication: ReplicatedParts | undefined;
  /** Asked before every new session. */
  isDraining(): boolean;
}

export class SharedParts implements RouteDependencies {
  readonly clock = systemClock;
  readonly timers = new TimerWheel();
  readonly limits: ServerLimits;
  readonly sessionOptions: SessionOptions;
  readonly admission: Admission;
  readonly ids: SessionIds;
  readonly quota: SessionQuota;
  readonly streamOptions: EventStreamOptions;
  readonly logger: Logger;
  readonly requestClock: RequestClock;
  readonly metrics: Metrics | undefined;
  readonly #budget: BufferBudget;
  readonly #quotaOptions: { sessions: number; sessionsPerPrincipal: number; bindsAnonymous: boolean };
  readonly #context: SharedPartsContext;

  constructor(config: GatewayConfig, context: SharedPartsContext) {
    const { limits } = config.server;
    this.#context = context;
    this.logger = context.logger;
    this.requestClock = context.requestClock;
    this.metrics = context.metrics;
    this.limits = { ...limits };
    this.sessionOptions = context.sessionOptions;
    this.admission = new Admission(this.limits);
    this.ids = new SessionIds(context.replication?.idKeys ?? [generateSealingKey()], context.replica);
    this.#quotaOptions = quotaOptions(config);
    this.quota = new SessionQuota(this.#quotaOptions);
    this.#budget = new BufferBudget(limits.bufferBytes);
    this.streamOptions = liveStreamOptions(this.limits, this.#budget, this.timers);
  }

  get verdicts(): UpstreamVerdictStore | undefined {
    return this.#context.replication?.verdicts;
  }

  get copies(): SessionCopies | undefined {
    return this.#context.replication?.copies;
  }

  isDraining(): boolean {
    return this.#context.isDraining();
  }

  /** From here on the bounds of this configuration hold; what is open already stays open. */
  adopt(config: GatewayConfig): void {
    Object.assign(this.limits, config.server.limits);
    Object.assign(this.sessionOptions, config.server.sessions);
    Object.assign(this.#quotaOptions, quotaOptions(config));
    this.#budget.resize(config.server.limits.bufferBytes);
  }
}

function quotaOptions({ server, auth }: GatewayConfig) {
  const { sessions, sessionsPerPrincipal } = server.limits;
  return { sessions, sessionsPerPrincipal, bindsAnonymous: isAuthConfigured(auth) };
}

function liveStreamOptions(limits: ServerLimits, budget: BufferBudget, timers: TimerWheel): EventStreamOptions {
  return {
    timers,
    budget,
    get bufferBytes() {
      return limits.streamBufferBytes;
    },
  };
}
