/** Requests of one route, by method and outcome, and what the rules said of them: counted in plain numbers while they pass, read when somebody asks. */
import type { AuditOutcome } from '../audit/event.js';
import type { DecisionLayer, Effect } from '../policy/decision.js';
import { isClientRequest } from '../protocol/methods.js';
import { Buckets } from './buckets.js';

/** Clients invent method names; no more series than the protocol has methods. */
const OTHER_METHOD = 'other';

const DURATION_BOUNDS_MS: readonly number[] = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000,
];
const OVERHEAD_BOUNDS_MS: readonly number[] = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1000];

/** What is known of one method on one route. */
export class MethodSeries {
  readonly labels: { readonly route: string; readonly method: string };
  readonly requests: Record<AuditOutcome, number> = {
    ok: 0,
    error: 0,
    denied: 0,
    limited: 0,
    upstream_failed: 0,
    timeout: 0,
    cancelled: 0,
  };
  readonly duration = new Buckets(DURATION_BOUNDS_MS);
  readonly overhead = new Buckets(OVERHEAD_BOUNDS_MS);

  constructor(route: string, method: string) {
    this.labels = { route, method };
  }
}

/** A row of plain numbers per effect: counting one decision is an addition. */
function noDecisions(): Record<DecisionLayer, number> {
  return { rate_limit: 0, tool_rule: 0, role: 0, default: 0, pin: 0, method: 0 };
}

export class RouteMetrics {
  readonly route: string;
  readonly decisions: Readonly<Record<Effect, Record<DecisionLayer, number>>> = {
    allow: noDecisions(),
    deny: noDecisions(),
  };
  readonly #byMethod = new Map<string, MethodSeries>();

  constructor(route: string) {
    this.route = route;
  }

  get series(): Iterable<MethodSeries> {
    return this.#byMethod.values();
  }

  /** Counts one decision: what happened, and which part of the rules said so. */
  decided(effect: Effect, layer: DecisionLayer): void {
    this.decisions[effect][layer] += 1;
  }

  /**
   * Counts one request that has had its last word.
   *
   * @param durationMs From its last byte read to its answer handed to the socket, in milliseconds.
   * @param overheadMs The part of it that the gateway itself took.
   */
  requestEnded(method: string, outcome: AuditOutcome, durationMs: number, overheadMs: number): void {
    const series = this.#byMethod.get(method) ?? this.#bind(method);
    series.requests[outcome] += 1;
    series.duration.observe(durationMs);
    series.overhead.observe(overheadMs);
  }

  #bind(method: string): MethodSeries {
    const label = isClientRequest(method) ? method : OTHER_METHOD;
    let series = this.#byMethod.get(label);
    if (series === undefined) {
      series = new MethodSeries(this.route, label);
      this.#byMethod.set(label, series);
    }
    return series;
  }
}
