/**
 * Entries of a session's journal as bytes: a line of JSON that says what each of them is, and behind it the events as they are on the wire,
 * one after another. What a session writes down at once is one text.
 */
import type { RequestId } from '../protocol/message.js';
import type { AskedRequest, HeardUpTo, OpenQuestion, StreamEvent } from '../protocol/stream-journal.js';

export type JournalEntry =
  | {
      readonly kind: 'opened';
      readonly stream: number;
      readonly isGeneral: boolean;
      readonly requests: readonly AskedRequest[];
      readonly isFinished: boolean;
      /** Everything up to here cannot be said again; at first the stream's own number. */
      readonly forgottenUpTo: number;
    }
  | {
      readonly kind: 'said';
      readonly stream: number;
      readonly isGeneral: boolean;
      readonly isWaiting: boolean;
      readonly event: StreamEvent;
    }
  | { readonly kind: 'attached'; readonly stream: number }
  | { readonly kind: 'finished'; readonly stream: number }
  | { readonly kind: 'asked'; readonly request: AskedRequest }
  /** Nobody waits for the answer any more. */
  | { readonly kind: 'settled'; readonly id: RequestId }
  /** The server asks the client something, or does not wait for the answer any more that may still come. */
  | { readonly kind: 'questionOpened'; readonly question: OpenQuestion }
  /** The client has answered, or need not any more. */
  | { readonly kind: 'questionClosed'; readonly clientId: RequestId }
  /** What the server said up to here has reached the session. */
  | { readonly kind: 'heard'; readonly heard: HeardUpTo }
  /** Numbers up to that of the entry were given out. */
  | { readonly kind: 'reached' };

/** What stands in the line; short names, since there is one for every event. */
interface Head {
  readonly k: 'o' | 's' | 'a' | 'f' | 'q' | 'c' | 'e' | 'd' | 'h' | 'n';
  /** Stream. */
  readonly t?: number;
  /** The general one. */
  readonly g?: 1;
  /** Waiting. */
  readonly w?: 1;
  /** Notification. */
  readonly n?: 1;
  /** Finished. */
  readonly f?: 1;
  /** Forgotten up to here. */
  readonly p?: number;
  /** How many bytes the event has; without it, it was too large to be here. */
  readonly l?: number;
  /** Sequence. */
  readonly q?: number;
  /** The request that is answered, or asked; or the event that was heard. */
  readonly i?: RequestId;
  /** The same request as the server knows it; or the session of the event. */
  readonly u?: RequestId;
  /** Requests: id, and whether it calls a tool. */
  readonly r?: readonly (readonly [RequestId, 0 | 1])[];
}

const LINE_END = 0x0a;

export function encodeEntries(entries: readonly JournalEntry[]): Buffer {
  let line = '[';
  let eventBytes = 0;
  for (const entry of entries) {
    line += line.length === 1 ? headOf(entry) : `,${headOf(entry)}`;
    eventBytes += eventOf(entry)?.length ?? 0;
  }
  line += ']\n';
  const bytes = Buffer.allocUnsafe(Buffer.byteLength(line) + eventBytes);
  let offset = bytes.write(line);
  for (const entry of entries) offset += eventOf(entry)?.copy(bytes, offset) ?? 0;
  return bytes;
}

function eventOf(entry: JournalEntry): Buffer | undefined {
  return entry.kind === 'said' ? entry.event.bytes : undefined;
}

