/** Why a policy decides as it does: every layer in order, for people and for `mcp-gateway explain`. */
import type {
  AccessRequest,
  CompiledPolicy,
  Decision,
  DecisionLayer,
  DecisionStep,
  SourcePosition,
} from './decision.js';

export interface Explanation {
  readonly decision: Decision;
  /** `FILE:LINE` of the deciding rule. */
  readonly source: string | undefined;
  /** What was looked at, in order; the layers after the deciding one are there as `not reached`. */
  readonly steps: readonly DecisionStep[];
}

const ORDER: readonly DecisionLayer[] = ['tool_rule', 'role', 'default'];

export function explain(policy: CompiledPolicy, request: AccessRequest): Explanation {
  const { decision, steps } = policy.trace(request);
  const all: DecisionStep[] = [];
  for (const layer of ORDER) {
    const ofLayer = steps.filter((step) => step.layer === layer);
    all.push(...(ofLayer.length > 0 ? ofLayer : [silent(layer, decision.layer)]));
  }
  return { decision, source: decision.source === undefined ? undefined : formatSource(decision.source), steps: all };
}

export function formatSource({ file, line }: SourcePosition): string {
  return `${file}:${line}`;
}

function silent(layer: DecisionLayer, deciding: DecisionLayer): DecisionStep {
  const isAfter = ORDER.indexOf(layer) > ORDER.indexOf(deciding);
  if (isAfter) return { layer, rule: 'default', verdict: 'not reached', reason: `decided by ${deciding}` };
  const reason = layer === 'role' ? 'no role rules on this' : 'no rule is about this';
  return { layer, rule: 'default', verdict: 'no match', reason };
}
