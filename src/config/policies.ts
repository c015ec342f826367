/** Reads the policies that `policies` names, each from its own file or as it stands in the configuration. */
import { readFileSync, statSync } from 'node:fs';
import { relative } from 'node:path';
import { compilePolicy } from '../policy/compile.js';
import type { CompiledPolicy, PolicyProblem } from '../policy/decision.js';
import type { PolicyDocument } from '../policy/document.js';
import { PolicyInvalidError } from '../policy/errors.js';
import { parsePolicy, parsePolicyNode } from '../policy/parse.js';
import type { PlacedUpstream } from './assign-prefixes.js';
import { check } from './check.js';
import { readFailure } from './interpolate.js';
import { formatPath, formatPosition, formatProblem, type Path, type Report } from './problem.js';
import { configShape } from './schema.js';
import type { ConfigSource } from './source.js';
import { didYouMean } from './suggest.js';

const NAME = /^[A-Za-z0-9_.-]{1,64}$/;
const MAX_POLICY_BYTES = 4 * 1_048_576;

export interface LoadedPolicy {
  document: PolicyDocument;
  compiled: CompiledPolicy;
}

/** By name; undefined for one that is named but cannot be used, of which the report says why. */
export type LoadedPolicies = ReadonlyMap<string, LoadedPolicy | undefined>;

interface PolicyContext {
  source: ConfigSource;
  env: Readonly<Record<string, string>>;
  cwd: string;
  report: Report;
}

export function loadPolicies(context: PolicyContext): LoadedPolicies {
  const { source, report } = context;
  const loaded = new Map<string, LoadedPolicy | undefined>();
  // Two names may share one file, which is then read, and complained of, once.
  const byFile = new Map<string, LoadedPolicy | undefined>();
  const entries = check(configShape.policies, source, ['policies'], report) ?? {};
  for (const [name, value] of Object.entries(entries)) {
    const path = ['policies', name];
    if (!NAME.test(name)) {
      report.problems.push(source.problem(path, 'a policy name is 1 to 64 of A-Z a-z 0-9 _ . -', { at: 'key' }));
    }
    loaded.set(name, typeof value === 'string' ? loadFile(value, path, byFile, context) : loadInline(path, context));
  }
  return loaded;
}

function loadFile(
  written: string,
  path: Path,
  byFile: Map<string, LoadedPolicy | undefined>,
  context: PolicyContext,
): LoadedPolicy | undefined {
  const { source, cwd, report } = context;
  const file = source.resolveFile(path, written, cwd);
  if (byFile.has(file)) return byFile.get(file);
  report.files.add(file);
  const inside = relative(cwd, file);
  const shown = inside.startsWith('..') ? file : inside;
  const text = readText(file);
  let policy: LoadedPolicy | undefined;
  if (typeof text === 'string') policy = compileOne(parsePolicy(text, shown), [], context);
  else {
    const message = `cannot read ${source.nameOf(path, shown)}: ${text.failure}`;
    report.problems.push(source.problem(path, message));
  }
  byFile.set(file, policy);
  return policy;
}

function readText(file: string): string | { failure: string } {
  try {
    if (statSync(file).size > MAX_POLICY_BYTES) return { failure: `it is larger than ${MAX_POLICY_BYTES} bytes` };
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    return { failure: readFailure(error) };
  }
}

function loadInline(path: Path, context: PolicyContext): LoadedPolicy | undefined {
  const { source, report } = context;
  const node = source.nodeAt(path);
  if (node !== undefined) return compileOne(parsePolicyNode(node), path, context);
  report.problems.push(source.problem(path, 'expected the path of a policy file'));
  return undefined;
}

/** @param base where the policy stands in the configuration; empty for one in a file of its own */
function compileOne(
  parsed: PolicyDocument | PolicyProblem[],
  base: Path,
  context: PolicyContext,
): LoadedPolicy | undefined {
  const { env, report } = context;
  if (Array.isArray(parsed)) {
    addProblems(parsed, base, context);
    return undefined;
  }
  report.warnings.push(...parsed.warnings.map(formatProblem));
  try {
    return { document: parsed, compiled: compilePolicy(parsed, env) };
  } catch (error) {
    if (!(error instanceof PolicyInvalidError)) throw error;
    addProblems(error.problems, base, context);
    return undefined;
  }
}

function addProblems(problems: readonly PolicyProblem[], base: Path, { source, report }: PolicyContext): void {
  for (const problem of problems) {
    const path = [formatPath(base), problem.path].filter((part) => part !== '').join('.');
    // What is wrong with a value may quote it, and one from a variable may be a secret.
    const isHidden = base.length > 0 && source.holdsExpanded(base);
    const { hint, message, ...place } = problem;
    const shown = isHidden
      ? { message: HIDDEN, hint: HIDDEN_HINT }
      : { message, ...(hint === undefined ? {} : { hint }) };
    report.problems.push({ ...place, path, ...shown });
  }
}

const HIDDEN = 'something is wrong with the policy here, which holds values from variables';
const HIDDEN_HINT =
  'write it without variables, or into a file of its own, to be told what; conditions can use policy.env';

/** Says which upstreams name a policy or a role that is not there, and which name none. */
export function checkPolicyUse(placed: readonly PlacedUpstream[], policies: LoadedPolicies, report: Report): void {
  for (const { entry, source, path } of placed) {
    if (entry.policy === undefined) continue;
    if (!policies.has(entry.policy)) {
      const known = [...policies.keys()];
      const list = known.length === 0 ? 'policies is empty' : `there are: ${known.join(', ')}`;
      const hint = didYouMean(entry.policy, known) ?? list;
      report.problems.push(source.problem([...path, 'policy'], 'no policy has this name', { hint }));
    }
    const policy = policies.get(entry.policy)?.compiled;
    if (policy !== undefined) warnOfUnknownRole(entry, policy, source, [...path, 'role'], report);
  }
}

/** A v1.0 policy knows no roles at all; there the role is a name for limits and the audit trail. */
function warnOfUnknownRole(
  { policy: name, role }: PlacedUpstream['entry'],
  policy: CompiledPolicy,
  source: ConfigSource,
  path: Path,
  report: Report,
): void {
  if (role === undefined || policy.version === '1.0' || policy.roles.includes(role)) return;
  const hint = didYouMean(role, policy.roles);
  const where = formatPosition(source.locate(path));
  const advice = hint === undefined ? '' : ` (${hint})`;
  report.warnings.push(`${where}: the policy "${name}" does not know this role, so its default applies${advice}`);
}

export function warnOfUnguarded(upstreams: readonly { prefix: string; policy: string | undefined }[], report: Report) {
  const open = upstreams.filter((upstream) => upstream.policy === undefined).map((upstream) => upstream.prefix);
  if (open.length > 0) report.warnings.push(`without a policy, every method passes: ${open.join(', ')}`);
}
