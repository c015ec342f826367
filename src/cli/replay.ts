/**
 * Decides recorded requests anew under another configuration. Where the trail does not hold what a rule reads, there is
 * no answer, and none is made up.
 */
import type { CompiledPolicy, Effect } from '../policy/decision.js';
import type { PolicyDocument, ToolRule } from '../policy/document.js';
import { type DecisionRecord, isCut } from './decision-records.js';
import { accessRequest, hiddenBy, type RouteRules } from './route-rules.js';

export type Replayed =
  | { readonly kind: 'decided'; readonly effect: Effect; readonly rule: string }
  | { readonly kind: 'undecidable'; readonly why: string };

/** Limits are counted and pins are remembered: neither follows from the configuration. */
const NOT_OF_RULES: ReadonlyMap<string, string> = new Map([
  ['rate_limit', 'it was refused by a limit, before any rule'],
  ['pin', 'it was refused because the tool had changed'],
]);

/** @param rules of the route that the record names; undefined when the configuration has none of that name */
export function replay(record: DecisionRecord, rules: RouteRules | undefined): Replayed {
  if (rules === undefined) return { kind: 'decided', effect: 'deny', rule: 'no such route' };
  const hidden = hiddenBy(rules, record.kind);
  if (hidden !== undefined) return { kind: 'decided', effect: 'deny', rule: hidden };
  const why = NOT_OF_RULES.get(record.layer);
  if (why !== undefined) return { kind: 'undecidable', why };
  const { policy, document } = rules;
  if (policy === undefined || document === undefined) return { kind: 'decided', effect: 'allow', rule: 'default' };
  if (policy.mode === 'shadow') return { kind: 'decided', effect: 'allow', rule: 'mode: shadow' };
  if (isCut(record.tool)) return { kind: 'undecidable', why: 'its name is not in the trail whole' };
  return decide(record, rules, policy, document);
}

function decide(record: DecisionRecord, rules: RouteRules, policy: CompiledPolicy, document: PolicyDocument): Replayed {
  const { kind, tool, atMs } = record;
  const request = accessRequest(rules, { ...record, name: tool, nowMs: atMs });
  const decision = policy.decide(request);
  const decided: Replayed = { kind: 'decided', effect: decision.effect, rule: decision.rule };
  if (kind !== 'tool') return decided;
  const matching = document.tools.filter((rule) => rule.match.matches(tool) && !rule.alwaysDenies);
  const blind = new Set(matching.filter(readsCaller).map((rule) => rule.rule));
  // Rules only ever deny, so a denial by one that was fully answered stands, whatever the others would have said.
  const isSure = decision.effect === 'deny' && decision.violation === undefined;
  if (blind.size > 0 && !isSure) return { kind: 'undecidable', why: needs(blind, 'claims, headers or addresses') };
  if (record.args !== undefined || !policy.needsArguments(tool) || isSure) return decided;
  // The arguments are not known, but a list entry that may not even be seen is denied with any.
  if (blind.size === 0 && !policy.isListed(request)) return decided;
  return {
    kind: 'undecidable',
    why: needs(new Set(matching.filter(readsArguments).map((rule) => rule.rule)), 'arguments'),
  };
}

function readsCaller({ when }: ToolRule): boolean {
  return when?.uses.claims === true || when?.uses.request === true;
}

function readsArguments(rule: ToolRule): boolean {
  return rule.arguments !== undefined || rule.when?.uses.args === true;
}

function needs(rules: ReadonlySet<string>, what: string): string {
  return `${[...rules].join(', ')} reads ${what}, which the trail does not hold`;
}
