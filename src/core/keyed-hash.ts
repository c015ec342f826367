/** HMAC-SHA-256 where it is needed for every message. */
import { createHmac, hash } from 'node:crypto';

/** Bytes that SHA-256 takes at a time. */
const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
/** Longer texts are rare, and go the ordinary way. */
const MAX_FAST_BYTES = 16 * 1024;
/** Of a context, before it. */
const LENGTH_BYTES = 4;
/** UTF-8 makes at most so many bytes of one UTF-16 unit. */
const MAX_BYTES_PER_UNIT = 3;

/**
 * HMAC-SHA-256 under one key (RFC 2104), for many short texts: two hashes by `crypto.hash`, which makes no objects, in
 * place of one `Hmac`, which is a stream with memory of its own outside the heap.
 */
export class KeyedHash {
  readonly #key: Buffer;
  /** The key's block, and room for the text behind it. */
  readonly #inner = Buffer.alloc(BLOCK_BYTES + MAX_FAST_BYTES);
  /** The key's other block, and room for the inner digest behind it. */
  readonly #outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES);

  constructor(key: Buffer) {
    this.#key = key;
    const block = Buffer.alloc(BLOCK_BYTES);
    (key.length > BLOCK_BYTES ? hash('sha256', key, 'buffer') : key).copy(block);
    for (const [index, byte] of block.entries()) {
      this.#inner[index] = byte ^ 0x36;
      this.#outer[index] = byte ^ 0x5c;
    }
  }

  /** Of a text, its UTF-8 bytes. */
  hex(data: string | Uint8Array): string {
    const mostBytes = typeof data === 'string' ? data.length * MAX_BYTES_PER_UNIT : data.length;
    if (mostBytes > MAX_FAST_BYTES) return createHmac('sha256', this.#key).update(data).digest('hex');
    let end = BLOCK_BYTES;
    if (typeof data === 'string') end += this.#inner.write(data, BLOCK_BYTES);
    else {
      this.#inner.set(data, BLOCK_BYTES);
      end += data.length;
    }
    return this.#finish(end);
  }

  /** Of a context and the bytes that belong to it, where one ends and the other begins included. */
  boundHex(context: string, bytes: Uint8Array): string {
    const mostBytes = LENGTH_BYTES + context.length * MAX_BYTES_PER_UNIT + bytes.length;
    if (mostBytes > MAX_FAST_BYTES) return this.#longBoundHex(Buffer.from(context), bytes);
    const inner = this.#inner;
    const contextAt = BLOCK_BYTES + LENGTH_BYTES;
    const contextBytes = inner.write(context, contextAt);
    inner.writeUInt32BE(contextBytes, BLOCK_BYTES);
    inner.set(bytes, contextAt + contextBytes);
    return this.#finish(contextAt + contextBytes + bytes.length);
  }

  #longBoundHex(context: Buffer, bytes: Uint8Array): string {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(context.length);
    return createHmac('sha256', this.#key).update(length).update(context).update(bytes).digest('hex');
  }

  /** @param end Of what was written behind the key's block. */
  #finish(end: number): string {
    this.#outer.write(hash('sha256', this.#inner.subarray(0, end), 'hex'), BLOCK_BYTES, 'hex');
    return hash('sha256', this.#outer, 'hex');
  }
}
