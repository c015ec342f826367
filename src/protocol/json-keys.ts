/**
 * Finds keys that come twice in one object, escapes decoded.
 * A small object compares its keys pairwise, by signature first; a large one goes to a Set, so the work stays linear.
 */
/** Three numbers per key: start, end, signature. */
const STRIDE = 3;
/** How long pairs are cheaper than a Set, in numbers: 16 keys by their bytes, 4 where some must be decoded to be compared. */
const PAIRWISE_PLAIN = 16 * STRIDE;
const PAIRWISE_DECODED = 4 * STRIDE;
const ESCAPED = -1;

/** One scope per open object, innermost last. Lives as long as its scanner; `reset` before each text. */
export class KeyScopes {
  #keys = new Int32Array(STRIDE * 256);
  #used = 0;
  /** The decoded text of keys with escapes, by where they stand in `#keys`. */
  #texts = new Map<number, string>();
  #bases = new Int32Array(64);
  #depth = 0;
  /** The large objects among the open ones, by depth. */
  #sets = new Map<number, Set<string>>();

  reset(): void {
    this.#used = 0;
    this.#depth = 0;
    if (this.#texts.size > 0) this.#texts.clear();
    if (this.#sets.size > 0) this.#sets.clear();
  }

  open(): void {
    this.#depth += 1;
    if (this.#depth === this.#bases.length) this.#bases = doubled(this.#bases);
    this.#bases[this.#depth] = this.#used;
  }

  close(): void {
    if (this.#sets.size > 0) this.#sets.delete(this.#depth);
    this.#used = this.#bases[this.#depth] as number;
    this.#depth -= 1;
  }

  /**
   * @param text the decoded key if it holds escapes, else undefined: then the bytes are the key
   * @returns false if the innermost object has this key already
   */
  add(bytes: Buffer, start: number, end: number, text: string | undefined): boolean {
    const base = this.#bases[this.#depth] as number;
    const limit = text !== undefined || this.#texts.size > 0 ? PAIRWISE_DECODED : PAIRWISE_PLAIN;
    if (this.#used - base >= limit) return addTo(this.#setOf(bytes), text ?? keyText(bytes, start, end));
    const signature = text === undefined ? signatureOf(bytes, start, end) : ESCAPED;
    const isNew = text === undefined ? this.#isNewPlain(bytes, start, end, signature) : this.#isNewText(bytes, text);
    if (text !== undefined) this.#texts.set(this.#used, text);
    if (this.#used === this.#keys.length) this.#keys = doubled(this.#keys);
    const keys = this.#keys;
    const at = this.#used;
    keys[at] = start;
    keys[at + 1] = end;
    keys[at + 2] = signature;
    this.#used = at + STRIDE;
    return isNew;
  }

  #isNewPlain(bytes: Buffer, start: number, end: number, signature: number): boolean {
    const keys = this.#keys;
    const used = this.#used;
    for (let at = this.#bases[this.#depth] as number; at < used; at += STRIDE) {
      const other = keys[at + 2] as number;
      if (other === signature && sameBytes(bytes, start, end, keys[at] as number)) return false;
      if (other === ESCAPED) return this.#isNewText(bytes, keyText(bytes, start, end));
    }
    return true;
  }

  #isNewText(bytes: Buffer, text: string): boolean {
    for (let at = this.#bases[this.#depth] as number; at < this.#used; at += STRIDE) {
      if (this.#textAt(bytes, at) === text) return false;
    }
    return true;
  }

  #textAt(bytes: Buffer, at: number): string {
    const keys = this.#keys;
    if (keys[at + 2] === ESCAPED) return this.#texts.get(at) as string;
    return keyText(bytes, keys[at] as number, keys[at + 1] as number);
  }

  #setOf(bytes: Buffer): Set<string> {
    const known = this.#sets.get(this.#depth);
    if (known !== undefined) return known;
    const set = new Set<string>();
    for (let at = this.#bases[this.#depth] as number; at < this.#used; at += STRIDE) set.add(this.#textAt(bytes, at));
    this.#sets.set(this.#depth, set);
    return set;
  }
}

function addTo(set: Set<string>, text: string): boolean {
  return set.size < set.add(text).size;
}

function keyText(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('utf8', start, end);
}

/** Differs for most keys that differ; never negative, so it never looks like an escaped key. */
function signatureOf(bytes: Buffer, start: number, end: number): number {
  if (start === end) return 0;
  return (((end - start) << 16) ^ ((bytes[start] as number) << 8) ^ (bytes[end - 1] as number)) & 0x3fffffff;
}

function sameBytes(bytes: Buffer, start: number, end: number, other: number): boolean {
  for (let offset = 0; start + offset < end; offset += 1) {
    if (bytes[start + offset] !== bytes[other + offset]) return false;
  }
  return true;
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
