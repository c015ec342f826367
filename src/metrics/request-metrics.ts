/** Puts the plain numbers of `RouteMetrics` into the form the metrics library writes. */
import { Counter, type Histogram, type Registry } from 'prom-client';
import type { AuditOutcome } from '../audit/event.js';
import type { Buckets } from './buckets.js';
import { METRIC_PREFIX } from './process-metrics.js';
import type { MethodSeries, RouteMetrics } from './route-metrics.js';

type AllRoutes = () => Iterable<RouteMetrics>;
type AllSeries = () => readonly MethodSeries[];

/** Registers what there is to say about requests; `allRoutes` is asked whenever somebody reads. */
export function registerRequestMetrics(registry: Registry, allRoutes: AllRoutes): void {
  const allSeries = (): MethodSeries[] => [...allRoutes()].flatMap(({ series }) => [...series]);
  registerDecisionCounter(registry, allRoutes);
  registerRequestCounter(registry, allSeries);
  registerHistogram(registry, {
    name: 'request_duration_seconds',
    help: 'From the request read to the answer handed to the client.',
    samples: () => allSeries().map(({ labels, duration }) => [labels, duration]),
  });
  registerHistogram(registry, {
    name: 'overhead_duration_seconds',
    help: 'The part of the request duration that the gateway itself took, not waiting for the upstream.',
    samples: () => allSeries().map(({ labels, overhead }) => [labels, overhead]),
  });
}

function registerRequestCounter(registry: Registry, allSeries: AllSeries): void {
  const counter = new Counter({
    name: `${METRIC_PREFIX}requests_total`,
    help: 'Requests of clients, by outcome.',
    labelNames: ['route', 'method', 'outcome'] as const,
    registers: [registry],
    collect: () => {
      counter.reset();
      for (const { labels, requests } of allSeries()) {
        for (const [outcome, count] of Object.entries(requests) as [AuditOutcome, number][]) {
          if (count > 0) counter.inc({ ...labels, outcome }, count);
        }
      }
    },
  });
}

function registerDecisionCounter(registry: Registry, allRoutes: AllRoutes): void {
  const counter = new Counter({
    name: `${METRIC_PREFIX}policy_decisions_total`,
    help: 'Decisions about requests of clients, by what happened and which part of the rules said so.',
    labelNames: ['route', 'effect', 'layer'] as const,
    registers: [registry],
    collect: () => {
      counter.reset();
      for (const { route, decisions } of allRoutes()) {
        for (const [effect, byLayer] of Object.entries(decisions)) {
          for (const [layer, count] of Object.entries(byLayer)) {
            if (count > 0) counter.inc({ route, effect, layer }, count);
          }
        }
      }
    },
  });
}

type Labels = MethodSeries['labels'];

interface HistogramSource {
  readonly name: string;
  readonly help: string;
  readonly samples: () => [Labels, Buckets][];
}

/** The registry asks its metrics for nothing but a name and `get`; the library's own histogram cannot be set to what was counted elsewhere. */
function registerHistogram(registry: Registry, { name, help, samples }: HistogramSource): void {
  const fullName = METRIC_PREFIX + name;
  const get = async (): Promise<unknown> => {
    const values = samples().flatMap(([labels, buckets]) => samplesOf(fullName, labels, buckets));
    return { name: fullName, help, type: 'histogram', aggregator: 'sum', values };
  };
  registry.registerMetric({ name: fullName, get } as unknown as Histogram);
}

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

function samplesOf(name: string, labels: Labels, buckets: Buckets): Sample[] {
  const cumulative = buckets.cumulative();
  const total = cumulative.at(-1) ?? 0;
  return [
    ...cumulative.map((value, index) => {
      const boundMs = buckets.boundsMs[index];
      return {
        metricName: `${name}_bucket`,
        labels: { ...labels, le: boundMs === undefined ? '+Inf' : boundMs / 1000 },
        value,
      };
    }),
    { metricName: `${name}_sum`, labels, value: buckets.sumMs / 1000 },
    { metricName: `${name}_count`, labels, value: total },
  ];
}
