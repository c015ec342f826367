/** Entries of many journals that go to Redis in one script, and what its reply says of them. */
import type { OwnedSession } from '../cluster/session-directory.js';
import type { RedisCommands } from './client.js';
import { Script, type ScriptArgument } from './script.js';

/**
 * KEYS: the journal of each entry. ARGV: for each, its id, the id of the oldest that stays or nothing, and its content. A journal that is
 * gone is not begun anew: its session has ended, or the memory was emptied and all will be written again. One entry that is refused
 * concerns no other.
 * Returns which entries came after those of a later owner, counted from 0.
 */
const APPEND = new Script(`
local late, failure = {}, nil
for i, key in ipairs(KEYS) do
  local id, from, content = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local reply
  if from == '' then reply = redis.pcall('XADD', key, 'NOMKSTREAM', id, 'd', content)
  else reply = redis.pcall('XADD', key, 'NOMKSTREAM', 'MINID', from, id, 'd', content) end
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'equal or smaller', 1, true) then late[#late + 1] = i - 1 else failure = failure or reply end
  end
end
return failure or late
`);

/** As many as Redis does in about a millisecond. */
const MAX_ENTRIES = 256;

export class JournalBatch {
  readonly #sessions: OwnedSession[] = [];
  readonly #keys: string[] = [];
  readonly #args: ScriptArgument[] = [];
  #bytes = 0;

  get size(): number {
    return this.#sessions.length;
  }

  /** What room was made for. */
  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.size >= MAX_ENTRIES;
  }

  /** @param keepFrom Id of the oldest entry that stays; empty: all do. @param bytes What room was made for. */
  add(session: OwnedSession, key: string, id: string, keepFrom: string, content: Buffer, bytes: number): void {
    this.#sessions.push(session);
    this.#keys.push(key);
    this.#args.push(id, keepFrom, content);
    this.#bytes += bytes;
  }

  /**
   * Sent in full each time: entries that were repeated behind later ones would be refused as those of a former owner.
   *
   * @returns sessions that a later owner has written for
   * @throws {Error} `ReplyError`: an entry was refused for another reason
   */
  async write(redis: RedisCommands): Promise<readonly OwnedSession[]> {
    const late = (await APPEND.runInOrder(redis, this.#keys, this.#args)) as readonly number[];
    return late.flatMap((index) => this.#sessions[index] ?? []);
  }
}
