/** `explain`: which layer and rule decide about one call, and everything that was looked at on the way; exit 1 on deny. */
import type { GatewayConfig } from '../../config/config.js';
import { loadConfig } from '../../config/load.js';
import { didYouMean } from '../../config/suggest.js';
import { describeError } from '../../core/errors.js';
import { escapeUnsafe } from '../../core/log-format.js';
import type { Decision, DecisionStep, SourcePosition } from '../../policy/decision.js';
import type { PolicyDocument } from '../../policy/document.js';
import { explain as explainPolicy, formatSource } from '../../policy/explain.js';
import { EXIT, UsageError } from '../exit-codes.js';
import type { Io } from '../io.js';
import { accessRequest, hiddenBy, type RouteRules, rulesOf } from '../route-rules.js';

export interface ExplainOptions {
  config?: string;
  route: string;
  tool: string;
  role?: string;
  tenant?: string;
  args?: string;
  json?: boolean;
}

interface Answer {
  decision: Pick<Decision, 'effect' | 'layer' | 'rule' | 'reason' | 'error'>;
  source: SourcePosition | undefined;
  steps: readonly DecisionStep[];
}

/** @throws {UsageError} the route is not in the configuration, or the arguments are no JSON object */
export async function explain(options: ExplainOptions, io: Io): Promise<number> {
  const args = parseArguments(options.args);
  const config = await loadConfig({ file: options.config, env: io.env, cwd: io.cwd, stdin: io.stdin });
  const rules = findRoute(config, options.route);
  const role = options.role ?? rules.role;
  const answer = ask(rules, options, role, args);
  io.out(options.json === true ? json(answer, rules, options, role) : text(answer, rules, options, role));
  return answer.decision.effect === 'allow' ? EXIT.ok : EXIT.no;
}

function parseArguments(written: string | undefined): unknown {
  if (written === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(written);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (error) {
    throw new UsageError(`--args is no JSON: ${describeError(error)}`);
  }
  throw new UsageError('--args is a JSON object, such as {"to":"+44"}');
}

function findRoute(config: GatewayConfig, route: string): RouteRules {
  const routes = rulesOf(config);
  const rules = routes.get(route.replace(/^\//, ''));
  if (rules !== undefined) return rules;
  const known = [...routes.keys()];
  throw new UsageError(
    `there is no route "${route}" (${didYouMean(route, known) ?? `there are: ${known.join(', ')}`})`,
  );
}

function ask(rules: RouteRules, { tool, tenant }: ExplainOptions, role: string | undefined, args: unknown): Answer {
  const hidden = hiddenBy(rules, 'tool');
  if (hidden !== undefined) return plain('deny', 'method', hidden, 'the route exposes no tools');
  const { policy, document } = rules;
  if (policy === undefined || document === undefined)
    return plain('allow', 'default', 'default', 'the route has no policy: every method passes');
  const question = { kind: 'tool', name: tool, principal: 'explain', role, tenant, args, nowMs: Date.now() } as const;
  const { decision, steps } = explainPolicy(policy, accessRequest(rules, question));
  return { decision, steps, source: decision.source ?? nearestSource(document, role, tenant) };
}

function plain(effect: Decision['effect'], layer: Decision['layer'], rule: string, reason: string): Answer {
  return { decision: { effect, layer, rule, reason }, source: undefined, steps: [] };
}

/** Where to look when no entry decided: at the list of the role that does not name the tool, else at the default. */
function nearestSource(document: PolicyDocument, role: string | undefined, tenant: string | undefined): SourcePosition {
  const overlay = tenant === undefined ? undefined : document.tenants.get(tenant)?.get(role ?? '');
  const lists = [overlay, document.roles.get(role ?? '')].flatMap((each) => each?.access.tool.allow ?? []);
  return lists[0]?.source ?? document.defaultSource;
}

function json(answer: Answer, rules: RouteRules, options: ExplainOptions, role: string | undefined): string {
  const { effect, layer, rule, reason } = answer.decision;
  const explained = {
    effect,
    layer,
    rule,
    reason,
    policy: rules.policy?.name ?? null,
    policyHash: rules.policy?.hash ?? null,
    // Nothing was decided for anybody, so there is no record to find.
    decisionId: null,
    route: rules.prefix,
    tool: options.tool,
    role: role ?? null,
    tenant: options.tenant ?? null,
    source: answer.source === undefined ? null : formatSource(answer.source),
  };
  return `${JSON.stringify(explained, undefined, 2)}\n`;
}

function text(answer: Answer, rules: RouteRules, options: ExplainOptions, role: string | undefined): string {
  const { effect, layer, rule, reason, error } = answer.decision;
  const { policy, prefix } = rules;
  const lines = [
    `${effect}${deciding(layer, rule)}${at(answer.source)}`,
    `  ${reason}${error === undefined ? '' : `: ${error}`}`,
    `  route ${prefix}, tool ${options.tool}, role ${role ?? '-'}, tenant ${options.tenant ?? '-'}`,
  ];
  if (policy !== undefined) lines.push(`  policy "${policy.name}", hash ${policy.hash}`);
  if (policy?.mode === 'shadow') lines.push('  mode: shadow - this is recorded, and the call passes all the same');
  for (const [index, step] of answer.steps.entries()) {
    lines.push(`  ${index + 1}. ${place(step.layer, step.rule)}: ${step.verdict}, ${step.reason}${at(step.source)}`);
  }
  const limits = policy?.toolLimits(options.tool, role, options.tenant) ?? [];
  if (effect === 'allow' && limits.length > 0) {
    lines.push(`  limits of such a call: ${limits.map(({ name, limit }) => `${name} ${limit}`).join(', ')}`);
  }
  return `${lines.map(escapeUnsafe).join('\n')}\n`;
}

/** A decision that no rule made is that of a default: of the policy, or of a role that names neither tool nor anything like it. */
function deciding(layer: string, rule: string): string {
  if (rule !== 'default') return `: ${layer} ${rule}`;
  return layer === 'default' ? ' by default' : ` by default of the ${layer}`;
}

/** What was looked at: a rule, or a layer in which none was found. */
function place(layer: string, rule: string): string {
  return rule === 'default' ? layer : `${layer} ${rule}`;
}

function at(source: SourcePosition | undefined): string {
  return source === undefined ? '' : ` (${formatSource(source)})`;
}
