import { parseConfig, type ConfigContext } from '../../../src/config/load.js';
import type { GatewayConfig } from '../../../src/config/config.js';
import { ConfigError, formatProblem, type Problem } from '../../../src/config/problem.js';

export const ONE = 'upstreams: [https://mcp.sumit.com/sms/sse]\n';

/** The warning that upstreams without a policy get. */
export function unguarded(...prefixes: string[]): string {
  return `without a policy, every method passes: ${prefixes.join(', ')}`;
}

/** Loads a text as `g.yaml`, by default in an empty environment. */
export function load(text: string, context: ConfigContext = {}): GatewayConfig {
  return parseConfig(text, 'g.yaml', { env: {}, cwd: '/nonexistent', ...context });
}

export function problemsOf(text: string, context: ConfigContext = {}): readonly Problem[] {
  try {
    load(text, context);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

/** Problems as a user reads them. */
export function lines(text: string, context: ConfigContext = {}): string[] {
  return problemsOf(text, context).map(formatProblem);
}
