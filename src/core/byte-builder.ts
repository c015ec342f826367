/** Smaller pieces are copied together at once: a view of each would cost more than its bytes. */
const LARGE_PIECE_BYTES = 8 * 1024;
const FIRST_ROOM_BYTES = 256;
const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Bytes that come in pieces. Small ones are copied as they come, into room that doubles; large ones are kept as they are and
 * copied once, when all are there.
 */
export class ByteBuilder {
  length = 0;
  /** What came before the tail, in order. */
  #parts: Buffer[] | undefined;
  #tail = NOTHING;
  #tailBytes = 0;

  /** @param source Must not change until `take`. */
  append(source: Buffer, start: number, end: number): void {
    const bytes = end - start;
    this.length += bytes;
    if (bytes < LARGE_PIECE_BYTES) {
      this.#reserve(bytes);
      source.copy(this.#tail, this.#tailBytes, start, end);
      this.#tailBytes += bytes;
      return;
    }
    this.#parts ??= [];
    this.#closeTail(this.#parts);
    this.#parts.push(source.subarray(start, end));
  }

  appendByte(byte: number): void {
    this.#reserve(1);
    this.#tail[this.#tailBytes] = byte;
    this.#tailBytes += 1;
    this.length += 1;
  }

  /** Gives the bytes away and starts anew. */
  take(): Buffer {
    const taken = this.#joined();
    this.length = 0;
    this.#parts = undefined;
    this.#tail = NOTHING;
    this.#tailBytes = 0;
    return taken;
  }

  #joined(): Buffer {
    const parts = this.#parts;
    if (parts === undefined) return this.#tail.subarray(0, this.#tailBytes);
    this.#closeTail(parts);
    return Buffer.concat(parts, this.length);
  }

  #closeTail(parts: Buffer[]): void {
    if (this.#tailBytes > 0) parts.push(this.#tail.subarray(0, this.#tailBytes));
    this.#tail = NOTHING;
    this.#tailBytes = 0;
  }

  #reserve(bytes: number): void {
    const needed = this.#tailBytes + bytes;
    if (needed <= this.#tail.length) return;
    const larger = Buffer.allocUnsafe(Math.max(FIRST_ROOM_BYTES, needed, this.#tail.length * 2));
    this.#tail.copy(larger, 0, 0, this.#tailBytes);
    this.#tail = larger;
  }
}
