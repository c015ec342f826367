/** Compares what a conformance tool saw through the gateway with what it saw of the same server directly, and with what is known to fail. */
import type { Check } from './run-tool.js';

/** Worse from left to right. */
const GRADES: readonly Check['status'][] = ['SUCCESS', 'INFO', 'SKIPPED', 'WARNING', 'FAILURE'];

/** Checks the gateway worsens, each with the reason why that is right or not yet otherwise; keyed by run and name of the check. */
export type ExpectedFailures = ReadonlyMap<string, string>;

export interface Verdict {
  /** The gateway made something worse than it is. */
  readonly regressions: readonly string[];
  /** Expected to fail, and does not, or is no longer checked at all. */
  readonly stale: readonly string[];
}

export function judge(direct: readonly Check[], through: readonly Check[], expected: ExpectedFailures): Verdict {
  const worsened = worse(direct, through);
  return {
    regressions: [...worsened].filter(([name]) => !expected.has(name)).map(([name, how]) => `${name}: ${how}`),
    stale: [...expected.keys()].filter((name) => !worsened.has(name)),
  };
}

function worse(direct: readonly Check[], through: readonly Check[]): Map<string, string> {
  const seen = new Map(through.map((check) => [check.name, check]));
  const found = new Map<string, string>();
  for (const { name, status } of direct) {
    const check = seen.get(name);
    // What the tool notes on its way, such as requests it sent, differs in number when the gateway does better.
    if (status === 'INFO' && check === undefined) continue;
    if (check === undefined) found.set(name, `${status} directly, not checked through the gateway`);
    else if (GRADES.indexOf(check.status) > GRADES.indexOf(status)) {
      found.set(name, `${status} directly, ${check.status} through the gateway: ${check.error ?? 'no reason given'}`);
    }
  }
  return found;
}

export function count(checks: readonly Check[], status: Check['status']): number {
  return checks.filter((check) => check.status === status).length;
}
