/** Which push a rollback means, by what ruled so far. */
import { PolicyNotKeptError } from './policy-errors.js';
import type { HistoryEntry, PolicyState } from './policy-record.js';

export type RollbackTarget =
  | { readonly to: 'previous' }
  | { readonly to: 'file' }
  /** The hash, or the beginning of one. */
  | { readonly to: 'hash'; readonly hash: string };

/**
 * `previous` goes further back each time: to the push before the one that rules, or that ruled before the file.
 *
 * @param history the newest first
 * @throws {PolicyNotKeptError} no push, or more than one, is meant
 */
export function pushOf(
  name: string,
  history: readonly HistoryEntry[],
  target: Exclude<RollbackTarget, { to: 'file' }>,
  before: PolicyState | undefined,
): HistoryEntry {
  const pushes = history.filter(({ action }) => action === 'push');
  if (target.to === 'hash') return named(name, pushes, target.hash);
  const push = pushes.find(({ revision, hash }) => {
    if (before?.source === 'pushed') return revision < before.pushed && hash !== before.hash;
    return before === undefined || revision <= before.pushed;
  });
  if (push === undefined) throw new PolicyNotKeptError(`nothing was pushed as "${name}" before what rules now`);
  return push;
}

function named(name: string, pushes: readonly HistoryEntry[], start: string): HistoryEntry {
  const meant = pushes.filter(({ hash }) => hash?.startsWith(start) === true);
  const [newest] = meant;
  if (newest === undefined) throw new PolicyNotKeptError(`nothing with the hash ${start} was pushed as "${name}"`);
  if (meant.some(({ hash }) => hash !== newest.hash)) {
    throw new PolicyNotKeptError(
      `more than one policy pushed as "${name}" begins with ${start}: write more of the hash`,
    );
  }
  return newest;
}
