/** Facts about the process: processor, memory, event loop, garbage. */
import { collectDefaultMetrics, Registry } from 'prom-client';

export const METRIC_PREFIX = 'mcp_gateway_';

let registry: Registry | undefined;

/** One for the process, however many gateways run in it: its observers start once and cannot be stopped. */
export function processMetrics(): Registry {
  if (registry === undefined) {
    registry = new Registry();
    collectDefaultMetrics({ register: registry, prefix: METRIC_PREFIX });
  }
  return registry;
}
