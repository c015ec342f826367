/** One entry of a session's journal as bytes: a line of JSON that says what it is, and behind it the event as it is on the wire. */
import type { RequestId } from '../protocol/message.js';
import type { AskedRequest, StreamEvent } from '../protocol/stream-journal.js';

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
  /** Numbers up to that of the entry were given out. */
  | { readonly kind: 'reached' };

/** What stands in the line; short names, since there is one for every event. */
interface Head {
  readonly k: 'o' | 's' | 'a' | 'f' | 'q' | 'c' | 'n';
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
  /** Too large to be here. */
  readonly x?: 1;
  /** Sequence. */
  readonly q?: number;
  /** The request that is answered, or asked. */
  readonly i?: RequestId;
  /** Requests: id, and whether it calls a tool. */
  readonly r?: readonly (readonly [RequestId, 0 | 1])[];
}

const LINE_END = 0x0a;

export function encodeEntry(entry: JournalEntry): Buffer {
  const head = `${JSON.stringify(headOf(entry))}\n`;
  const bytes = entry.kind === 'said' ? entry.event.bytes : undefined;
  return bytes === undefined ? Buffer.from(head) : Buffer.concat([Buffer.from(head), bytes]);
}

function headOf(entry: JournalEntry): Head {
  switch (entry.kind) {
    case 'opened':
      return {
        k: 'o',
        t: entry.stream,
        ...(entry.isGeneral && { g: 1 }),
        ...(entry.isFinished && { f: 1 }),
        ...(entry.forgottenUpTo !== entry.stream && { p: entry.forgottenUpTo }),
        r: entry.requests.map(pairOf),
      };
    case 'said': {
      const { sequence: q, answers, isNotification, bytes } = entry.event;
      return {
        k: 's',
        t: entry.stream,
        q,
        ...(entry.isGeneral && { g: 1 }),
        ...(entry.isWaiting && { w: 1 }),
        ...(isNotification && { n: 1 }),
        ...(bytes === undefined && { x: 1 }),
        ...(answers !== undefined && { i: answers }),
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
    case 'reached':
      return { k: 'n' };
  }
}

function pairOf({ id, isToolCall }: AskedRequest): readonly [RequestId, 0 | 1] {
  return [id, isToolCall ? 1 : 0];
}

/** @returns undefined for one of a kind that is not known here: another version wrote it */
export function decodeEntry(bytes: Buffer): JournalEntry | undefined {
  const end = bytes.indexOf(LINE_END);
  const head = JSON.parse(bytes.toString('utf8', 0, end)) as Head;
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
        bytes: head.x === 1 ? undefined : bytes.subarray(end + 1),
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
    case 'n':
      return { kind: 'reached' };
    default:
      return undefined;
  }
}

function requestsOf({ r = [] }: Head): AskedRequest[] {
  return r.map(([id, isToolCall]) => ({ id, isToolCall: isToolCall === 1 }));
}
