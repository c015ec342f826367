/** What rules over one route at one moment: taken whole by a request and swapped whole on reload, so that no request sees a mix. */
import type { AuditLog } from '../../audit/audit-log.js';
import type { CompiledPolicy } from '../../policy/decision.js';
import type { ToolPins } from '../../policy/tool-pins.js';
import type { RouteMetrics } from '../../metrics/route-metrics.js';
import type { RateLimits } from '../../rate-limit/limiter.js';

export interface ExposedFamilies {
  readonly tools: boolean;
  readonly resources: boolean;
  readonly prompts: boolean;
}

export interface RouteRules {
  readonly route: string;
  /** Undefined: every method of the protocol passes. */
  readonly policy: CompiledPolicy | undefined;
  /** Role of callers that authentication gave none. */
  readonly defaultRole: string | undefined;
  readonly limits: RateLimits | undefined;
  readonly pins: ToolPins;
  readonly expose: ExposedFamilies;
  readonly audit: AuditLog | undefined;
  /** Where decisions are counted; undefined: nowhere. */
  readonly decisions: Pick<RouteMetrics, 'decided'> | undefined;
}

/** Nothing to decide, to count or to write down: the request need not be looked at any further. */
export function isUngoverned(rules: RouteRules): boolean {
  return rules.policy === undefined && rules.audit === undefined && rules.limits?.hasLimits !== true;
}
