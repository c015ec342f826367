/** Runs a schema over a part of a source and turns what it finds into problems with positions and advice. */
import type { z } from 'zod';
import { knownKeys } from './known-keys.js';
import type { Path, Problem, Report } from './problem.js';
import type { ConfigSource } from './source.js';
import { didYouMean } from './suggest.js';

type Issue = z.core.$ZodIssue;
const MAX_LISTED_KEYS = 12;

/** @returns the checked value, or undefined with at least one problem more in the report */
export function check<S extends z.ZodType>(
  schema: S,
  source: ConfigSource,
  base: Path,
  report: Report,
): z.output<S> | undefined {
  let result = schema.safeParse(source.get(base));
  if (!result.success && typeUntyped(flatten(result.error.issues), source, base)) {
    result = schema.safeParse(source.get(base));
  }
  if (result.success) return result.data;
  for (const issue of flatten(result.error.issues)) report.problems.push(...problemsOf(issue, schema, source, base));
  return undefined;
}

/** Text from variables becomes the number or boolean that the schema asked for; true when any did. */
function typeUntyped(issues: readonly Issue[], source: ConfigSource, base: Path): boolean {
  let changed = false;
  for (const issue of issues) {
    const path = [...base, ...pathOf(issue)];
    if (!source.isUntyped(path)) continue;
    const typed = typedValue(wantedType(issue), source.get(path));
    if (typed === undefined) continue;
    source.replace(path, typed);
    changed = true;
  }
  return changed;
}

function wantedType(issue: Issue): string | undefined {
  if (issue.code === 'invalid_type') return issue.expected;
  return issue.code === 'invalid_value' ? typeof issue.values[0] : undefined;
}

function typedValue(wanted: string | undefined, value: unknown): number | boolean | undefined {
  if (typeof value !== 'string') return undefined;
  const isNumber = wanted === 'number' || wanted === 'int';
  if (isNumber && /^[-+]?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (wanted === 'boolean' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
  return undefined;
}

/** Alternatives become the issues of the one that was meant: the first whose own type fits. */
function flatten(issues: readonly Issue[], prefix: PropertyKey[] = []): Issue[] {
  return issues.flatMap((issue) => {
    const placed = { ...issue, path: [...prefix, ...issue.path] } as Issue;
    if (placed.code !== 'invalid_union') return [placed];
    const meant = placed.errors.find((branch) => !branch.some((inner) => isTypeMismatch(inner)));
    return meant === undefined ? [placed] : flatten(meant, placed.path);
  });
}

function isTypeMismatch(issue: Issue): boolean {
  return issue.code === 'invalid_type' && issue.path.length === 0;
}

function problemsOf(issue: Issue, schema: z.ZodType, source: ConfigSource, base: Path): Problem[] {
  const path = [...base, ...pathOf(issue)];
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, pathOf(issue));
    return issue.keys.map((key) =>
      source.problem([...path, key], `unknown key "${key}"`, { at: 'key', hint: unknownKeyHint(key, known) }),
    );
  }
  const { message, hint, at } = explain(issue, source.get(path));
  if (source.get(path) === undefined && path.length > 0) return [missing(path, message, source)];
  return [source.problem(path, message, { hint, at: at ?? 'value' })];
}

function missing(path: Path, message: string, source: ConfigSource): Problem {
  const name = path.at(-1);
  const wanted = message.startsWith('expected') ? message.replace(/, got [a-z]+$/, '') : undefined;
  return source.problem(path, `missing key "${name}"`, { hint: wanted });
}

function unknownKeyHint(key: string, known: readonly string[]): string | undefined {
  const suggestion = didYouMean(key, known);
  if (suggestion !== undefined) return suggestion;
  return known.length > 0 && known.length <= MAX_LISTED_KEYS ? `known here: ${known.join(', ')}` : undefined;
}

interface Explanation {
  message: string;
  hint?: string | undefined;
  at?: 'key' | 'value';
}

function explain(issue: Issue, value: unknown): Explanation {
  switch (issue.code) {
    case 'invalid_value':
      return isOurs(issue) ? { message: issue.message } : explainChoice(issue.values.map(String), value);
    case 'invalid_type':
      return { message: isOurs(issue) ? issue.message : `expected ${typeName(issue.expected)}, got ${typeOf(value)}` };
    case 'invalid_union':
      return { message: isOurs(issue) ? issue.message : `expected ${unionNames(issue)}, got ${typeOf(value)}` };
    case 'too_small': {
      const hasLength = issue.origin === 'string' || issue.origin === 'array';
      return { message: hasLength ? 'must not be empty' : `must be at least ${issue.minimum}` };
    }
    case 'too_big':
      return { message: `must be at most ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''}` };
    case 'custom':
      return {
        message: issue.message,
        hint: typeof issue.params?.['hint'] === 'string' ? issue.params['hint'] : undefined,
        at: issue.params?.['atKey'] === true ? 'key' : 'value',
      };
    default:
      return { message: issue.message };
  }
}

function explainChoice(choices: readonly string[], value: unknown): Explanation {
  const hint = typeof value === 'string' ? didYouMean(value, choices) : undefined;
  return { message: `must be one of ${choices.join(', ')}`, hint };
}

function unionNames(issue: Extract<Issue, { code: 'invalid_union' }>): string {
  const names = issue.errors.flatMap((branch) =>
    branch.flatMap((inner) => (inner.code === 'invalid_type' ? [typeName(inner.expected)] : [])),
  );
  return [...new Set(names)].join(' or ');
}

/** Schemas that explain themselves replace the library's text. */
function isOurs(issue: Issue): boolean {
  return !issue.message.startsWith('Invalid ');
}

function pathOf(issue: Issue): (string | number)[] {
  return issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
}

function typeName(expected: string): string {
  const names: Record<string, string> = {
    int: 'a whole number',
    number: 'a number',
    string: 'text',
    boolean: 'true or false',
    object: 'keys and values',
    record: 'keys and values',
    array: 'a list',
  };
  return Object.hasOwn(names, expected) ? (names[expected] ?? expected) : expected;
}

function typeOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') return Number.isInteger(value) ? 'a whole number' : 'a number';
  return typeName(typeof value);
}
