/** From configuration to the rules of each route. */
import type { AuditLog } from '../../audit/audit-log.js';
import type { GatewayConfig } from '../../config/config.js';
import type { Metrics } from '../../metrics/metrics.js';
import { compilePolicy } from '../../policy/compile.js';
import type { CompiledPolicy } from '../../policy/decision.js';
import { createToolPins, type PinStore } from '../../policy/tool-pins.js';
import { RateLimits } from '../../rate-limit/limiter.js';
import type { LimitStore } from '../../rate-limit/store.js';
import type { LocalFallback } from '../../rate-limit/store-failure.js';
import type { UpstreamOptions } from '../../upstream/options.js';
import type { RouteRules } from './rules.js';

/** What is counted, pinned and written down goes on when the configuration changes. */
export interface RuleStores {
  readonly limits: LimitStore;
  /** Where calls are counted while `limits` cannot. */
  readonly fallback: LocalFallback;
  readonly pins: PinStore;
  readonly audit: AuditLog | undefined;
}

export class RuleBuilder {
  readonly #policies: ReadonlyMap<string, CompiledPolicy>;
  readonly #limits: RateLimits;
  readonly #stores: RuleStores;
  readonly #metrics: Metrics | undefined;

  /** @param metrics Undefined: nobody counts. */
  constructor(config: GatewayConfig, stores: RuleStores, metrics: Metrics | undefined) {
    this.#stores = stores;
    this.#metrics = metrics;
    this.#policies = new Map(
      [...config.policies].map(([name, document]) => [name, compilePolicy(document, config.policyEnv)]),
    );
    this.#limits = new RateLimits(config.rateLimits, stores.limits, stores.fallback, metrics);
  }

  /** @param previous Rules of the same prefix that these take the place of. */
  build(upstream: UpstreamOptions, previous?: RouteRules): RouteRules {
    return {
      route: upstream.prefix,
      policy: upstream.policy === undefined ? undefined : this.#policies.get(upstream.policy),
      defaultRole: upstream.role,
      limits: this.#limits,
      pins: createToolPins(upstream.pins, this.#stores.pins, previous?.pins),
      expose: upstream.expose,
      audit: this.#stores.audit,
      decisions: this.#metrics?.route(upstream.prefix),
    };
  }
}
