/**
 * The journal of one session: what its streams say and which answers are due on either side, sealed, in the order it happened.
 * Whoever goes on with the session reads it. Entries are numbered as events are, under the epoch of the owner, so that nothing a former owner adds counts.
 */
import type { RequestId } from '../protocol/message.js';
import type {
  AskedRequest,
  HeardUpTo,
  OpenQuestion,
  StreamEvent,
  StreamJournal,
  StreamSnapshot,
} from '../protocol/stream-journal.js';
import { encodeEntries, type JournalEntry } from './journal-entry.js';
import type { Sealer } from './sealer.js';
import type { OwnedSession, SessionKey } from './session-directory.js';

/** What a session wrote down at once: one entry, or several. */
export interface StoredEntry {
  /** That of the last of them. */
  readonly sequence: number;
  readonly sealed: Buffer;
}

/** Where journals are kept. Nothing that is written is waited for; what many sessions append in one turn of the event loop is sent together. */
export interface JournalStore {
  /** Calls `give` when this turn is over, or before: what it appends is sent then. */
  gather(give: () => void): void;
  /** @param keepFrom Entries below it go; undefined: all stay. @returns false when it was not even tried */
  append(session: OwnedSession, entry: StoredEntry, keepFrom: number | undefined): boolean;
  /** Does `work` as soon as all that was gathered before it has been sent: at once, or at the end of this turn. */
  whenSent(work: () => void): void;
  /** Sends what was gathered, and does what waits for that. */
  sendNow(): void;
  /** Puts these entries in the place of all there are. */
  rewrite(session: OwnedSession, entries: readonly StoredEntry[], ttlMs: number): boolean;
  /** In order, of all epochs; the newest fence aside. @throws {Error} the memory is away */
  read(key: SessionKey): Promise<readonly StoredEntry[]>;
}

/** Gives out the numbers of events and entries: they grow together. */
export interface SequenceSource {
  nextSequence(): number;
}

/** A larger event stays with its owner alone. */
export const MAX_KEPT_BYTES = 64 * 1024;
/** A stream that is silent keeps from being trimmed what others have said since it was opened. */
const MAX_ENTRIES = 4096;
/** What the memory can be asked for at once without keeping anybody waiting. */
const MAX_BYTES = 2 * 1024 * 1024;

/** What a server asks of one client beyond so many stays with its owner alone: an answer that comes elsewhere is for nobody. */
const MAX_QUESTIONS = 256;

/** An entry counts in its own place only: not moved, not twice, and not as something else of its session. */
export function entryContext(key: SessionKey, sequence: number): string {
  return `${key} ${sequence}`;
}

/** A request whose answer is due, with the number of its entry. */
interface DueAnswer {
  sequence: number;
  readonly request: AskedRequest;
}

export class SessionJournal implements StreamJournal {
  readonly #session: OwnedSession;
  readonly #store: JournalStore;
  readonly #sealer: Sealer;
  readonly #sequences: SequenceSource;
  /** Requests whose answers are due on the general stream, by id, oldest first: a client may give the same one to several. */
  readonly #asked = new Map<RequestId, DueAnswer[]>();
  /** What the client may still answer, by its id, with the number of its entry. */
  readonly #questions = new Map<RequestId, { readonly sequence: number; readonly question: OpenQuestion }>();
  #heard: { sequence: number; readonly heard: HeardUpTo } | undefined;
  /** Written down in this turn of the event loop, and not sent yet. */
  #gathered: JournalEntry[] = [];
  #keepFrom: number | undefined;
  #keptFrom = 0;
  /** Where counting begins of what has come together since it was last written as a whole. */
  #longFrom = 0;
  #lastSequence = 0;
  /** Appended since then, trimmed or not. */
  #bytes = 0;
  /** Something could not be written down: the whole has to be written anew. */
  #isTorn = false;
  #isOver = false;

  constructor(session: OwnedSession, store: JournalStore, sealer: Sealer, sequences: SequenceSource) {
    this.#session = session;
    this.#store = store;
    this.#sealer = sealer;
    this.#sequences = sequences;
  }

