/** Takes of many calls that Redis counts in one script, each call for itself, and the verdict on each. */
import { ReplyError } from 'ioredis';
import type { Exceeded, Take } from '../rate-limit/store.js';
import type { RedisCommands } from './client.js';
import { Script } from './script.js';

/**
 * KEYS: windows, each once. ARGV: one text of numbers: for each window, how many calls it admits and how long it lasts in milliseconds; then
 * for each call, how many windows it is counted in, and which. Calls are judged one after another. Of each all windows are looked at before one is counted in, so
 * that a refusal and a value that is no count leave everything as it was; the same window twice counts twice. What was counted is written
 * at the end: nothing else is executed meanwhile, and time stands still. A window without an end, which nothing here makes, is given one, or
 * it would stay full forever.
 * Returns for each call 0, the window that is full (counted from 0) and when it ends, or a text that says why it could not be counted.
 */
const TAKE = new Script(`
local counts, added, numbers = {}, {}, {}
for number in string.gmatch(ARGV[1], '%d+') do numbers[#numbers + 1] = tonumber(number) end
local function count_of(key)
  if counts[key] == nil then
    local text = redis.pcall('GET', key)
    if not text then counts[key] = 0
    elseif type(text) == 'string' and string.find(text, '^%d+$') then counts[key] = tonumber(text)
    else counts[key] = false end
  end
  return counts[key]
end
local function left_of(key, lasts)
  local left = redis.call('PTTL', key)
  if left == -1 then redis.call('PEXPIRE', key, lasts) end
  if left < 0 then return lasts end
  return left
end
local function take(at, size)
  local mine = {}
  for i = 1, size do
    local window = numbers[at + i]
    local key = KEYS[window]
    local count = count_of(key)
    if not count then return 'ERR a window holds no count' end
    mine[key] = (mine[key] or 0) + 1
    if count + mine[key] > numbers[2 * window - 1] then return { i - 1, left_of(key, numbers[2 * window]) } end
  end
  for key, calls in pairs(mine) do
    counts[key] = counts[key] + calls
    added[key] = (added[key] or 0) + calls
  end
  return 0
end
local verdicts, at = {}, 2 * #KEYS + 1
while at <= #numbers do
  local size = numbers[at]
  verdicts[#verdicts + 1] = take(at, size)
  at = at + size + 1
end
for i, key in ipairs(KEYS) do
  if added[key] and redis.call('INCRBY', key, added[key]) == added[key] then redis.call('PEXPIRE', key, numbers[2 * i]) end
  added[key] = nil
end
return verdicts
`);

/** As many as Redis does in about a millisecond. */
const MAX_CALLS = 128;

interface Caller {
  readonly resolve: (exceeded: Exceeded | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class TakeBatch {
  readonly #keys: string[] = [];
  readonly #windows: number[] = [];
  readonly #calls: number[] = [];
  readonly #callers: Caller[] = [];
  /** The newest window of each key, as the script counts them. */
  readonly #numbers = new Map<string, number>();

  get isEmpty(): boolean {
    return this.#callers.length === 0;
  }

  get isFull(): boolean {
    return this.#callers.length >= MAX_CALLS;
  }

  /** @param nameOf The key of a window in Redis. */
  add(takes: readonly Take[], nameOf: (key: string) => string, caller: Caller): void {
    this.#calls.push(takes.length);
    for (const take of takes) this.#calls.push(this.#numberOf(take, nameOf));
    this.#callers.push(caller);
  }

  /** Counts, and tells every caller the verdict. */
  async count(run: <T>(work: (redis: RedisCommands) => Promise<T>) => Promise<T>): Promise<void> {
    try {
      const verdicts = await run((redis) => TAKE.run(redis, this.#keys, [this.#numbersText()]));
      for (const [index, caller] of this.#callers.entries()) tell(caller, (verdicts as readonly unknown[])[index]);
    } catch (error) {
      for (const { reject } of this.#callers) reject(error);
    }
  }

  #numbersText(): string {
    return `${this.#windows.join(' ')} ${this.#calls.join(' ')}`;
  }

  /** After a change of the configuration the same window may admit another number of calls. */
  #numberOf({ key, calls, windowMs }: Take, nameOf: (key: string) => string): number {
    const known = this.#numbers.get(key);
    if (known !== undefined && this.#windows[2 * known - 2] === calls && this.#windows[2 * known - 1] === windowMs)
      return known;
    this.#keys.push(nameOf(key));
    this.#windows.push(calls, windowMs);
    this.#numbers.set(key, this.#keys.length);
    return this.#keys.length;
  }
}

/** Nothing but a clear yes admits. */
function tell({ resolve, reject }: Caller, verdict: unknown): void {
  if (verdict === 0) return resolve(undefined);
  const [index, leftMs]: unknown[] = Array.isArray(verdict) ? verdict : [];
  if (typeof index === 'number' && typeof leftMs === 'number') {
    return resolve({ index, retryAfterMs: Math.max(1, leftMs) });
  }
  reject(typeof verdict === 'string' ? new ReplyError(verdict) : new Error('unexpected reply to a rate limit'));
}
