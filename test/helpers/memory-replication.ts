/** What replicas share, in the memory of a test: it keeps the promises of the real stores, and fails when it is told to. */
import { ClusterSecrets } from '../../src/cluster/secrets.js';
import { Sealer } from '../../src/cluster/sealer.js';
import type { OwnedSession, SessionDirectory, SessionKey, StoredSession } from '../../src/cluster/session-directory.js';
import type { JournalStore, StoredEntry } from '../../src/cluster/session-journal.js';

export function testSealer(...secrets: string[]): Sealer {
  return new Sealer(new ClusterSecrets(secrets.length === 0 ? ['a secret'] : secrets).keysFor('payload'));
}

/** Journals; `isFull` drops what is written, as a link does that has too much unanswered. */
export class MemoryJournals implements JournalStore {
  isFull = false;
  isAway = false;
  readonly #journals = new Map<SessionKey, { epoch: number; entries: readonly StoredEntry[] }>();

  append({ key, epoch }: OwnedSession, entry: StoredEntry, keepFrom: number | undefined): boolean {
    if (this.isFull) return false;
    const known = this.#journals.get(key) ?? { epoch, entries: [] };
    if (known.epoch > epoch) return true;
    const kept = known.entries.filter(({ sequence }) => keepFrom === undefined || sequence >= keepFrom);
    this.#journals.set(key, { epoch, entries: [...kept, entry] });
    return true;
  }

  rewrite({ key, epoch }: OwnedSession, entries: readonly StoredEntry[]): boolean {
    if (this.isFull) return false;
    if ((this.#journals.get(key)?.epoch ?? epoch) <= epoch) this.#journals.set(key, { epoch, entries });
    return true;
  }

  gather(give: () => void): void {
    give();
  }

  whenSent(work: () => void): void {
    work();
  }

  sendNow(): void {}

  async read(key: SessionKey): Promise<readonly StoredEntry[]> {
    if (this.isAway) throw new Error('the memory is away');
    return this.entriesOf(key);
  }

  entriesOf(key: SessionKey): readonly StoredEntry[] {
    return this.#journals.get(key)?.entries ?? [];
  }

  /** Nothing that a former owner adds from here on counts. */
  fence(key: SessionKey, epoch: number): void {
    this.#journals.set(key, { epoch, entries: this.entriesOf(key) });
  }
}

/** Whose each session is, as one replica sees and changes it. */
export class MemoryDirectory implements SessionDirectory {
  isFull = false;
  isAway = false;
  /** What was asked and changed, in order. */
  readonly log: string[] = [];
  readonly sessions: Map<SessionKey, StoredSession>;
  readonly #me: string;
  readonly #journals: MemoryJournals | undefined;

  constructor(me: string, sessions = new Map<SessionKey, StoredSession>(), journals?: MemoryJournals) {
    this.#me = me;
    this.sessions = sessions;
    this.#journals = journals;
  }

  save({ key, epoch }: OwnedSession, state: Buffer): boolean {
    this.log.push(`save ${key} ${epoch}`);
    if (this.isFull) return false;
    if ((this.sessions.get(key)?.epoch ?? epoch) <= epoch) this.sessions.set(key, { owner: this.#me, epoch, state });
    return true;
  }

  async load(key: SessionKey): Promise<StoredSession | undefined> {
    this.log.push(`load ${key}`);
    this.#answer();
    return this.sessions.get(key);
  }

  async take(key: SessionKey, epoch: number): Promise<boolean> {
    this.log.push(`take ${key} ${epoch}`);
    this.#answer();
    const stored = this.sessions.get(key);
    if (stored?.epoch !== epoch) return false;
    this.sessions.set(key, { ...stored, owner: this.#me, epoch: epoch + 1 });
    this.#journals?.fence(key, epoch + 1);
    return true;
  }

  async release({ key, epoch }: OwnedSession): Promise<boolean> {
    this.log.push(`release ${key} ${epoch}`);
    this.#answer();
    const stored = this.sessions.get(key);
    if (stored?.owner !== this.#me || stored.epoch !== epoch) return false;
    this.sessions.set(key, { ...stored, owner: '' });
    return true;
  }

  remove({ key, epoch }: OwnedSession): boolean {
    if (this.isAway) return false;
    this.log.push(`remove ${key} ${epoch}`);
    if (this.isAway) return false;
    if (this.sessions.get(key)?.epoch === epoch) this.sessions.delete(key);
    return true;
  }

  touch(key: SessionKey, ttlMs: number): void {
    this.log.push(`touch ${key} ${ttlMs}`);
  }

  async areOwned(sessions: readonly OwnedSession[]): Promise<readonly (boolean | undefined)[]> {
    this.log.push(`areOwned ${sessions.length}`);
    this.#answer();
    return sessions.map(({ key, epoch }) => {
      const stored = this.sessions.get(key);
      return stored === undefined ? undefined : stored.owner === this.#me && stored.epoch === epoch;
    });
  }

  #answer(): void {
    if (this.isAway) throw new Error('the memory is away');
  }
}
