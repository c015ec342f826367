/** From a well-formed policy to a document: compiles patterns, schemas, conditions; checks what only meaning shows. */
import { type ArgumentRule, compileArgumentRule } from './arguments.js';
import { canonicalHash } from './canonical-json.js';
import { compileCondition, type Condition } from './conditions.js';
import type { PolicyProblem } from './decision.js';
import type { AccessList, PatternRule, PolicyDocument, RoleDefinition, ToolRule } from './document.js';
import { compileGlob, patternProblem, type PatternUse } from './globs.js';
import type { AccessInput, PolicyV1, PolicyV2, RoleInput, ToolRuleInput } from './options.js';
import { definitionsOf, findCycle, layRoles, type RoleTable } from './roles.js';
import type { DocumentPath, PolicySource } from './source.js';
import { didYouMean, isValidUnicode } from './text.js';

export interface BuiltDocument {
  readonly document: PolicyDocument;
  /** Not empty: the document must not be used. */
  readonly problems: readonly PolicyProblem[];
}

const EMPTY: AccessList = { allow: [], deny: [] };

export function buildDocument(
  policy: PolicyV1 | PolicyV2,
  value: Readonly<Record<string, unknown>>,
  source: PolicySource,
  file: string,
): BuiltDocument {
  const builder = new DocumentBuilder(source);
  const common = { name: policy.name, file, hash: canonicalHash(value), default: policy.default };
  const defaultSource = source.positionOf(['default']);
  const parts = policy.version === '1.0' ? builder.v1(policy) : builder.v2(policy);
  const document: PolicyDocument = { ...common, defaultSource, ...parts, env: builder.env, warnings: builder.warnings };
  return { document, problems: builder.problems };
}

class DocumentBuilder {
  readonly problems: PolicyProblem[] = [];
  readonly warnings: PolicyProblem[] = [];
  readonly env: PolicyDocument['env'][number][] = [];
  readonly #source: PolicySource;
  readonly #limitNames = new Map<string, number>();

  constructor(source: PolicySource) {
    this.#source = source;
  }

  v1(policy: PolicyV1) {
    return {
      version: policy.version,
      mode: 'enforce' as const,
      denials: 'explain' as const,
      everyone: this.#access(policy, [], 'allow-name'),
      roles: new Map<string, RoleDefinition>(),
      tenants: new Map<string, ReadonlyMap<string, RoleDefinition>>(),
      tools: [],
    };
  }

  v2(policy: PolicyV2) {
    const { version, mode, denials } = policy;
    const roles = this.#roles(policy.roles, ['roles'], policy.default);
    const tenants = new Map(
      Object.entries(policy.tenants).map(([tenant, overlay]) => {
        this.#checkName(tenant, ['tenants', tenant]);
        return [tenant, this.#roles(overlay.roles, ['tenants', tenant, 'roles'], policy.default)];
      }),
    );
    this.#checkInheritance(roles, tenants);
    const tools = policy.tools.map((rule, index) => this.#toolRule(rule, index));
    return { version, mode, denials, everyone: undefined, roles, tenants, tools };
  }

  #roles(roles: Readonly<Record<string, RoleInput>>, path: DocumentPath, fallback: 'allow' | 'deny') {
    return new Map(
      Object.entries(roles).map(([name, role]) => {
        const rolePath = [...path, name];
        this.#checkName(name, rolePath);
        if (fallback === 'allow') this.#warnOfIdleLists(role, rolePath);
        return [name, this.#role(role, rolePath)];
      }),
    );
  }

  #role(role: RoleInput, path: DocumentPath): RoleDefinition {
    return {
      inherits: role.inherits ?? [],
      access: {
        tool: this.#access(role, path, 'allow-name'),
        resource:
          role.resources === undefined ? EMPTY : this.#access(role.resources, [...path, 'resources'], 'allow-uri'),
        prompt: role.prompts === undefined ? EMPTY : this.#access(role.prompts, [...path, 'prompts'], 'allow-name'),
      },
      limit: role.limit,
    };
  }

  #access(lists: AccessInput, path: DocumentPath, allowUse: PatternUse): AccessList {
    return {
      allow: this.#patterns(lists.allow, [...path, 'allow'], allowUse),
      deny: this.#patterns(lists.deny, [...path, 'deny'], 'any'),
    };
  }

