import { createHmac, hash } from 'node:crypto';

/** Bytes that SHA-256 takes at a time. */
const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
/** Longer texts are rare, and go the ordinary way. */
const MAX_FAST_BYTES = 16 * 1024;
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
    this.#outer.write(hash('sha256', this.#inner.subarray(0, end), 'hex'), BLOCK_BYTES, 'hex');
    return hash('sha256', this.#outer, 'hex');
  }
}
