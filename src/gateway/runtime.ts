/** From configuration to everything that serves it: built whole, disposed whole. The only place that makes the long-lived parts. */
import { isAuthConfigured } from '../auth/create-authenticator.js';
import { systemClock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import { TimerWheel } from '../core/timer-wheel.js';
import type { GatewayConfig } from '../config/config.js';
import { BufferBudget } from '../downstream/buffer-budget.js';
import type { Metrics } from '../metrics/metrics.js';
import type { RequestClock } from '../metrics/request-clock.js';
import { generateSealingKey, SessionIds } from '../session/session-id.js';
import { SessionQuota } from '../session/session-quota.js';
import { Admission } from './admission.js';
import { RuleBuilder, type RuleStores } from './build-rules.js';
import { Route } from './route.js';

export interface Runtime {
  readonly config: GatewayConfig;
  readonly routes: readonly Route[];
  readonly admission: Admission;
  dispose(reason: string): Promise<void>;
}

/** What outlives a runtime. */
export interface RuntimeDependencies {
  readonly stores: RuleStores;
  readonly logger: Logger;
  readonly replica: string;
  readonly requestClock: RequestClock;
  /** Undefined: nobody counts. */
  readonly metrics: Metrics | undefined;
  /** Asked before every new session. */
  isDraining(): boolean;
}

export function buildRuntime(config: GatewayConfig, outer: RuntimeDependencies): Runtime {
  const { limits, sessions } = config.server;
  const timers = new TimerWheel();
  const admission = new Admission(limits.inFlight);
  const dependencies = {
    logger: outer.logger,
    requestClock: outer.requestClock,
    metrics: outer.metrics,
    isDraining: () => outer.isDraining(),
    clock: systemClock,
    timers,
    admission,
    limits,
    ids: new SessionIds([generateSealingKey()], outer.replica),
    quota: new SessionQuota({ ...limits, bindsAnonymous: isAuthConfigured(config.auth) }),
    streamOptions: { timers, budget: new BufferBudget(limits.bufferBytes), bufferBytes: limits.streamBufferBytes },
  };
  const rules = new RuleBuilder(config, outer.stores);
  const routes = config.upstreams.map((upstream) => new Route(upstream, sessions, rules.build(upstream), dependencies));
  return {
    config,
    routes,
    admission,
    dispose: async (reason) => {
      await Promise.all(routes.map((route) => route.close(reason)));
    },
  };
}