  #patterns(patterns: readonly string[] | undefined, path: DocumentPath, use: PatternUse): PatternRule[] {
    return (patterns ?? []).map((pattern, index) => {
      const itemPath = [...path, index];
      const message = patternProblem(pattern);
      if (message !== undefined) this.#report(itemPath, message);
      return {
        rule: `${path.join('.')} ${JSON.stringify(pattern)}`,
        glob: compileGlob(pattern, use),
        source: this.#source.positionOf(itemPath),
      };
    });
  }

  #toolRule(rule: ToolRuleInput, index: number): ToolRule {
    const path: DocumentPath = ['tools', index];
    const message = patternProblem(rule.match);
    if (message !== undefined) this.#report([...path, 'match'], message);
    this.#checkEffect(rule, path);
    return {
      // A rule restricts, so an odd spelling must not slip past it: here `*` stands for anything, as in deny.
      match: compileGlob(rule.match, 'any'),
      rule: `tools[${index}] ${JSON.stringify(rule.match)}`,
      alwaysDenies: rule.effect === 'deny',
      reason: rule.reason,
      limit: rule.limit === undefined ? undefined : { name: this.#limitName(rule.match), limit: rule.limit },
      arguments: rule.arguments === undefined ? undefined : this.#arguments(rule.arguments, [...path, 'arguments']),
      when: rule.when === undefined ? undefined : this.#when(rule.when, [...path, 'when']),
      source: this.#source.positionOf(path),
      whenSource: this.#source.positionOf([...path, 'when']),
      argumentsSource: this.#source.positionOf([...path, 'arguments']),
    };
  }

  #checkEffect(rule: ToolRuleInput, path: DocumentPath): void {
    const { effect, arguments: schema, when, limit } = rule;
    const others = Object.entries({ arguments: schema, when, limit }).filter(([, value]) => value !== undefined);
    if (effect === 'deny') {
      const hint = 'to deny on a condition, leave effect out and write what must hold into `when`';
      for (const [key] of others)
        this.#report([...path, key], `a rule with effect: deny always denies: ${key} has no use`, hint);
    } else if (others.length === 0) {
      this.warnings.push(
        this.#source.problem(path, 'the rule does nothing', 'give it effect, arguments, when or limit'),
      );
    }
  }

  #arguments(schema: Readonly<Record<string, unknown>>, path: DocumentPath): ArgumentRule | undefined {
    const rule = compileArgumentRule(schema);
    if ('check' in rule) return rule;
    for (const problem of rule) {
      const at = [...path, ...problem.path];
      const key = String(at[at.length - 1]);
      const position = problem.isKey === true ? this.#source.positionOfKey(at.slice(0, -1), key) : undefined;
      this.problems.push(this.#source.problem(at, problem.message, problem.hint, position));
    }
    return undefined;
  }

  #when(expression: string, path: DocumentPath): Condition | undefined {
    const condition = compileCondition(expression);
    const place = (offset: number) => this.#source.positionInString(path, offset);
    if (Array.isArray(condition)) {
      for (const { offset, message, hint } of condition) {
        this.problems.push(this.#source.problem(path, message, hint, place(offset)));
      }
      return undefined;
    }
    for (const { name, offset } of condition.env) this.env.push({ name, source: place(offset), path: path.join('.') });
    return condition;
  }

  /** Independent of the rule's place, so that inserting a rule above does not reset counters. */
  #limitName(match: string): string {
    const count = (this.#limitNames.get(match) ?? 0) + 1;
    this.#limitNames.set(match, count);
    return count === 1 ? `tool:${match}` : `tool:${match}#${count}`;
  }

  #checkInheritance(roles: ReadonlyMap<string, RoleDefinition>, tenants: PolicyDocument['tenants']): void {
    const base = layRoles(roles);
    this.#checkParents(roles, base, ['roles']);
    const known = this.#checkCycles(roles.keys(), base, ['roles'], new Set());
    for (const [tenant, overlays] of tenants) {
      const table = layRoles(roles, overlays);
      const path = ['tenants', tenant, 'roles'];
      this.#checkParents(overlays, table, path);
      this.#checkCycles(overlays.keys(), table, path, known);
    }
    for (const name of roles.keys()) this.#warnOfEmptyRole(base, name);
  }

  #checkParents(roles: ReadonlyMap<string, RoleDefinition>, table: RoleTable, path: DocumentPath): void {
    for (const [name, { inherits }] of roles) {
      for (const [index, parent] of inherits.entries()) {
        if (table.has(parent)) continue;
        this.#report(
          [...path, name, 'inherits', index],
          `there is no role "${parent}"`,
          didYouMean(parent, table.keys()).hint,
        );
      }
    }
  }

  /** @returns the cycles found so far, so that a tenant's overlay is not blamed for those of the roles below it */
  #checkCycles(names: Iterable<string>, table: RoleTable, path: DocumentPath, known: ReadonlySet<string>): Set<string> {
    const found = new Set(known);
    for (const name of names) {
      const cycle = findCycle(table, name);
      const id = JSON.stringify([...new Set(cycle)].toSorted());
      if (cycle === undefined || found.has(id)) continue;
      found.add(id);
      this.#report([...path, name, 'inherits'], `roles inherit in a circle: ${cycle.join(' -> ')}`);
    }
    return found;
  }

  #warnOfEmptyRole(table: RoleTable, name: string): void {
    const lists = definitionsOf(table, name).map(({ definition }) => definition.access.tool);
    if (lists.some(({ allow }) => allow.length > 0) || !lists.some(({ deny }) => deny.length > 0)) return;
    const hint = 'a known role decides alone, and allows only what an allow list names: allow: ["*"] for the rest';
    this.warnings.push(this.#source.problem(['roles', name], `role "${name}" denies tools but allows none`, hint));
  }

  #warnOfIdleLists(role: RoleInput, path: DocumentPath): void {
    for (const kind of ['resources', 'prompts'] as const) {
      if ((role[kind]?.allow ?? []).length === 0) continue;
      const message = `${kind}.allow has no effect: what it does not name gets the default, which is allow`;
      this.warnings.push(this.#source.problem([...path, kind, 'allow'], message, 'use default: deny, or a deny list'));
    }
  }

  #checkName(name: string, path: DocumentPath): void {
    if (name === '' || name.length > 128 || !isValidUnicode(name)) this.#report(path, 'a name has 1 to 128 characters');
  }

  #report(path: DocumentPath, message: string, hint?: string): void {
    this.problems.push(this.#source.problem(path, message, hint));
  }
}
