/** How our event streams look on the wire. Upstream text reaches a client only as the JSON of one `data:` line. */

const LINE_END = '\n';
const PLAIN_HEAD = Buffer.from('event: message\ndata: ');
const EVENT_END = Buffer.from('\n\n');

/** Ids are the session's id, a dot, and a number that only grows: a client can name no other session's events by accident. */
export function eventId(sessionId: string, sequence: number): string {
  return `${sessionId}.${sequence}`;
}

/** Splits what a client sent as `Last-Event-ID`; undefined when it is none of ours. */
export function parseEventId(text: string): { sessionId: string; sequence: number } | undefined {
  const match = /^([\w-]{1,512})\.(\d{1,15})$/.exec(text);
  return match === null ? undefined : { sessionId: match[1] ?? '', sequence: Number(match[2]) };
}

/** @param data One line: JSON without raw line breaks. The result shares no memory with it. */
export function encodeMessageEvent(id: string, data: Buffer): Buffer {
  const head = `id: ${id}\nevent: message\ndata: `;
  const bytes = Buffer.allocUnsafe(head.length + data.length + 2);
  bytes.write(head, 0, 'latin1');
  data.copy(bytes, head.length);
  bytes[bytes.length - 2] = 0x0a;
  bytes[bytes.length - 1] = 0x0a;
  return bytes;
}

/** For streams that cannot be resumed. The result shares no memory with `data`. */
export function encodePlainEvent(data: Buffer): Buffer {
  return Buffer.concat([PLAIN_HEAD, data, EVENT_END]);
}

export function encodeEndpointEvent(id: string, path: string): string {
  return `id: ${id}${LINE_END}event: endpoint${LINE_END}data: ${path}${LINE_END}${LINE_END}`;
}

/** An id with empty data: from here on the client can resume, though nothing has been said yet. */
export function encodePrimingEvent(id: string): string {
  return `id: ${id}${LINE_END}data: ${LINE_END}${LINE_END}`;
}

export function encodeRetry(ms: number): string {
  return `retry: ${ms}${LINE_END}${LINE_END}`;
}

export const KEEP_ALIVE_COMMENT = `: ping${LINE_END}${LINE_END}`;
