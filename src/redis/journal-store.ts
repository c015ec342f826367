/**
 * Journals of sessions in Redis Streams. The id of an entry is `<epoch>-<sequence + 1>`: Redis takes only ids above the last one, so
 * what an owner adds after another has taken the session (and left `<epoch>-0` there) is refused by itself.
 */
import type { OwnedSession, SessionKey } from '../cluster/session-directory.js';
import type { JournalStore, StoredEntry } from '../cluster/session-journal.js';
import type { RedisLink } from './link.js';
import { Script } from './script.js';

/** ARGV: epoch, TTL, then id and content of each entry. A later owner's journal stays as it is. */
const REWRITE = new Script(`
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] and tonumber(string.match(last[1][1], '^%d+')) > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[1], ARGV[1] .. '-0', 'fence', '')
for i = 3, #ARGV, 2 do redis.call('XADD', KEYS[1], ARGV[i], 'd', ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`);

const OVERHEAD_BYTES = 120;
const FIELD = 'd';

export class RedisJournalStore implements JournalStore {
  readonly #link: RedisLink;
  readonly #onTaken: (session: OwnedSession) => void;

  /** @param onTaken Told when something was refused because a later owner has written. */
  constructor(link: RedisLink, onTaken: (session: OwnedSession) => void) {
    this.#link = link;
    this.#onTaken = onTaken;
  }

  /** A journal that is gone is not begun anew: its session has ended, or the memory was emptied and all will be written again. */
  append(session: OwnedSession, { sequence, sealed }: StoredEntry, keepFrom: number | undefined): boolean {
    const { key, epoch } = session;
    const name = this.#link.keys.journal(key);
    const id = entryId(epoch, sequence);
    return this.#link.post(sealed.length + OVERHEAD_BYTES, async (redis) => {
      try {
        if (keepFrom === undefined) await redis.xadd(name, 'NOMKSTREAM', id, FIELD, sealed);
        else await redis.xadd(name, 'NOMKSTREAM', 'MINID', entryId(epoch, keepFrom), id, FIELD, sealed);
      } catch (error) {
        if (isOvertaken(error)) this.#onTaken(session);
        throw error;
      }
    });
  }

  rewrite(session: OwnedSession, entries: readonly StoredEntry[], ttlMs: number): boolean {
    const { key, epoch } = session;
    const bytes = entries.reduce((sum, { sealed }) => sum + sealed.length + OVERHEAD_BYTES, OVERHEAD_BYTES);
    const args = entries.flatMap(({ sequence, sealed }) => [entryId(epoch, sequence), sealed]);
    return this.#link.post(bytes, async (redis) => {
      const isWritten = await REWRITE.run(redis, [this.#link.keys.journal(key)], [epoch, ttlMs, ...args]);
      if (isWritten === 0) this.#onTaken(session);
    });
  }

  async read(key: SessionKey): Promise<readonly StoredEntry[]> {
    const name = this.#link.keys.journal(key);
    const entries = await this.#link.run((redis) => redis.xrangeBuffer(name, '-', '+'));
    return entries.flatMap(readEntry);
  }
}

/** Redis: "The ID specified in XADD is equal or smaller than the target stream top item". */
function isOvertaken(error: unknown): boolean {
  return error instanceof Error && error.message.includes('equal or smaller');
}

function entryId(epoch: number, sequence: number): string {
  return `${epoch}-${sequence + 1}`;
}

function readEntry([id, [field, sealed]]: [Buffer, Buffer[]]): StoredEntry[] {
  if (sealed === undefined || field?.toString() !== FIELD) return [];
  return [{ sequence: Number(id.toString().split('-')[1]) - 1, sealed }];
}
