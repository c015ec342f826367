/**
 * The last head of a connection. A client says the same head again and again, but for the length of the body: what was read and
 * judged byte for byte need not be read again.
 */
import { MAX_HEAD_BYTES, type PlainHead, readLength, readPlainHead } from './plain-head.js';

/** So many heads in a row that differ from the one before: many clients share the connection, and none is worth remembering. */
const MAX_MISSES = 4;

export class RememberedHead {
  #bytes: Buffer | undefined;
  #head: PlainHead | undefined;
  #misses = 0;

  /** @returns the head that stands at `from`; undefined when there is none that is whole and plain */
  read(bytes: Buffer, from: number): PlainHead | undefined {
    const again = this.#again(bytes, from);
    if (again === undefined) return this.#anew(bytes, from);
    this.#misses = 0;
    return again;
  }

  #again(bytes: Buffer, from: number): PlainHead | undefined {
    const known = this.#bytes;
    const head = this.#head;
    if (known === undefined || head === undefined) return undefined;
    const { lengthAt } = head;
    const at = from + lengthAt;
    if (at >= bytes.length || known.compare(bytes, from, at, 0, lengthAt) !== 0) return undefined;
    const text = readLength(bytes, at);
    const end = at + text.length;
    const headEnd = end + known.length - head.lengthEnd;
    if (text === '' || headEnd > bytes.length || headEnd - from > MAX_HEAD_BYTES) return undefined;
    if (known.compare(bytes, end, headEnd, head.lengthEnd) !== 0) return undefined;
    if (text === head.headers['content-length']) return head;
    const { method, url } = head;
    const headers = { ...head.headers, 'content-length': text };
    return {
      method,
      url,
      headers,
      lengthAt,
      lengthEnd: end - from,
      bodyBytes: Number(text),
      headBytes: headEnd - from,
    };
  }

  #anew(bytes: Buffer, from: number): PlainHead | undefined {
    const head = readPlainHead(bytes, from);
    this.#bytes = undefined;
    if (head === undefined || head.lengthAt === 0 || this.#misses === MAX_MISSES) return head;
    this.#misses += 1;
    this.#head = head;
    this.#bytes = Buffer.from(bytes.subarray(from, from + head.headBytes));
    return head;
  }
}
