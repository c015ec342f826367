/**
 * Gives every upstream its prefix and refuses two with the same one: adding an upstream must never rename a route that
 * clients use, so nothing is renamed here; distinct names are proposed, ready to paste.
 */
import type { UpstreamEntry, UpstreamOptions } from '../upstream/options.js';
import { formatPosition, type Path, type Report } from './problem.js';
import { derivePrefix, prefixCandidates, RESERVED_PREFIXES } from './prefix.js';
import type { ConfigSource } from './source.js';

/** One upstream and where it was written. */
export interface PlacedUpstream {
  entry: UpstreamEntry;
  source: ConfigSource;
  path: Path;
  /** `list`: an item of `upstreams`; `map`: an entry of a client's map, whose key is the prefix. */
  kind: 'list' | 'map';
}

interface Named {
  placed: PlacedUpstream;
  prefix: string;
}

/** @returns the upstreams that have a prefix of their own, in the order written */
export function assignPrefixes(upstreams: readonly PlacedUpstream[], report: Report): UpstreamOptions[] {
  const named = upstreams.flatMap((placed) => nameOne(placed, report));
  const groups = groupByPrefix(named);
  const taken = new Set([...groups.keys(), ...RESERVED_PREFIXES]);
  for (const [prefix, group] of groups) {
    if (RESERVED_PREFIXES.has(prefix)) refuseReserved(group, taken, report);
    else if (group.length > 1) refuseCollision(group, taken, report);
  }
  return named.map(({ placed, prefix }) => ({ ...placed.entry, prefix }));
}

function groupByPrefix(named: readonly Named[]): Map<string, Named[]> {
  const groups = new Map<string, Named[]>();
  for (const each of named) {
    const group = groups.get(each.prefix);
    if (group === undefined) groups.set(each.prefix, [each]);
    else group.push(each);
  }
  return groups;
}

function nameOne(placed: PlacedUpstream, report: Report): Named[] {
  const prefix = placed.entry.prefix ?? derivePrefix(placed.entry.url);
  if (prefix !== undefined) return [{ placed, prefix }];
  const hint = 'name one with prefix: NAME';
  report.problems.push(placed.source.problem(placed.path, 'no prefix can be made from this URL', { hint }));
  return [];
}

function refuseReserved(group: readonly Named[], taken: Set<string>, report: Report): void {
  for (const [index, proposal] of propose(group, taken).entries()) {
    const each = group[index];
    if (each !== undefined)
      addProblem(each, `the prefix "${each.prefix}" is reserved for the gateway`, proposal, report);
  }
}

function refuseCollision(group: readonly Named[], taken: Set<string>, report: Report): void {
  // Who asked for the name by name keeps it; those that merely derive it move.
  const derived = group.filter((each) => each.placed.entry.prefix === undefined);
  const moving = derived.length > 0 ? derived : group.slice(1);
  const proposals = propose(moving, taken);
  for (const [index, each] of moving.entries()) {
    const other = group.find((one) => one !== each) ?? each;
    const where = formatPosition(locatePrefix(other));
    addProblem(each, `the prefix "${each.prefix}" is also that of ${where}`, proposals[index] ?? '', report);
  }
}

function addProblem(named: Named, message: string, proposal: string, report: Report): void {
  const { source, path, kind, entry } = named.placed;
  const at = kind === 'map' ? 'key' : 'value';
  const hint = kind === 'map' ? `rename the key: "${proposal}"` : pasteable(named.placed, proposal);
  const target = entry.prefix !== undefined && kind === 'list' ? [...path, 'prefix'] : path;
  report.problems.push(source.problem(target, message, { at, hint }));
}

/** A line for the file. A URL from a variable, or with a query, may hold a secret and is not repeated. */
function pasteable(placed: PlacedUpstream, proposal: string): string {
  const { source, path, entry } = placed;
  if (typeof source.get(path) !== 'string') return `write: prefix: ${proposal}`;
  const isPublic = !source.isExpanded(path) && !entry.url.includes('?');
  return `write: - { url: ${isPublic ? JSON.stringify(entry.url) : '<this URL>'}, prefix: ${proposal} }`;
}

function locatePrefix({ placed }: Named) {
  if (placed.kind === 'map') return placed.source.locate(placed.path, 'key');
  return placed.source.locate(placed.entry.prefix === undefined ? placed.path : [...placed.path, 'prefix']);
}

/** One name for each, from the first way of naming that tells all of them apart; numbers when none does. */
function propose(group: readonly Named[], taken: Set<string>): string[] {
  const candidates = group.map(({ placed, prefix }) => prefixCandidates(placed.entry.url, prefix));
  const ways = candidates[0]?.length ?? 0;
  for (let way = 0; way < ways; way += 1) {
    const names = candidates.map((each) => each[way] ?? '');
    const isDistinct = new Set(names).size === names.length && names.every((name) => !taken.has(name));
    if (isDistinct) return reserve(names, taken);
  }
  return group.map(({ prefix }) => reserve([numbered(prefix, taken)], taken)[0] ?? prefix);
}

function numbered(prefix: string, taken: ReadonlySet<string>): string {
  let number = 2;
  while (taken.has(`${prefix.slice(0, 58)}-${number}`)) number += 1;
  return `${prefix.slice(0, 58)}-${number}`;
}

function reserve(names: string[], taken: Set<string>): string[] {
  for (const name of names) taken.add(name);
  return names;
}
