/** From configuration to everything that serves it: built whole, disposed whole. The only place that makes the long-lived parts. */
import { systemClock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import { TimerWheel } from '../core/timer-wheel.js';
import type { GatewayConfig } from '../config/config.js';
import { BufferBudget } from '../downstream/buffer-budget.js';
import { generateSealingKey, SessionIds } from '../session/session-id.js';
import { SessionQuota } from '../session/session-quota.js';
import { Admission } from './admission.js';
import { Route } from './route.js';

export interface Runtime {
  readonly config: GatewayConfig;
  readonly routes: readonly Route[];
  readonly admission: Admission;
  dispose(reason: string): Promise<void>;
}

/** @param isDraining Asked before every new session. */
export function buildRuntime(
  config: GatewayConfig,
  logger: Logger,
  replica: string,
  isDraining: () => boolean,
): Runtime {
  const { limits, sessions } = config.server;
  const timers = new TimerWheel();
  const admission = new Admission(limits.inFlight);
  const dependencies = {
    logger,
    clock: systemClock,
    timers,
    admission,
    limits,
    isDraining,
    ids: new SessionIds([generateSealingKey()], replica),
    quota: new SessionQuota(limits),
    streamOptions: { timers, budget: new BufferBudget(limits.bufferBytes), bufferBytes: limits.streamBufferBytes },
  };
  const routes = config.upstreams.map((upstream) => new Route(upstream, sessions, dependencies));
  return {
    config,
    routes,
    admission,
    dispose: async (reason) => {
      await Promise.all(routes.map((route) => route.close(reason)));
    },
  };
}
