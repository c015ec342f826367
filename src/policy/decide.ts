/**
 * Decides: tool rules, then the role, then the global default. One walk serves calls, lists and explanations, so they
 * cannot disagree. Request limits are not decided here, because deciding is pure and limits are taken.
 */
import { type DecisionMaker, fallbackOf, type KindAccess, type RoleAccess } from './access.js';
import { CallArguments } from './call-arguments.js';
import type { ConditionUses } from './condition-variables.js';
import type { ConditionResult } from './conditions.js';
import type {
  AccessKind,
  AccessRequest,
  CompiledPolicy,
  Decision,
  DecisionStep,
  ListingDependencies,
  PolicyLimit,
} from './decision.js';
import type { PolicyDocument, ToolRule } from './document.js';
import { NameMemo } from './name-memo.js';
import { RuleIndex } from './rule-index.js';
import type { Glob } from './globs.js';
import { isValidUnicode } from './text.js';

export interface DeciderParts {
  readonly document: PolicyDocument;
  readonly env: ReadonlyMap<string, string>;
  readonly maker: DecisionMaker;
  readonly roles: ReadonlyMap<string, RoleAccess>;
  readonly tenants: ReadonlyMap<string, ReadonlyMap<string, RoleAccess>>;
  /** Version 1.0: the lists that hold for every caller. */
  readonly everyone: KindAccess | undefined;
}

/** Tools, prompts and resources together. */
const MAX_KNOWN_NAMES = 2000;
/** Roles of tenants, per name. */
const MAX_KNOWN_VERDICTS = 20;

/** What follows from a name alone. */
interface NameFacts {
  readonly isValid: boolean;
  /** The tool rules that are about it, in order. */
  readonly rules: readonly CompiledToolRule[];
  /** What the lists say. */
  readonly verdicts: Map<KindAccess, Decision>;
}

type Note = (step: DecisionStep) => void;
/** Undefined: a list is filtered, and what depends on arguments is left open. */
type Arguments = CallArguments | undefined;

const NO_LIMITS: readonly PolicyLimit[] = [];
const NO_DEPENDENCIES: ListingDependencies = { caller: false, request: false, time: false };

export class PolicyDecider implements CompiledPolicy {
  readonly name: string;
  readonly version: '1.0' | '2.0';
  readonly hash: string;
  readonly mode: 'enforce' | 'shadow';
  readonly denials: 'explain' | 'hide';
  readonly roles: readonly string[];
  readonly #parts: DeciderParts;
  readonly #rules: readonly CompiledToolRule[];
  readonly #names: NameMemo<NameFacts>;
  readonly #toolListing: ListingDependencies;
  readonly #hasLimits: boolean;
  readonly #notGoverned: Decision;
  readonly #invalidName: Decision;
  readonly #noRole: Decision;
  readonly #unknownRole: Decision;

  constructor(parts: DeciderParts) {
    const { document, maker } = parts;
    this.name = document.name;
    this.version = document.version;
    this.hash = document.hash;
    this.mode = document.mode;
    this.denials = document.denials;
    this.roles = [
      ...new Set([...parts.roles.keys(), ...[...parts.tenants.values()].flatMap((table) => [...table.keys()])]),
    ];
    this.#parts = parts;
    this.#rules = document.tools.map((rule) => new CompiledToolRule(rule, maker, parts.env));
    this.#names = knownNames(this.#rules);
    this.#toolListing = listingDependencies(document.tools);
    this.#hasLimits = hasLimits(parts);
    this.#notGoverned = maker.make('allow', 'default', 'default', 'version 1.0 rules on tools only');
    this.#invalidName = maker.make('deny', 'default', 'default', 'the name is not valid Unicode');
    this.#noRole = fallbackOf(document, maker, 'the caller has no role');
    this.#unknownRole = fallbackOf(document, maker, "the policy does not know the caller's role");
  }

  decide(request: AccessRequest): Decision {
    return this.#decide(request, request.kind === 'tool' ? new CallArguments(request) : undefined);
  }

  isListed(request: AccessRequest): boolean {
    return this.#decide(request, undefined).effect === 'allow';
  }

  trace(request: AccessRequest): { readonly decision: Decision; readonly steps: readonly DecisionStep[] } {
    const steps: DecisionStep[] = [];
    const args = request.kind === 'tool' ? new CallArguments(request) : undefined;
    const decision = this.#decide(request, args, (step) => steps.push(step));
    return { decision, steps };
  }

  listingDependsOn(kind: AccessKind): ListingDependencies {
    return kind === 'tool' ? this.#toolListing : NO_DEPENDENCIES;
  }

  needsArguments(tool: string): boolean {
    return this.#names.get(tool).rules.some((rule) => rule.needsArguments);
  }

