/**
 * Entries of a session's journal as bytes: a line of JSON that says what each of them is, and behind it the events as they are on the wire,
 * one after another. What a session writes down at once is one text.
 */
import type { RequestId } from '../protocol/message.js';
import type { AskedRequest, OpenQuestion, StreamEvent } from '../protocol/stream-journal.js';

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
  /** Numbers up to that of the entry were given out. */
  | { readonly kind: 'reached' };

/** What stands in the line; short names, since there is one for every event. */
interface Head {
  readonly k: 'o' | 's' | 'a' | 'f' | 'q' | 'c' | 'e' | 'd' | 'n';
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
  /** The request that is answered, or asked. */
  readonly i?: RequestId;
  /** The same request as the server knows it. */
  readonly u?: RequestId;
  /** Requests: id, and whether it calls a tool. */
  readonly r?: readonly (readonly [RequestId, 0 | 1])[];
}

const LINE_END = 0x0a;

export function encodeEntries(entries: readonly JournalEntry[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`${JSON.stringify(entries.map(headOf))}\n`)];
  for (const entry of entries) if (entry.kind === 'said' && entry.event.bytes) parts.push(entry.event.bytes);
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

/** What is undefined in it is not written. */
function headOf(entry: JournalEntry): Writable<Head> {
  switch (entry.kind) {
    case 'opened':
      return {
        k: 'o',
        t: entry.stream,
        g: flag(entry.isGeneral),
        f: flag(entry.isFinished),
        p: entry.forgottenUpTo === entry.stream ? undefined : entry.forgottenUpTo,
        r: entry.requests.map(pairOf),
      };
    case 'said': {
      const { sequence, answers, isNotification, bytes } = entry.event;
      return {
        k: 's',
        t: entry.stream,
        q: sequence,
        g: flag(entry.isGeneral),
        w: flag(entry.isWaiting),
        n: flag(isNotification),
        l: bytes?.length,
        i: answers,
      };
    }
    case 'attached':
      return { k: 'a', t: entry.stream };
    case 'finished':
      return { k: 'f', t: entry.stream };
    case 'asked':
      return { k: 'q', r: [pairOf(entry.request)] };
    case 'settled':
      return { k: 'c', i: entry.id };
    case 'questionOpened':
      return { k: 'e', i: entry.question.clientId, u: entry.question.upstreamId };
    case 'questionClosed':
      return { k: 'd', i: entry.clientId };
    case 'reached':
      return { k: 'n' };
  }
}

type Writable<T> = { readonly [Key in keyof T]: T[Key] | undefined };

function flag(isSet: boolean): 1 | undefined {
  return isSet ? 1 : undefined;
}

function pairOf({ id, isToolCall }: AskedRequest): readonly [RequestId, 0 | 1] {
  return [id, isToolCall ? 1 : 0];
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
    case 'n':
      return { kind: 'reached' };
    default:
      return undefined;
  }
}

function requestsOf({ r = [] }: Head): AskedRequest[] {
  return r.map(([id, isToolCall]) => ({ id, isToolCall: isToolCall === 1 }));
}
