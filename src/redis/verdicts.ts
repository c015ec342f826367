/** What one replica found out about an upstream and spares the others: a hint, never relied upon. */
import type { UpstreamFacts, UpstreamVerdictStore } from '../upstream/verdicts.js';
import type { RedisLink } from './link.js';
import { Script } from './script.js';

const TTL_MS = 5 * 60_000;

/** KEYS: facts of a route. ARGV: their life in milliseconds, then names and values. */
const REMEMBER = new Script(`
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
`);

export class UpstreamVerdicts implements UpstreamVerdictStore {
  readonly #link: RedisLink;

  constructor(link: RedisLink) {
    this.#link = link;
  }

  /** For five minutes, best effort; facts that are not given stay as they are. */
  remember(route: string, { kind, isModern }: UpstreamFacts): void {
    const args: (string | number)[] = [TTL_MS];
    if (kind !== undefined) args.push('kind', kind);
    if (isModern !== undefined) args.push('isModern', String(isModern));
    if (args.length === 1) return;
    const key = this.#link.keys.verdicts(route);
    this.#link.post(key.length + 128, (redis) => REMEMBER.run(redis, [key], args));
  }

  /** Empty when nothing is known or Redis is away. */
  async recall(route: string): Promise<UpstreamFacts> {
    try {
      const { kind, isModern } = await this.#link.run((redis) => redis.hgetall(this.#link.keys.verdicts(route)));
      return {
        ...(kind === undefined ? {} : { kind }),
        ...(isModern === 'true' || isModern === 'false' ? { isModern: isModern === 'true' } : {}),
      };
    } catch {
      return {};
    }
  }
}
