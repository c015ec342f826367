/**
 * Journals of sessions in Redis Streams. The id of an entry is `<epoch>-<sequence + 1>`: Redis takes only ids above the last one, so
 * what an owner adds after another has taken the session (and left `<epoch>-0` there) is refused by itself.
 */
import type { OwnedSession, SessionKey } from '../cluster/session-directory.js';
import type { JournalStore, StoredEntry } from '../cluster/session-journal.js';
import { JournalBatch } from './journal-batch.js';
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
  /** What was gathered, in one batch or, where no command may touch keys of several slots, in one for each journal. */
  #batches = new Map<SessionKey, JournalBatch>();

  /** @param onTaken Told when something was refused because a later owner has written. */
  constructor(link: RedisLink, onTaken: (session: OwnedSession) => void) {
    this.#link = link;
    this.#onTaken = onTaken;
  }

  gather(give: () => void): void {
    this.#link.turn.gather(give);
  }

  append(session: OwnedSession, { sequence, sealed }: StoredEntry, keepFrom: number | undefined): boolean {
    const { key, epoch } = session;
    const bytes = sealed.length + OVERHEAD_BYTES;
    if (!this.#link.reserve(bytes)) return false;
    const batch = this.#batchFor(key);
    const from = keepFrom === undefined ? undefined : entryId(epoch, keepFrom);
    batch.add(session, this.#link.keys.journal(key), entryId(epoch, sequence), from, sealed, bytes);
    this.#link.turn.gather(this.#send);
    if (batch.isFull) this.#send();
    return true;
  }

  whenSent(work: () => void): void {
    this.#link.turn.whenSent(work);
  }

  sendNow(): void {
    this.#link.turn.end();
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

  #batchFor(key: SessionKey): JournalBatch {
    const name = this.#link.isCluster ? key : '';
    let batch = this.#batches.get(name);
    if (batch === undefined) this.#batches.set(name, (batch = new JournalBatch()));
    return batch;
  }

  readonly #send = (): void => {
    const batches = this.#batches;
    this.#batches = new Map();
    for (const batch of batches.values()) {
      this.#link.postReserved(batch.size, batch.bytes, async (redis) => {
        for (const session of await batch.write(redis)) this.#onTaken(session);
      });
    }
  };
}

function entryId(epoch: number, sequence: number): string {
  return `${epoch}-${sequence + 1}`;
}

function readEntry([id, [field, sealed]]: [Buffer, Buffer[]]): StoredEntry[] {
  if (sealed === undefined || field?.toString() !== FIELD) return [];
  return [{ sequence: Number(id.toString().split('-')[1]) - 1, sealed }];
}
