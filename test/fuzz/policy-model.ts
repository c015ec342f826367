/**
 * A second policy evaluator, written from the documentation and as plainly as possible: no caching, no compilation,
 * and nothing shared with the engine but types. It knows the small family of schemas and conditions the fuzz test draws from.
 */
import type { AccessRequest, Decision } from '../../src/policy/decision.js';
import type {
  ModelAccess,
  ModelPolicy,
  ModelRole,
  ModelSchema,
  ModelTerm,
  ModelVerdict,
} from './policy-model-types.js';

type Terms = ReadonlyMap<string, readonly ModelTerm[]>;

export function modelDecide(policy: ModelPolicy, request: AccessRequest, terms: Terms, listing: boolean): ModelVerdict {
  const { kind, name } = request;
  if (policy.version === '1.0' && kind !== 'tool') return { effect: 'allow', layer: 'default' };
  if (!isWellFormed(name)) return { effect: 'deny', layer: 'default' };
  if (kind === 'tool') {
    for (const rule of policy.tools ?? []) {
      if (!globMatches(rule.match, name, 'any')) continue;
      if (rule.effect === 'deny') return { effect: 'deny', layer: 'tool_rule' };
      if (!listing && rule.arguments && !schemaHolds(rule.arguments, request.args?.())) {
        return { effect: 'deny', layer: 'tool_rule', violation: 'arguments' };
      }
      if (rule.when !== undefined && !whenHolds(terms.get(rule.when) ?? [], request, listing)) {
        return { effect: 'deny', layer: 'tool_rule', violation: 'when' };
      }
    }
  }
  const fallback: ModelVerdict = { effect: policy.default, layer: 'default' };
  if (policy.version === '1.0') return listVerdict([policy], name, 'name', 'tool_rule', fallback);
  const roles = rolesFor(policy, request.principal.tenant);
  if (request.role === undefined || !roles.some(([known]) => known === request.role)) return fallback;
  const lists = inherited(roles, request.role, []).map((role) => (kind === 'tool' ? role : (role[`${kind}s`] ?? {})));
  if (kind === 'tool') return listVerdict(lists, name, 'name', 'role', { effect: 'deny', layer: 'role' });
  return listVerdict(lists, name, kind === 'prompt' ? 'name' : 'uri', 'role', fallback);
}

type Star = 'any' | 'name' | 'uri';
type Layer = Decision['layer'];

function listVerdict(
  lists: readonly ModelAccess[],
  name: string,
  star: Star,
  layer: Layer,
  otherwise: ModelVerdict,
): ModelVerdict {
  if (lists.some(({ deny = [] }) => deny.some((pattern) => globMatches(pattern, name, 'any'))))
    return { effect: 'deny', layer };
  if (lists.some(({ allow = [] }) => allow.some((pattern) => globMatches(pattern, name, star))))
    return { effect: 'allow', layer };
  return otherwise;
}

function rolesFor(policy: ModelPolicy, tenant: string | undefined): [string, ModelRole][] {
  const overlay = Object.entries(policy.tenants ?? {}).find(([name]) => name === tenant)?.[1].roles ?? {};
  return [...Object.entries(policy.roles ?? {}), ...Object.entries(overlay)];
}

function inherited(roles: [string, ModelRole][], name: string, seen: string[]): ModelRole[] {
  if (seen.includes(name)) return [];
  const own = roles.filter(([known]) => known === name).map(([, role]) => role);
  const parents = own.flatMap((role) => role.inherits ?? []);
  return [...own, ...parents.flatMap((parent) => inherited(roles, parent, [...seen, name]))];
}

/** Tries every way to split the name: slow, and so simple that it can be believed. */
export function globMatches(pattern: string, name: string, star: Star): boolean {
  if (!pattern.includes('*')) return pattern === name;
  if (star === 'name' && Array.from(name).length > 128) return false;
  if (star === 'uri' && !/^[a-z][a-z0-9+.-]*:[A-Za-z0-9/:_.-]*$/.test(name)) return false;
  if (star === 'uri' && name.split(/[/:]/).some((segment) => segment === '..' || segment === '.')) return false;
  return splits(Array.from(pattern), Array.from(name), star);
}

function splits(pattern: readonly string[], name: readonly string[], star: Star): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return name.length === 0;
  if (head !== '*') return name[0] === head && splits(rest, name.slice(1), star);
  for (let length = 0; length <= name.length; length++) {
    if (length > 0 && star === 'name' && !/^[A-Za-z0-9_.-]$/.test(name[length - 1] ?? '')) return false;
    if (splits(rest, name.slice(length), star)) return true;
  }
  return false;
}

function whenHolds(terms: readonly ModelTerm[], request: AccessRequest, listing: boolean): boolean {
  if (listing) return terms.every((term) => term.usesArgs || term.holds(request, {}));
  if (!terms.some((term) => term.usesArgs)) return terms.every((term) => term.holds(request, {}));
  const args = request.args?.();
  const given = args === undefined ? {} : args;
  const read = ['to', 'n', 'flag'].filter((key) => terms.some(({ cel }) => cel.includes(`args.${key}`)));
  if (!isObject(given) || ambiguous(given, read, read)) return false;
  return terms.every((term) => term.holds(request, given));
}

function schemaHolds(schema: ModelSchema, value: unknown): boolean {
  const given = value === undefined ? {} : value;
  const judged = Object.keys(schema.properties);
  const named = [...judged, ...(schema.required ?? [])];
  if (!isObject(given) || ambiguous(given, named, judged)) return false;
  if ((schema.required ?? []).some((key) => !Object.hasOwn(given, key))) return false;
  return Object.entries(schema.properties).every(([key, rule]) => {
    if (!Object.hasOwn(given, key)) return true;
    const argument = given[key];
    if (typeof argument !== rule.type) return false;
    if (rule.enum && !rule.enum.includes(argument)) return false;
    if (rule.minimum !== undefined && !(typeof argument === 'number' && argument >= rule.minimum)) return false;
    return rule.pattern === undefined || new RegExp(rule.pattern, 'u').test(String(argument));
  });
}

/** A key that only differs in case from one a rule names, a broken string or a bent number under one it judges. */
function ambiguous(args: Record<string, unknown>, named: readonly string[], judged: readonly string[]): boolean {
  return Object.entries(args).some(([key, value]) => {
    if (!named.includes(key)) return named.some((name) => name.toLowerCase() === key.toLowerCase());
    if (!judged.includes(key)) return false;
    return (typeof value === 'string' && !isWellFormed(value)) || value === Number.POSITIVE_INFINITY;
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString() === text;
}
