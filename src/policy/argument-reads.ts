/**
 * Whether the arguments a rule reads can be read in one way only.
 * A server behind us may read `Path` for `path`, 1e400 as something else than Infinity, or half a surrogate pair as
 * nothing: where a rule reads such a value, what is judged and what will be executed may differ, so the call is denied.
 */
import type { CallArguments } from './call-arguments.js';
import { findBentNumber } from './raw-numbers.js';
import { type ArgumentReads, type ReadTree, joinField } from './read-tree.js';
import { foldKey, isValidUnicode } from './text.js';

export interface Ambiguity {
  /** Dotted path of the argument. */
  readonly field: string;
  readonly message: string;
}

/**
 * Where it is not known how the caller wrote the arguments, every number that may have been bent counts as bent.
 *
 * @throws {RangeError} arguments nested deeper than the gateway admits
 * @throws whatever parsing the arguments throws
 */
export function findAmbiguity(reads: ArgumentReads, args: CallArguments): Ambiguity | undefined {
  const raw = args.raw();
  const ambiguity = inspect(reads, reads.root, false, args.value(), '', raw === undefined);
  if (ambiguity !== undefined || raw === undefined || !args.mayHoldBentNumber()) return ambiguity;
  const field = findBentNumber(raw, reads.root);
  return field === undefined ? undefined : bentNumber(field);
}

function bentNumber(field: string): Ambiguity {
  return { field, message: 'is a number that does not survive parsing' };
}

function inspect(
  reads: ArgumentReads,
  tree: ReadTree | undefined,
  whole: boolean,
  value: unknown,
  field: string,
  checkNumbers: boolean,
): Ambiguity | undefined {
  const everything = whole || (tree?.whole ?? false);
  if (typeof value === 'string') {
    return everything && !isValidUnicode(value) ? { field, message: 'is not valid Unicode' } : undefined;
  }
  if (typeof value === 'number') {
    return everything && checkNumbers && mayBeBent(value) ? bentNumber(field) : undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) {
    if (!everything) return undefined;
    return firstOf(value, (item, index) =>
      inspect(reads, undefined, true, item, joinField(field, `${index}`), checkNumbers),
    );
  }
  if (!everything && (tree === undefined || tree.keys.size === 0)) return undefined;
  return inspectObject(reads, tree, everything, value as Readonly<Record<string, unknown>>, field, checkNumbers);
}

function inspectObject(
  reads: ArgumentReads,
  tree: ReadTree | undefined,
  everything: boolean,
  value: Readonly<Record<string, unknown>>,
  field: string,
  checkNumbers: boolean,
): Ambiguity | undefined {
  const folded = everything ? new Set<string>() : undefined;
  for (const key of Object.keys(value)) {
    const isMistakable = (tree?.isMistakable(key) ?? false) || (everything && reads.names.isMistakable(key));
    if (isMistakable) {
      return { field: joinField(field, key), message: 'could be mistaken for an argument that a rule reads' };
    }
    if (folded !== undefined) {
      if (!isValidUnicode(key)) return { field: joinField(field, key), message: 'is not valid Unicode' };
      const fold = foldKey(key);
      if (folded.has(fold)) {
        return { field: joinField(field, key), message: 'could be mistaken for the argument beside it' };
      }
      folded.add(fold);
    }
    const child = tree?.keys.get(key);
    if (child === undefined && !everything) continue;
    const ambiguity = inspect(reads, child, everything, value[key], joinField(field, key), checkNumbers);
    if (ambiguity !== undefined) return ambiguity;
  }
  return undefined;
}

function mayBeBent(value: number): boolean {
  return !Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER;
}

function firstOf<T, R>(items: readonly T[], find: (item: T, index: number) => R | undefined): R | undefined {
  for (const [index, item] of items.entries()) {
    const found = find(item, index);
    if (found !== undefined) return found;
  }
  return undefined;
}
