/** Windows of rate limits that all replicas count in together. */
import type { Exceeded, LimitStore, Take } from '../rate-limit/store.js';
import type { RedisLink } from './link.js';
import { Script } from './script.js';

/**
 * KEYS: windows. ARGV: for each, how many calls it admits and how long it lasts in milliseconds. Looks at all windows
 * before it touches one, so that a refusal and a value that is no count leave everything as it was. The same window
 * twice counts twice. A window without an end, which nothing here makes, is given one, or it would stay full forever.
 */
const TAKE_ALL = new Script(`
local counts = {}
for i, key in ipairs(KEYS) do
  local count = counts[key]
  if not count then
    local text = redis.call('GET', key)
    if text and not string.find(text, '^%d+$') then return redis.error_reply('ERR a window holds no count') end
    count = text and tonumber(text) or 0
  end
  if count >= tonumber(ARGV[2 * i - 1]) then
    local left = redis.call('PTTL', key)
    if left == -1 then redis.call('PEXPIRE', key, ARGV[2 * i]) end
    if left < 0 then left = tonumber(ARGV[2 * i]) end
    return {i - 1, left}
  end
  counts[key] = count + 1
end
for i, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, ARGV[2 * i]) end
end
return false
`);

export class RedisLimitStore implements LimitStore {
  readonly #link: RedisLink;

  constructor(link: RedisLink) {
    this.#link = link;
  }

  async takeAll(takes: readonly Take[]): Promise<Exceeded | undefined> {
    if (takes.length === 0) return undefined;
    const keys: string[] = [];
    const args: number[] = [];
    for (const { key, calls, windowMs } of takes) {
      keys.push(this.#link.keys.limit(key));
      args.push(calls, windowMs);
    }
    return readReply(await this.#link.run((redis) => TAKE_ALL.run(redis, keys, args)));
  }
}

/** Nothing but a clear yes admits. */
function readReply(reply: unknown): Exceeded | undefined {
  if (reply === null) return undefined;
  const [index, leftMs]: unknown[] = Array.isArray(reply) ? reply : [];
  if (typeof index !== 'number' || typeof leftMs !== 'number') throw new Error('unexpected reply to a rate limit');
  return { index, retryAfterMs: Math.max(1, leftMs) };
}