/** A `Head` as JSON. Put together by hand: there are two for every call, and objects made for `JSON.stringify` cost more than the rest. */
function headOf(entry: JournalEntry): string {
  switch (entry.kind) {
    case 'opened': {
      const { stream, isGeneral, isFinished, requests, forgottenUpTo } = entry;
      const pairs = requests.map(pairOf).join(',');
      const forgotten = forgottenUpTo === stream ? '' : `,"p":${forgottenUpTo}`;
      return `{"k":"o","t":${stream}${flag('g', isGeneral)}${flag('f', isFinished)}${forgotten},"r":[${pairs}]}`;
    }
    case 'said': {
      const { stream, isGeneral, isWaiting, event } = entry;
      const { sequence, answers, isNotification, bytes } = event;
      const flags = flag('g', isGeneral) + flag('w', isWaiting) + flag('n', isNotification);
      const length = bytes === undefined ? '' : `,"l":${bytes.length}`;
      return `{"k":"s","t":${stream},"q":${sequence}${flags}${length}${named('i', answers)}}`;
    }
    case 'attached':
      return `{"k":"a","t":${entry.stream}}`;
    case 'finished':
      return `{"k":"f","t":${entry.stream}}`;
    case 'asked':
      return `{"k":"q","r":[${pairOf(entry.request)}]}`;
    case 'settled':
      return `{"k":"c"${named('i', entry.id)}}`;
    case 'questionOpened':
      return `{"k":"e"${named('i', entry.question.clientId)}${named('u', entry.question.upstreamId)}}`;
    case 'questionClosed':
      return `{"k":"d"${named('i', entry.clientId)}}`;
    case 'heard':
      return `{"k":"h"${named('i', entry.heard.eventId)}${named('u', entry.heard.sessionId)}}`;
    case 'reached':
      return '{"k":"n"}';
  }
}

function flag(name: string, isSet: boolean): string {
  return isSet ? `,"${name}":1` : '';
}

function named(name: string, id: RequestId | undefined): string {
  return id === undefined ? '' : `,"${name}":${textOf(id)}`;
}

function pairOf({ id, isToolCall }: AskedRequest): string {
  return `[${textOf(id)},${isToolCall ? 1 : 0}]`;
}

function textOf(id: RequestId): string {
  return typeof id === 'number' ? String(id) : JSON.stringify(id);
}

/** Those of a kind that is not known here are passed over: another version wrote them. */
export function decodeEntries(bytes: Buffer): JournalEntry[] {
  const end = bytes.indexOf(LINE_END);
  const heads = JSON.parse(bytes.toString('utf8', 0, end)) as readonly Head[];
  const entries: JournalEntry[] = [];
  let offset = end + 1;
  for (const head of heads) {
    const event = head.l === undefined ? undefined : bytes.subarray(offset, offset + head.l);
    offset += head.l ?? 0;
    const entry = entryOf(head, event);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

function entryOf(head: Head, bytes: Buffer | undefined): JournalEntry | undefined {
  const stream = head.t ?? 0;
  switch (head.k) {
    case 'o':
      return {
        kind: 'opened',
        stream,
        isGeneral: head.g === 1,
        isFinished: head.f === 1,
        requests: requestsOf(head),
        forgottenUpTo: head.p ?? stream,
      };
    case 's': {
      const event = {
        sequence: head.q ?? 0,
        bytes,
        isNotification: head.n === 1,
        answers: head.i,
      };
      return { kind: 'said', stream, isGeneral: head.g === 1, isWaiting: head.w === 1, event };
    }
    case 'a':
      return { kind: 'attached', stream };
    case 'f':
      return { kind: 'finished', stream };
    case 'q': {
      const [request] = requestsOf(head);
      return request === undefined ? undefined : { kind: 'asked', request };
    }
    case 'c':
      return head.i === undefined ? undefined : { kind: 'settled', id: head.i };
    case 'e':
      return head.i === undefined
        ? undefined
        : { kind: 'questionOpened', question: { clientId: head.i, upstreamId: head.u } };
    case 'd':
      return head.i === undefined ? undefined : { kind: 'questionClosed', clientId: head.i };
    case 'h':
      return { kind: 'heard', heard: { eventId: head.i?.toString(), sessionId: String(head.u) } };
    case 'n':
      return { kind: 'reached' };
    default:
      return undefined;
  }
}

function requestsOf({ r = [] }: Head): AskedRequest[] {
  return r.map(([id, isToolCall]) => ({ id, isToolCall: isToolCall === 1 }));
}
