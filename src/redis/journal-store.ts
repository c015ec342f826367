/**
 * Journals of sessions in Redis Streams. The id of an entry is `<epoch>-<sequence + 1>`: Redis takes only ids above the last one, so
 * what an owner adds after another has taken the session (and left `<epoch>-0` there) is refused by itself.
 */
import type { OwnedSession, SessionKey } from '../cluster/session-directory.js';
import type { JournalStore, StoredEntry } from '../cluster/session-journal.js';
import type { RedisLink } from './link.js';

const OVERHEAD_BYTES = 120;
const FIELD = 'd';

export class RedisJournalStore implements JournalStore {
  readonly #link: RedisLink;

  constructor(link: RedisLink) {
    this.#link = link;
  }

  append({ key, epoch }: OwnedSession, { sequence, sealed }: StoredEntry, keepFrom: number | undefined): boolean {
    const name = this.#link.keys.journal(key);
    const id = entryId(epoch, sequence);
    return this.#link.post(sealed.length + OVERHEAD_BYTES, (redis) =>
      keepFrom === undefined
        ? redis.xadd(name, id, FIELD, sealed)
        : redis.xadd(name, 'MINID', entryId(epoch, keepFrom), id, FIELD, sealed),
    );
  }

  rewrite({ key, epoch }: OwnedSession, entries: readonly StoredEntry[], ttlMs: number): boolean {
    const name = this.#link.keys.journal(key);
    const bytes = entries.reduce((sum, { sealed }) => sum + sealed.length + OVERHEAD_BYTES, OVERHEAD_BYTES);
    return this.#link.post(bytes, (redis) => {
      const all = redis.multi().del(name).xadd(name, `${epoch}-0`, 'fence', '');
      for (const { sequence, sealed } of entries) all.xadd(name, entryId(epoch, sequence), FIELD, sealed);
      return all.pexpire(name, ttlMs).exec();
    });
  }

  async read(key: SessionKey): Promise<readonly StoredEntry[]> {
    const name = this.#link.keys.journal(key);
    const entries = await this.#link.run((redis) => redis.xrangeBuffer(name, '-', '+'));
    return entries.flatMap(readEntry);
  }
}

function entryId(epoch: number, sequence: number): string {
  return `${epoch}-${sequence + 1}`;
}

function readEntry([id, [field, sealed]]: [Buffer, Buffer[]]): StoredEntry[] {
  if (sealed === undefined || field?.toString() !== FIELD) return [];
  return [{ sequence: Number(id.toString().split('-')[1]) - 1, sealed }];
}
