/** Answers to `server/discover`, kept for as long and shared as widely as the server allows. */
import type { Principal } from '../auth/principal.js';
import type { Clock } from '../core/clock.js';
import { LEGACY_VERSIONS, MODERN_VERSIONS } from '../protocol/eras.js';
import { resultResponse } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';

const MAX_TTL_MS = 3_600_000;
const MAX_CALLERS = 1000;
const EVERYBODY = '';

interface Entry {
  readonly resultJson: string;
  readonly untilMs: number;
}

export class DiscoverCache {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  find(principal: Principal, id: RequestId): Message | undefined {
    const entry = this.#fresh(EVERYBODY) ?? this.#fresh(principal.id);
    return entry === undefined ? undefined : resultResponse(id, entry.resultJson);
  }

  /** Keeps an answer, and returns it as a client may see it: without revisions that the gateway cannot carry. */
  learn(principal: Principal, id: RequestId, answer: Message): Message {
    const body = JSON.parse(answer.raw.toString()) as { result?: Record<string, unknown> };
    const { result } = body;
    if (result === undefined) return answer;
    const carried = carriedOnly(result);
    this.#keep(principal, carried);
    return carried === result ? answer : resultResponse(id, JSON.stringify(carried));
  }

  #keep(principal: Principal, result: Record<string, unknown>): void {
    const { ttlMs, cacheScope } = result;
    if (typeof ttlMs !== 'number' || !(ttlMs > 0)) return;
    if (this.#entries.size >= MAX_CALLERS) this.#entries.clear();
    const key = cacheScope === 'public' ? EVERYBODY : principal.id;
    this.#entries.set(key, {
      resultJson: JSON.stringify(result),
      untilMs: this.#clock.now() + Math.min(ttlMs, MAX_TTL_MS),
    });
  }

  #fresh(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.untilMs > this.#clock.now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }
}

/** A client told of a revision would use it. */
function carriedOnly(result: Record<string, unknown>): Record<string, unknown> {
  const { supportedVersions } = result;
  if (!Array.isArray(supportedVersions)) return result;
  const carried = supportedVersions.filter(
    (version) => MODERN_VERSIONS.includes(version) || LEGACY_VERSIONS.includes(version),
  );
  return carried.length === supportedVersions.length ? result : { ...result, supportedVersions: carried };
}
