/** Entries of many journals that go to Redis in one script, and what its reply says of them. */
import type { OwnedSession } from '../cluster/session-directory.js';
import type { RedisCommands } from './client.js';
import { Script } from './script.js';

/**
 * KEYS: the journal of each entry. ARGV: for each, with a space after each word, its id, the id of the oldest that stays or `-`, and how long
 * its content is; then all contents in one. A journal that is gone is not begun anew: its session has ended, or the memory was emptied and
 * all will be written again. One entry that is refused concerns no other.
 * Few long arguments, because each one costs the client some.
 * Returns which entries came after those of a later owner, counted from 0.
 */
const APPEND = new Script(`
local late, failure = {}, nil
local i, at = 0, 1
for id, from, length in string.gmatch(ARGV[1], '(%S+) (%S+) (%d+) ') do
  i = i + 1
  local key, content = KEYS[i], string.sub(ARGV[2], at, at + length - 1)
  at = at + length
  local reply
  if from == '-' then reply = redis.pcall('XADD', key, 'NOMKSTREAM', id, 'd', content)
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
  readonly #contents: Buffer[] = [];
  #facts = '';
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

  /** @param keepFrom Id of the oldest entry that stays; undefined: all do. @param bytes What room was made for. */
  add(
    session: OwnedSession,
    key: string,
    id: string,
    keepFrom: string | undefined,
    content: Buffer,
    bytes: number,
  ): void {
    this.#sessions.push(session);
    this.#keys.push(key);
    this.#facts += `${id} ${keepFrom ?? '-'} ${content.length} `;
    this.#contents.push(content);
    this.#bytes += bytes;
  }

  /**
   * Sent in full each time: entries that were repeated behind later ones would be refused as those of a former owner.
   *
   * @returns sessions that a later owner has written for
   * @throws {Error} `ReplyError`: an entry was refused for another reason
   */
  async write(redis: RedisCommands): Promise<readonly OwnedSession[]> {
    const args = [this.#facts, Buffer.concat(this.#contents)];
    const late = (await APPEND.runInOrder(redis, this.#keys, args)) as readonly number[];
    return late.flatMap((index) => this.#sessions[index] ?? []);
  }
}