  get isTorn(): boolean {
    return this.#isTorn;
  }

  /** More has come together than could be trimmed: written anew, it is what the streams hold. */
  get isLong(): boolean {
    if (this.#bytes > MAX_BYTES) return true;
    return this.#lastSequence - Math.max(this.#keptFrom, this.#longFrom) > MAX_ENTRIES;
  }

  opened(stream: number, isGeneral: boolean, requests: readonly AskedRequest[]): void {
    this.#append(stream, { kind: 'opened', stream, isGeneral, requests, isFinished: false, forgottenUpTo: stream });
  }

  said(stream: number, isGeneral: boolean, event: StreamEvent, isWaiting: boolean): void {
    this.#append(event.sequence, { kind: 'said', stream, isGeneral, isWaiting, event: kept(event, MAX_KEPT_BYTES) });
    if (isGeneral && event.answers !== undefined) this.#settle(event.answers);
  }

  attached(stream: number): void {
    this.#append(this.#sequences.nextSequence(), { kind: 'attached', stream });
  }

  finished(stream: number): void {
    this.#append(this.#sequences.nextSequence(), { kind: 'finished', stream });
  }

  keepFrom(sequence: number): void {
    this.#keepFrom = sequence;
    if (this.#heard !== undefined && this.#heard.sequence < sequence) this.#noteHeard(this.#heard.heard);
    // An answer may be long in coming, and all that is said meanwhile is not to be kept for it.
    if (this.#questions.size === 0) return;
    for (const each of [...this.#questions.values()]) if (each.sequence < sequence) this.#noteQuestion(each.question);
  }

  whenSent(work: () => void): void {
    this.#store.whenSent(work);
  }

  sendNow(): void {
    this.#store.sendNow();
  }

  /** A request is on its way whose answer is due on the general stream. */
  asked(request: AskedRequest): void {
    const sequence = this.#sequences.nextSequence();
    const due = this.#asked.get(request.id);
    if (due === undefined) this.#asked.set(request.id, [{ sequence, request }]);
    else due.push({ sequence, request });
    this.#append(sequence, { kind: 'asked', request });
  }

  /** An answer is no longer due, and none was given. */
  settled(id: RequestId): void {
    if (this.#settle(id)) this.#append(this.#sequences.nextSequence(), { kind: 'settled', id });
  }

  /** The server asks the client something; or has asked, and does not wait any more. */
  questionOpened(question: OpenQuestion): void {
    if (this.#questions.has(question.clientId) || this.#questions.size < MAX_QUESTIONS) this.#noteQuestion(question);
  }

  /** The client has answered, or an answer can do no harm any more. */
  questionClosed(clientId: RequestId): void {
    if (!this.#questions.delete(clientId)) return;
    this.#append(this.#sequences.nextSequence(), { kind: 'questionClosed', clientId });
  }

  /** What the server said unasked, up to here, was taken note of. */
  heard(heard: HeardUpTo): void {
    const last = this.#heard?.heard;
    if (heard.eventId === last?.eventId && (last === undefined || heard.sessionId === last.sessionId)) return;
    this.#noteHeard(heard);
    if (heard.eventId === undefined) this.#heard = undefined;
  }

  /**
   * Writes all anew: what the streams hold, and what is due.
   *
   * @param maxKeptBytes Events that are larger stay with their owner.
   */
  rewrite(snapshots: readonly StreamSnapshot[], ttlMs: number, maxKeptBytes = MAX_KEPT_BYTES): void {
    this.#give();
    const entries: { sequence: number; entry: JournalEntry }[] = [
      ...snapshots.flatMap((snapshot) => entriesOf(snapshot, maxKeptBytes)),
      ...[...this.#questions.values()].map(({ sequence, question }) => ({
        sequence,
        entry: { kind: 'questionOpened', question } as const,
      })),
    ];
    if (this.#heard !== undefined) {
      entries.push({ sequence: this.#heard.sequence, entry: { kind: 'heard', heard: this.#heard.heard } });
    }
    entries.sort((one, other) => one.sequence - other.sequence);
    entries.push(...this.#askedAnew());
    const reached = this.#sequences.nextSequence();
    // What the streams no longer hold was given out all the same.
    if (reached > (entries.at(-1)?.sequence ?? -1) + 1) entries.push({ sequence: reached, entry: { kind: 'reached' } });
    this.#longFrom = reached;
    this.#bytes = 0;
    const stored = entries.map(({ sequence, entry }) => ({ sequence, sealed: this.#seal(sequence, [entry]) }));
    this.#isTorn = !this.#store.rewrite(this.#session, stored, ttlMs);
  }

  /** Nothing more is written: the session is over, or somebody else's. */
  end(): void {
    this.#isOver = true;
  }

  /** Of several with one id the newest: the oldest says from where on entries count, and of all of them or of none. @returns whether it was due */
  #settle(id: RequestId): boolean {
    const due = this.#asked.get(id);
    if (due === undefined) return false;
    due.pop();
    if (due.length === 0) this.#asked.delete(id);
    return true;
  }

  /** Behind everything that was said: an answer settled another request of the same id, and must not settle these. */
  #askedAnew(): { sequence: number; entry: JournalEntry }[] {
    const all = [...this.#asked.values()].flat().toSorted((one, other) => one.sequence - other.sequence);
    return all.map((due) => {
      due.sequence = this.#sequences.nextSequence();
      return { sequence: due.sequence, entry: { kind: 'asked', request: due.request } };
    });
  }

  #noteHeard(heard: HeardUpTo): void {
    const sequence = this.#sequences.nextSequence();
    this.#heard = { sequence, heard };
    this.#append(sequence, { kind: 'heard', heard });
  }

  #noteQuestion(question: OpenQuestion): void {
    const sequence = this.#sequences.nextSequence();
    this.#questions.set(question.clientId, { sequence, question });
    this.#append(sequence, { kind: 'questionOpened', question });
  }

  #append(sequence: number, entry: JournalEntry): void {
    if (this.#isTorn || this.#isOver) return;
    this.#lastSequence = sequence;
    this.#gathered.push(entry);
    if (this.#gathered.length === 1) this.#store.gather(this.#give);
  }

  readonly #give = (): void => {
    if (this.#gathered.length === 0) return;
    const sequence = this.#lastSequence;
    const sealed = this.#seal(sequence, this.#gathered);
    this.#gathered = [];
    this.#bytes += sealed.length;
    if (!this.#store.append(this.#session, { sequence, sealed }, this.#takeKeepFrom())) this.#isTorn = true;
  };

  /** A request that is under way must be known however long ago it was asked. */
  #takeKeepFrom(): number | undefined {
    if (this.#keepFrom === undefined) return undefined;
    const [[firstAsked] = []] = this.#asked.values();
    const from = Math.min(this.#keepFrom, firstAsked?.sequence ?? this.#keepFrom, this.#lastSequence);
    this.#keepFrom = undefined;
    if (from <= this.#keptFrom) return undefined;
    this.#keptFrom = from;
    return from;
  }

  #seal(sequence: number, entries: readonly JournalEntry[]): Buffer {
    return this.#sealer.seal(encodeEntries(entries), entryContext(this.#session.key, sequence));
  }
}

function kept(event: StreamEvent, maxBytes: number): StreamEvent {
  return event.bytes === undefined || event.bytes.length <= maxBytes ? event : { ...event, bytes: undefined };
}

/** The entries that lead to this snapshot. */
function entriesOf(snapshot: StreamSnapshot, maxKeptBytes: number): { sequence: number; entry: JournalEntry }[] {
  const { openedAt: stream, isGeneral, requests, events, forgottenUpTo, waiting, isFinished } = snapshot;
  const opened = { kind: 'opened', stream, isGeneral, requests, isFinished, forgottenUpTo } as const;
  const said = events.map((event, index) => {
    const isWaiting = index >= events.length - waiting;
    return {
      sequence: event.sequence,
      entry: { kind: 'said', stream, isGeneral, isWaiting, event: kept(event, maxKeptBytes) } as const,
    };
  });
  return [{ sequence: stream, entry: opened }, ...said];
}
