/**
 * Checks a value against the format and says in people's words what does not fit.
 * A misfit is then replaced by something harmless, so that the rest of the document can be checked in the same run.
 */
import type { z } from 'zod';
import type { PolicyProblem } from './decision.js';
import { POLICY_KEYS, type PolicyV1, type PolicyV2, policyV1Schema, policyV2Schema } from './options.js';
import type { DocumentPath, PolicySource } from './source.js';
import { didYouMean } from './text.js';

export interface Shape {
  /** Undefined when so much is wrong that looking further would only mislead. */
  readonly policy: PolicyV1 | PolicyV2 | undefined;
  /** The plain document, which the hash is taken of. */
  readonly value: Readonly<Record<string, unknown>>;
  readonly problems: PolicyProblem[];
}

type Issue = z.core.$ZodIssue;
const MAX_REPAIRS = 4;

export function readShape(value: unknown, source: PolicySource): Shape {
  if (!isMapping(value))
    return { policy: undefined, value: {}, problems: [source.problem([], 'a policy is a mapping')] };
  const plain = withTextVersion(value);
  const { version } = plain;
  if (version !== '1.0' && version !== '2.0') {
    const message = version === undefined ? 'version is missing' : `unknown version ${JSON.stringify(version)}`;
    return {
      policy: undefined,
      value: plain,
      problems: [source.problem(['version'], message, 'version: "1.0" or "2.0"')],
    };
  }
  const problems: PolicyProblem[] = [];
  let candidate: unknown = plain;
  for (let round = 0; round < MAX_REPAIRS; round++) {
    const result = (version === '1.0' ? policyV1Schema : policyV2Schema).safeParse(candidate);
    if (result.success) return { policy: result.data, value: plain, problems };
    const { issues } = result.error;
    const checked = candidate;
    problems.push(...issues.flatMap((issue) => toProblems(issue, version, source, checked)));
    candidate = issues.reduce(repair, structuredClone(candidate));
  }
  return { policy: undefined, value: plain, problems };
}

/** `version: 1.0` without quotes is a number in YAML, and plainly means "1.0". */
function withTextVersion(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return value.version === 1 || value.version === 2 ? { ...value, version: `${value.version}.0` } : value;
}

function toProblems(issue: Issue, version: '1.0' | '2.0', source: PolicySource, value: unknown): PolicyProblem[] {
  const path = toPath(issue);
  if (issue.code !== 'unrecognized_keys') {
    const isMissing = path.reduce<unknown>(memberOf, value) === undefined;
    return [source.problem(path, isMissing ? `${path[path.length - 1]} is missing` : messageOf(issue, path))];
  }
  return issue.keys.map((key) => {
    const hint = version === '1.0' && path.length === 0 && isV2Only(key) ? 'this needs version: "2.0"' : undefined;
    const keys = knownKeys(path, version);
    const found = hint ?? didYouMean(key, keys).hint ?? `known keys: ${keys.join(', ')}`;
    return source.problem([...path, key], `unknown key "${key}"`, found, source.positionOfKey(path, key));
  });
}

const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  ['object', 'a mapping'],
  ['record', 'a mapping'],
  ['array', 'a list'],
  ['string', 'a string'],
]);

function messageOf(issue: Issue, path: DocumentPath): string {
  if (issue.code === 'invalid_type') return `expected ${TYPE_NAMES.get(issue.expected) ?? issue.expected}`;
  if (issue.code !== 'invalid_value') return issue.message;
  const isToolEffect = path[0] === 'tools' && path[path.length - 1] === 'effect';
  if (isToolEffect) return 'effect is deny: a tool rule cannot allow, a role does that';
  return `expected ${issue.values.map(String).join(' or ')}`;
}

function isV2Only(key: string): boolean {
  return POLICY_KEYS.v2.includes(key);
}

function knownKeys(path: DocumentPath, version: '1.0' | '2.0'): readonly string[] {
  if (path.length === 0) return version === '1.0' ? POLICY_KEYS.v1 : POLICY_KEYS.v2;
  if (path[0] === 'tools') return POLICY_KEYS.toolRule;
  const inRole = path[0] === 'tenants' ? path.slice(2) : path;
  if (inRole.length === 0) return POLICY_KEYS.tenant;
  return inRole.length === 2 ? POLICY_KEYS.role : POLICY_KEYS.access;
}

function toPath(issue: Issue): DocumentPath {
  return issue.path.map((key) => (typeof key === 'number' ? key : String(key)));
}

/** Takes what does not fit out of a copy; what must be there gets a stand-in, and list items keep their places. */
function repair(value: unknown, issue: Issue): unknown {
  const path = toPath(issue);
  const parent = path.slice(0, -1).reduce<unknown>(memberOf, value);
  const target = path.reduce<unknown>(memberOf, value);
  const last = path[path.length - 1];
  if (issue.code === 'unrecognized_keys') {
    if (isMapping(target)) for (const key of issue.keys) Reflect.deleteProperty(target, key);
  } else if (Array.isArray(parent) && typeof last === 'number') {
    parent[last] = path[0] === 'tools' && path.length === 2 ? { match: 'stand-in' } : 'stand-in';
  } else if (isMapping(parent) && last !== undefined) {
    const standIn = standInOf(path);
    if (standIn === undefined) Reflect.deleteProperty(parent, last);
    else Reflect.set(parent, last, standIn);
  }
  return value;
}

function standInOf(path: DocumentPath): unknown {
  const last = path[path.length - 1];
  if (last === 'match' || (last === 'name' && path.length === 1)) return 'stand-in';
  if (last === 'default' && path.length === 1) return 'deny';
  if (path[0] === 'tenants' && path.length === 3) return {};
  const isTableEntry = (path[0] === 'roles' && path.length === 2) || (path[0] === 'tenants' && path.length === 4);
  if (isTableEntry) return {};
  return path[0] === 'tenants' && path.length === 2 ? { roles: {} } : undefined;
}

function memberOf(value: unknown, key: string | number): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
