import type { OnStoreFailure } from './options.js';
import type { Exceeded, LimitStore, Take } from './store.js';

/** Where this replica counts on its own, and its share of what all replicas may admit together. */
export interface LocalFallback {
  readonly store: LimitStore;
  /** How many replicas share the limits, at least 1. */
  replicas(): number;
}

/** A store that is away is asked again soon. */
const DENIED_RETRY_AFTER_MS = 1000;

/**
 * Decides while the shared store cannot count: `deny` refuses, `allow` passes, `local` counts here against this
 * replica's share. The share is rounded down, so that the replicas together never admit more than the limit.
 */
export async function takeWithoutStore(
  takes: readonly Take[],
  modeOf: (take: Take) => OnStoreFailure,
  fallback: LocalFallback,
): Promise<Exceeded | undefined> {
  const denied = takes.findIndex((take) => modeOf(take) === 'deny');
  if (denied !== -1) return { index: denied, retryAfterMs: DENIED_RETRY_AFTER_MS };
  const local = takes.filter((take) => modeOf(take) === 'local');
  const share = Math.max(1, fallback.replicas());
  const exceeded = await fallback.store.takeAll(
    local.map((take) => ({ ...take, calls: Math.floor(take.calls / share) })),
  );
  const full = exceeded === undefined ? undefined : local[exceeded.index];
  return exceeded === undefined || full === undefined ? undefined : { ...exceeded, index: takes.indexOf(full) };
}
