/** From the journal of a session to what its next owner has to know: the streams as they were left, and the answers that are due on either side. */
import type { RequestId } from '../protocol/message.js';
import type { AskedRequest, HeardUpTo, OpenQuestion, StreamEvent, StreamSnapshot } from '../protocol/stream-journal.js';
import { decodeEntries, type JournalEntry } from './journal-entry.js';
import type { Sealer } from './sealer.js';
import type { SessionKey } from './session-directory.js';
import { entryContext, type StoredEntry } from './session-journal.js';

export interface LeftSession {
  readonly streams: readonly StreamSnapshot[];
  /** Requests whose answers were due on the general stream. */
  readonly unanswered: readonly AskedRequest[];
  /** What the server asked and the client may still answer. */
  readonly questions: readonly OpenQuestion[];
  /** Undefined: the server does not number what it says unasked, or has said nothing. */
  readonly heard: HeardUpTo | undefined;
  /** Above all that were given out. */
  readonly nextSequence: number;
}

/** Events that were said and never written down must not share their numbers with new ones. */
const SEQUENCE_GAP = 1000;

/** What was read so far. */
interface Left {
  readonly streams: Map<number, Stream>;
  readonly asked: AskedRequest[];
  readonly questions: Map<RequestId, OpenQuestion>;
  heard: HeardUpTo | undefined;
}

interface Stream {
  readonly openedAt: number;
  readonly isGeneral: boolean;
  readonly requests: readonly AskedRequest[];
  /** Undefined: its beginning was trimmed away. */
  readonly forgottenUpTo: number | undefined;
  readonly events: StreamEvent[];
  waiting: number;
  isFinished: boolean;
}

/** @param hasOneStream All events of the session go over its general stream. */
export function readJournal(
  entries: readonly StoredEntry[],
  sealer: Sealer,
  key: SessionKey,
  hasOneStream: boolean,
): LeftSession {
  const left: Left = { streams: new Map(), asked: [], questions: new Map(), heard: undefined };
  let last = 0;
  for (const { sequence, sealed } of entries) {
    const plain = sealer.open(sealed, entryContext(key, sequence));
    // Its number was made up, too.
    if (plain === undefined) continue;
    last = sequence;
    for (const entry of decodeEntries(plain)) apply(entry, left);
  }
  return {
    streams: [...left.streams.values()].map((stream) => snapshotOf(stream, hasOneStream)),
    unanswered: left.asked,
    questions: [...left.questions.values()],
    heard: left.heard,
    nextSequence: last + SEQUENCE_GAP,
  };
}

function apply(entry: JournalEntry, left: Left): void {
  const { streams, asked, questions } = left;
  switch (entry.kind) {
    case 'opened':
      streams.set(entry.stream, begin(entry, entry.forgottenUpTo));
      return;
    case 'said':
      say(entry, streams, asked);
      return;
    case 'attached': {
      const stream = streams.get(entry.stream);
      if (stream !== undefined) stream.waiting = 0;
      return;
    }
    case 'finished': {
      const stream = streams.get(entry.stream);
      if (stream !== undefined) stream.isFinished = true;
      return;
    }
    case 'asked':
      asked.push(entry.request);
      return;
    case 'settled':
      settle(asked, entry.id);
      return;
    case 'questionOpened':
      questions.set(entry.question.clientId, entry.question);
      return;
    case 'questionClosed':
      questions.delete(entry.clientId);
      return;
    case 'heard':
      left.heard = entry.heard.eventId === undefined ? undefined : entry.heard;
      return;
    case 'reached':
  }
}

function say(entry: JournalEntry & { kind: 'said' }, streams: Map<number, Stream>, asked: AskedRequest[]): void {
  const { stream: openedAt, isGeneral, isWaiting, event } = entry;
  let stream = streams.get(openedAt);
  if (stream === undefined) {
    stream = begin({ stream: openedAt, isGeneral, requests: [], isFinished: false }, undefined);
    streams.set(openedAt, stream);
  }
  stream.events.push(event);
  stream.waiting = isWaiting || stream.waiting > 0 ? stream.waiting + 1 : 0;
  if (isGeneral && event.answers !== undefined) settle(asked, event.answers);
}

/** One of several with the same id: the newest, as their owner did. */
function settle(asked: AskedRequest[], id: RequestId): void {
  const index = asked.findLastIndex((request) => request.id === id);
  if (index !== -1) asked.splice(index, 1);
}

function begin(
  { stream, isGeneral, requests, isFinished }: Omit<JournalEntry & { kind: 'opened' }, 'kind' | 'forgottenUpTo'>,
  forgottenUpTo: number | undefined,
): Stream {
  return { openedAt: stream, isGeneral, requests, forgottenUpTo, events: [], waiting: 0, isFinished };
}

function snapshotOf(stream: Stream, isOnlyStream: boolean): StreamSnapshot {
  return { ...stream, isOnlyStream, forgottenUpTo: stream.forgottenUpTo ?? beforeFirst(stream.events) };
}

/** No event has this number, so nobody can have seen it. */
function beforeFirst(events: readonly StreamEvent[]): number {
  return (events[0]?.sequence ?? 0) - 0.5;
}