  toolLimits(tool: string, role: string | undefined, tenant?: string): readonly PolicyLimit[] {
    if (!this.#hasLimits) return NO_LIMITS;
    const limits: PolicyLimit[] = [];
    for (const { limit } of this.#names.get(tool).rules) if (limit !== undefined) limits.push(limit);
    for (const { role: name, limit } of this.#roleAccess(role, tenant)?.limits ?? []) {
      limits.push({ name: `role:${name}`, limit, scope: 'role' });
    }
    return limits;
  }

  governs(kind: AccessKind): boolean {
    return this.#parts.everyone === undefined || kind === 'tool';
  }

  #decide(request: AccessRequest, args: Arguments, note?: Note): Decision {
    if (!this.governs(request.kind)) return noted(this.#notGoverned, note);
    const facts = this.#names.get(request.name);
    if (!facts.isValid) return noted(this.#invalidName, note);
    if (request.kind === 'tool') {
      // Rules about other names have nothing to say, except to who wants to hear of every step.
      for (const rule of note === undefined ? facts.rules : this.#rules) {
        const denial = rule.judge(request, args, note);
        if (denial !== undefined) return denial;
      }
    }
    return this.#byRole(request, facts, note);
  }

  #byRole({ kind, name, role, principal }: AccessRequest, { verdicts }: NameFacts, note?: Note): Decision {
    const access = this.#parts.everyone ?? this.#roleAccess(role, principal.tenant)?.access[kind];
    if (access === undefined) return noted(role === undefined ? this.#noRole : this.#unknownRole, note);
    let verdict = verdicts.get(access);
    if (verdict === undefined) {
      verdict = access.deny.find(name) ?? access.allow.find(name) ?? access.otherwise;
      if (verdicts.size >= MAX_KNOWN_VERDICTS) verdicts.clear();
      verdicts.set(access, verdict);
    }
    return noted(verdict, note);
  }

  #roleAccess(role: string | undefined, tenant: string | undefined): RoleAccess | undefined {
    if (role === undefined) return undefined;
    const table = tenant === undefined ? undefined : this.#parts.tenants.get(tenant);
    return (table ?? this.#parts.roles).get(role);
  }
}

/** One rule of `tools`, with the decisions it can make. */
class CompiledToolRule {
  readonly needsArguments: boolean;
  readonly limit: PolicyLimit | undefined;
  readonly #rule: ToolRule;
  readonly #maker: DecisionMaker;
  readonly #env: ReadonlyMap<string, string>;
  readonly #always: Decision;

  constructor(rule: ToolRule, maker: DecisionMaker, env: ReadonlyMap<string, string>) {
    this.needsArguments = rule.arguments !== undefined || rule.when?.uses.args === true;
    this.limit = rule.limit === undefined ? undefined : { ...rule.limit, scope: 'tool' };
    this.#rule = rule;
    this.#maker = maker;
    this.#env = env;
    this.#always = maker.make('deny', 'tool_rule', rule.rule, rule.reason ?? `denied by ${rule.rule}`, rule.source);
  }

  get match(): Glob {
    return this.#rule.match;
  }

  /** @returns a denial, or undefined when the rule is not about this tool or passes */
  judge(request: AccessRequest, args: Arguments, note?: Note): Decision | undefined {
    const { rule, source } = this.#rule;
    if (note !== undefined && !this.match.matches(request.name)) {
      note({ layer: 'tool_rule', rule, verdict: 'no match', reason: 'the name does not match', source });
      return undefined;
    }
    const denial = this.#rule.alwaysDenies
      ? this.#always
      : (this.#judgeArguments(args) ?? this.#judgeWhen(request, args));
    if (denial !== undefined) return noted(denial, note);
    note?.({ layer: 'tool_rule', rule, verdict: 'pass', reason: 'the rule holds', source });
    return undefined;
  }

  #judgeArguments(args: Arguments): Decision | undefined {
    const { arguments: schema, argumentsSource: source } = this.#rule;
    const violation = args === undefined ? undefined : schema?.check(args);
    if (violation === undefined) return undefined;
    const { field, message, error } = violation;
    const text = field === undefined ? message : `argument "${field}" ${message}`;
    return this.#violation('arguments', error === undefined ? text : undefined, source, field, error);
  }

  #judgeWhen(request: AccessRequest, args: Arguments): Decision | undefined {
    const { when, whenSource: source } = this.#rule;
    if (when === undefined) return undefined;
    const result: ConditionResult =
      args === undefined ? when.evaluateForListing(request, this.#env) : when.evaluate(request, args, this.#env);
    if (result.passed) return undefined;
    const { ambiguity, error } = result;
    const text =
      ambiguity === undefined ? 'its condition does not hold' : `argument "${ambiguity.field}" ${ambiguity.message}`;
    return this.#violation('when', error === undefined ? text : undefined, source, ambiguity?.field, error);
  }

  /** @param text why; undefined when the rule could not be evaluated, which is reported as `policy_error` */
  #violation(
    kind: 'arguments' | 'when',
    text: string | undefined,
    source: Decision['source'],
    field: string | undefined,
    error: string | undefined,
  ): Decision {
    const { rule, reason } = this.#rule;
    const why = text === undefined ? 'policy_error' : [reason ?? `${rule} (${kind})`, text].join(': ');
    return Object.freeze({
      ...this.#maker.make('deny', 'tool_rule', rule, why, source),
      violation: field === undefined ? { kind } : { kind, field },
      ...(error === undefined ? {} : { error }),
    });
  }
}

function knownNames(rules: readonly CompiledToolRule[]): NameMemo<NameFacts> {
  const index = new RuleIndex(rules, ({ match }) => match);
  return new NameMemo(MAX_KNOWN_NAMES, (name) => ({
    isValid: isValidUnicode(name),
    rules: index.find(name),
    verdicts: new Map(),
  }));
}

function noted(decision: Decision, note: Note | undefined): Decision {
  const { layer, rule, effect, reason, source } = decision;
  note?.({ layer, rule, verdict: effect, reason, ...(source === undefined ? {} : { source }) });
  return decision;
}

function listingDependencies(tools: readonly ToolRule[]): ListingDependencies {
  const uses = tools.flatMap((rule) => rule.when?.listingUses ?? []);
  const any = (key: keyof ConditionUses): boolean => uses.some((use) => use[key]);
  return { caller: any('caller'), request: any('request'), time: any('time') };
}

function hasLimits({ document, roles, tenants }: DeciderParts): boolean {
  const tables = [roles, ...tenants.values()];
  return (
    document.tools.some((rule) => rule.limit !== undefined) ||
    tables.some((table) => [...table.values()].some((role) => role.limits.length > 0))
  );
}
