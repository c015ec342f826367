import { compileGlob } from './glob.js';
import { ipScope } from './ip-scope.js';
import type { LimitDimension, LimitOptions } from './options.js';
import type { Take } from './store.js';
import { boundedKey, keyPart, keyStart } from './window-key.js';

/** Whose request it is and what it asks for. Identity is the verified one, never what the request says of itself. */
export interface LimitSubject {
  readonly principal: string;
  readonly tenant?: string | undefined;
  readonly role?: string | undefined;
  readonly route: string;
  /** Name of the tool, for `tools/call` alone. */
  readonly tool?: string | undefined;
  readonly method: string;
  readonly ip?: string | undefined;
}

/** One entry of `rateLimits.limits`, made ready: which requests it counts, when, and in which window. */
export class ConfiguredLimit {
  /** A limit that looks at roles or tools counts allowed calls only; any other counts every request. */
  readonly countsDenied: boolean;
  readonly #options: LimitOptions;
  readonly #calls: number;
  readonly #keyStart: string;
  readonly #isPerTool: boolean;
  readonly #matchesTool: ((tool: string) => boolean) | undefined;

  constructor(options: LimitOptions) {
    const { per, match, limit, burst } = options;
    this.#options = options;
    this.#calls = limit.calls + burst;
    this.#keyStart = keyStart('config', options.name);
    this.#isPerTool = per.includes('tool');
    this.#matchesTool = match?.tool === undefined ? undefined : compileGlob(match.tool);
    const looksAtRules = per.includes('tool') || per.includes('role') || (match?.tool ?? match?.role) !== undefined;
    this.countsDenied = !looksAtRules;
  }

  /** Undefined when the limit does not count this request. */
  takeFor(subject: LimitSubject): Take | undefined {
    if (!this.#matches(subject)) return undefined;
    const { name, per, limit } = this.#options;
    let key = this.#keyStart;
    for (const dimension of per) key += keyPart(scopeOf(dimension, subject));
    return { limit: name, key: boundedKey(key), calls: this.#calls, windowMs: limit.windowMs };
  }

  #matches(subject: LimitSubject): boolean {
    const { match } = this.#options;
    if (subject.tool === undefined && (this.#isPerTool || this.#matchesTool !== undefined)) return false;
    if (match === undefined) return true;
    return (
      (match.route === undefined || match.route === subject.route) &&
      (match.method === undefined || match.method === subject.method) &&
      (match.role === undefined || match.role === subject.role) &&
      (match.tenant === undefined || match.tenant === subject.tenant) &&
      (this.#matchesTool === undefined || this.#matchesTool(subject.tool ?? ''))
    );
  }
}

/** Callers without a tenant, role or address share one window: an absent value must not be a way around a limit. */
function scopeOf(dimension: LimitDimension, subject: LimitSubject): string | undefined {
  return dimension === 'ip' && subject.ip !== undefined ? ipScope(subject.ip) : subject[dimension];
}
