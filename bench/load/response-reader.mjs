/**
 * Reads HTTP/1.1 responses of one connection from bytes: head, then a body of known length, in chunks, or until the connection ends.
 * It trusts the servers it measures; it is no parser for the open network.
 */

/**
 * @typedef {object} ResponseHandler
 * @property {(status: number, head: string) => void} onHead `head` is lower case up to the values' own case
 * @property {(bytes: Buffer) => void} onData
 * @property {() => void} onEnd
 * @property {(error: Error) => void} onError
 */

const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');
const EMPTY = Buffer.alloc(0);

export class ResponseReader {
  /** @type {() => ResponseHandler | undefined} */
  #handler;
  #step = 'head';
  #rest = EMPTY;
  #left = 0;

  /** @param {() => ResponseHandler | undefined} handler whose response comes next */
  constructor(handler) {
    this.#handler = handler;
  }

  /** @param {Buffer} chunk */
  push(chunk) {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = EMPTY;
    while (bytes.length > 0) {
      const used = this.#take(bytes);
      if (used === 0) {
        this.#rest = bytes;
        return;
      }
      bytes = bytes.subarray(used);
    }
  }

  /** The connection has ended, which is the end of a body that said nothing of its length. */
  end() {
    if (this.#left === Infinity) this.#handler()?.onEnd();
  }

  /** Returns how many bytes were used; 0 asks for more. */
  #take(bytes) {
    if (this.#step === 'head') return this.#takeHead(bytes);
    if (this.#step === 'chunk-size') return this.#takeChunkSize(bytes);
    if (this.#step === 'chunk-end' || this.#step === 'last-end') return this.#takeLineEnd(bytes);
    return this.#takeBody(bytes);
  }

  #takeHead(bytes) {
    const end = bytes.indexOf(HEAD_END);
    if (end === -1) return 0;
    const head = bytes.latin1Slice(0, end);
    const handler = this.#handler();
    if (handler === undefined) throw new Error('a response that nobody asked for');
    const status = Number(head.slice(9, 12));
    const length = headerOf(head, 'content-length');
    handler.onHead(status, head);
    if (headerOf(head, 'transfer-encoding') !== undefined) this.#step = 'chunk-size';
    else if (length === undefined && status !== 204) this.#expectBody(Infinity);
    else if (length !== undefined && length !== '0') this.#expectBody(Number(length));
    else handler.onEnd();
    return end + 4;
  }

  #expectBody(length) {
    this.#step = 'body';
    this.#left = length;
  }

  #takeBody(bytes) {
    const part = bytes.length <= this.#left ? bytes : bytes.subarray(0, this.#left);
    this.#left -= part.length;
    const isChunk = this.#step === 'chunk';
    const handler = this.#handler();
    if (this.#left === 0) this.#step = isChunk ? 'chunk-end' : 'head';
    handler?.onData(part);
    if (this.#left === 0 && !isChunk) handler?.onEnd();
    return part.length;
  }

  #takeChunkSize(bytes) {
    const end = bytes.indexOf(LINE_END);
    if (end === -1) return 0;
    this.#left = Number.parseInt(bytes.latin1Slice(0, end), 16);
    if (Number.isNaN(this.#left)) throw new Error('a chunk without a size');
    this.#step = this.#left === 0 ? 'last-end' : 'chunk';
    return end + 2;
  }

  #takeLineEnd(bytes) {
    if (bytes.length < 2) return 0;
    const isLast = this.#step === 'last-end';
    this.#step = isLast ? 'head' : 'chunk-size';
    if (isLast) this.#handler()?.onEnd();
    return 2;
  }
}

/**
 * @param {string} head
 * @param {string} name in lower case
 * @returns {string | undefined}
 */
export function headerOf(head, name) {
  for (const line of head.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon === name.length && line.slice(0, colon).toLowerCase() === name) return line.slice(colon + 1).trim();
  }
  return undefined;
}
