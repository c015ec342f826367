import { ConfiguredLimit, type LimitSubject } from './configured-limit.js';
import type { OnStoreFailure, RateLimitOptions } from './options.js';
import type { Rate } from './rate.js';
import { type LocalFallback, takeWithoutStore } from './store-failure.js';
import type { Exceeded, LimitStore, Take } from './store.js';
import { windowKey } from './window-key.js';

export type { LimitSubject } from './configured-limit.js';

/** A limit that a policy sets on a role or a tool; it counts allowed calls only. */
export interface ExtraLimit {
  /** As refusals show it, e.g. `role user` or `tool post_sms`. */
  readonly name: string;
  readonly rate: Rate;
  /** What it counts apart, e.g. route, policy, rule and caller; made of verified values. */
  readonly scope: readonly (string | undefined)[];
}

/** Why a request has to wait. */
export interface LimitRefusal {
  /** Name of the limit. */
  readonly limit: string;
  readonly retryAfterMs: number;
}

/** Is told the name of a limit. */
export interface LimitObserver {
  /** With every refusal. */
  readonly limited: (limit: string) => void;
  /** With every request that the shared store did not count, whatever was decided instead. */
  readonly decidedWithoutStore: (limit: string) => void;
}

/** `request`: the rules denied, so only limits that count every request are taken. `allowed`: all limits are. */
export type LimitPhase = 'request' | 'allowed';

/**
 * The limits of one configuration. Knows which limits a request is due and takes them all or none;
 * counting is the store's work, and what a refusal looks like to a client is the gateway's.
 */
export class RateLimits {
  readonly #requestLimits: readonly ConfiguredLimit[];
  readonly #ruleLimits: readonly ConfiguredLimit[];
  readonly #onStoreFailure: ReadonlyMap<string, OnStoreFailure>;
  readonly #defaultOnStoreFailure: OnStoreFailure;
  readonly #store: LimitStore;
  readonly #fallback: LocalFallback;
  readonly #observer: LimitObserver | undefined;

  /**
   * @param fallback Where limits with `onStoreFailure: local` are counted while `store` fails.
   */
  constructor(options: RateLimitOptions, store: LimitStore, fallback: LocalFallback, observer?: LimitObserver) {
    const limits = options.limits.map((limit) => new ConfiguredLimit(limit));
    this.#requestLimits = limits.filter((limit) => limit.countsDenied);
    this.#ruleLimits = limits.filter((limit) => !limit.countsDenied);
    this.#defaultOnStoreFailure = options.onStoreFailure;
    this.#onStoreFailure = new Map(
      options.limits.map(({ name, onStoreFailure }) => [name, onStoreFailure ?? options.onStoreFailure]),
    );
    this.#store = store;
    this.#fallback = fallback;
    this.#observer = observer;
  }

  /** Whether the configuration has any limit; those of policies come with each request. */
  get hasLimits(): boolean {
    return this.#requestLimits.length + this.#ruleLimits.length > 0;
  }

  /**
   * Takes one call from every limit the request is due, or from none when one of them is exceeded.
   *
   * @param extra Limits of the policy for this call; taken in phase `allowed` alone, after the configured ones.
   * @returns the first exceeded limit, or undefined when the request may go on; a promise only if the store has to wait
   */
  takeAll(
    subject: LimitSubject,
    phase: LimitPhase,
    extra: readonly ExtraLimit[] = [],
  ): LimitRefusal | undefined | Promise<LimitRefusal | undefined> {
    const takes: Take[] = [];
    addTakes(takes, this.#requestLimits, subject);
    if (phase === 'allowed') {
      addTakes(takes, this.#ruleLimits, subject);
      for (const limit of extra) takes.push(takeOf(limit));
    }
    return takes.length === 0 ? undefined : this.#take(takes);
  }

  #take(takes: readonly Take[]): LimitRefusal | undefined | Promise<LimitRefusal | undefined> {
    let exceeded: ReturnType<LimitStore['takeAll']>;
    try {
      exceeded = this.#store.takeAll(takes);
    } catch {
      return this.#takeWithoutStore(takes);
    }
    if (!(exceeded instanceof Promise)) return this.#refusalOf(takes, exceeded);
    return exceeded.then(
      (settled) => this.#refusalOf(takes, settled),
      () => this.#takeWithoutStore(takes),
    );
  }

  async #takeWithoutStore(takes: readonly Take[]): Promise<LimitRefusal | undefined> {
    for (const { limit } of takes) this.#observer?.decidedWithoutStore(limit);
    const exceeded = await takeWithoutStore(takes, (take) => this.#failureModeOf(take), this.#fallback);
    return this.#refusalOf(takes, exceeded);
  }

  #failureModeOf(take: Take): OnStoreFailure {
    return this.#onStoreFailure.get(take.limit) ?? this.#defaultOnStoreFailure;
  }

  #refusalOf(takes: readonly Take[], exceeded: Exceeded | undefined): LimitRefusal | undefined {
    if (exceeded === undefined) return undefined;
    const limit = takes[exceeded.index]?.limit ?? 'unknown';
    this.#observer?.limited(limit);
    return { limit, retryAfterMs: exceeded.retryAfterMs };
  }
}

function addTakes(takes: Take[], limits: readonly ConfiguredLimit[], subject: LimitSubject): void {
  for (const limit of limits) {
    const take = limit.takeFor(subject);
    if (take !== undefined) takes.push(take);
  }
}

function takeOf({ name, rate, scope }: ExtraLimit): Take {
  return { limit: name, key: windowKey('policy', name, scope), calls: rate.calls, windowMs: rate.windowMs };
}
