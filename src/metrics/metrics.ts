/** Everything `/metrics` says. Outlives a change of configuration, so that counters only ever grow. */
import { Counter, Gauge, Registry } from 'prom-client';
import { VERSION } from '../core/version.js';
import type { DownstreamKind } from '../protocol/transport.js';
import { METRIC_PREFIX, processMetrics } from './process-metrics.js';
import { registerRequestMetrics } from './request-metrics.js';
import { RouteMetrics } from './route-metrics.js';

/** How a route is at the moment somebody asks. */
export interface RouteFacts {
  readonly route: string;
  /** Open client sessions by transport; every transport is named. */
  readonly sessions: Readonly<Record<DownstreamKind, number>>;
  /** Undefined until it was tried. */
  readonly isUpstreamUp: boolean | undefined;
  readonly breaker: keyof typeof BREAKER_VALUES;
}

/** What else is asked at the moment somebody reads. */
export interface GatewayFacts {
  /** Names of the limits of the configuration in force: they are shown before they refuse anything. */
  readonly limits?: () => readonly string[];
  /** Records made for the audit trail since the start; undefined where there is none. */
  readonly auditRecords?: (() => number) | undefined;
}

export interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

const BREAKER_VALUES = { closed: 0, 'half-open': 1, open: 2 } as const;

export class Metrics {
  readonly #registry = new Registry();
  readonly #routes = new Map<string, RouteMetrics>();
  /** Plain numbers: each forwarded request is counted. */
  readonly #forwarded = { in: 0, out: 0 };
  readonly #takeovers: Counter;
  /** Refusals by the name of the limit, which is one of the configuration or of a policy. */
  readonly #limited = new Map<string, number>();
  readonly #decidedWithoutStore = new Map<string, number>();
  #isConfigCurrent = true;

  /** @param routeFacts Asked whenever somebody reads. */
  constructor(routeFacts: () => readonly RouteFacts[], { limits, auditRecords }: GatewayFacts = {}) {
    registerRequestMetrics(this.#registry, () => this.#routes.values());
    const refusedHelp = 'Requests refused because a limit was exceeded, by the name of the limit.';
    this.#registerByLimit('rate_limited_total', refusedHelp, this.#limited, limits);
    const failedHelp = 'Requests that the shared store did not count for a limit, so that its onStoreFailure decided.';
    this.#registerByLimit('rate_limit_store_failures_total', failedHelp, this.#decidedWithoutStore, limits);
    if (auditRecords !== undefined) this.#registerAudit(auditRecords);
    this.#registerRouteGauges(routeFacts);
    this.#registerConstants();
    this.#registerForwarded();
    this.#takeovers = new Counter({
      name: `${METRIC_PREFIX}session_takeovers_total`,
      help: 'Sessions of other replicas that this one went on with.',
      registers: [this.#registry],
    });
    processMetrics();
  }

  forwarded(direction: 'in' | 'out'): void {
    this.#forwarded[direction] += 1;
  }

  sessionTaken(): void {
    this.#takeovers.inc();
  }

  /** A limit refused a request. */
  limited(limit: string): void {
    countOne(this.#limited, limit);
  }

  /** The shared store did not count a request for a limit: its `onStoreFailure` decided. */
  decidedWithoutStore(limit: string): void {
    countOne(this.#decidedWithoutStore, limit);
  }

  /** Where the requests of a route are counted; the same for the same name. */
  route(name: string): RouteMetrics {
    let metrics = this.#routes.get(name);
    if (metrics === undefined) {
      metrics = new RouteMetrics(name);
      this.#routes.set(name, metrics);
    }
    return metrics;
  }

  /** @param isCurrent Whether the configuration that was read last came into force. */
  configRead(isCurrent: boolean): void {
    this.#isConfigCurrent = isCurrent;
  }

  async expose(): Promise<Exposition> {
    const [own, ofProcess] = await Promise.all([this.#registry.metrics(), processMetrics().metrics()]);
    return { contentType: this.#registry.contentType, text: `${own}\n${ofProcess}` };
  }

  /** @param configured Names of limits that are shown before anything is counted. */
  #registerByLimit(
    name: string,
    help: string,
    counts: ReadonlyMap<string, number>,
    configured: () => readonly string[] = () => [],
  ): void {
    const counter = new Counter({
      name: METRIC_PREFIX + name,
      help,
      labelNames: ['limit'] as const,
      registers: [this.#registry],
      collect: () => {
        counter.reset();
        for (const limit of configured()) counter.inc({ limit }, 0);
        for (const [limit, count] of counts) counter.inc({ limit }, count);
      },
    });
  }

  #registerForwarded(): void {
    const counter = new Counter({
      name: `${METRIC_PREFIX}forwarded_total`,
      help: 'Requests passed on to other replicas (out), and taken from them (in).',
      labelNames: ['direction'] as const,
      registers: [this.#registry],
      collect: () => {
        counter.reset();
        for (const direction of ['in', 'out'] as const) counter.inc({ direction }, this.#forwarded[direction]);
      },
    });
  }

  #registerAudit(records: () => number): void {
    const counter = new Counter({
      name: `${METRIC_PREFIX}audit_records_total`,
      help: 'Records made for the audit trail.',
      registers: [this.#registry],
      collect: () => {
        counter.reset();
        counter.inc(records());
      },
    });
  }

  #registerRouteGauges(routeFacts: () => readonly RouteFacts[]): void {
    this.#gauge('active_sessions', 'Open sessions of clients.', ['route', 'transport'], (gauge) => {
      for (const { route, sessions } of routeFacts()) {
        for (const [transport, count] of Object.entries(sessions)) gauge.set({ route, transport }, count);
      }
    });
    const upHelp = 'Whether the last attempt to reach the upstream worked; absent before the first.';
    this.#gauge('upstream_up', upHelp, ['route'], (gauge) => {
      for (const { route, isUpstreamUp } of routeFacts()) {
        if (isUpstreamUp !== undefined) gauge.set({ route }, isUpstreamUp ? 1 : 0);
      }
    });
    this.#gauge('breaker_state', 'Circuit breaker: 0 closed, 1 half-open, 2 open.', ['route'], (gauge) => {
      for (const { route, breaker } of routeFacts()) gauge.set({ route }, BREAKER_VALUES[breaker]);
    });
  }

  #registerConstants(): void {
    this.#gauge('build_info', 'Always 1; the version is a label.', ['version'], (gauge) =>
      gauge.set({ version: VERSION }, 1),
    );
    const reloadHelp = 'Whether the configuration that was read last is the one in force.';
    this.#gauge('config_last_reload_success', reloadHelp, [], (gauge) => gauge.set(this.#isConfigCurrent ? 1 : 0));
  }

  /** @param fill Sets what holds now; what held before is forgotten, or routes that are gone would stay. */
  #gauge<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    fill: (gauge: Gauge<L>) => void,
  ): void {
    const gauge: Gauge<L> = new Gauge({
      name: METRIC_PREFIX + name,
      help,
      labelNames,
      registers: [this.#registry],
      collect: () => {
        gauge.reset();
        fill(gauge);
      },
    });
  }
}

function countOne(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
