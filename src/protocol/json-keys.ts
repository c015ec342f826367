/**
 * Finds keys that come twice in one object, escapes decoded.
 * A small object compares its keys pairwise, by signature first; a large one goes to a Set, so the work stays linear.
 */
const PAIRWISE_KEYS = 16;
const ESCAPED = -1;

/** One scope per open object, innermost last. Lives as long as its scanner; `reset` before each text. */
export class KeyScopes {
  #starts = new Int32Array(256);
  #ends = new Int32Array(256);
  #signatures = new Int32Array(256);
  #texts: (string | undefined)[] = [];
  #count = 0;
  #bases = new Int32Array(64);
  #sets: (Set<string> | undefined)[] = [];
  #depth = 0;

  reset(): void {
    this.#count = 0;
    this.#depth = 0;
    if (this.#texts.length > 0) this.#texts = [];
    if (this.#sets.length > 64) this.#sets = [];
  }

  open(): void {
    this.#depth += 1;
    if (this.#depth === this.#bases.length) this.#bases = doubled(this.#bases);
    this.#bases[this.#depth] = this.#count;
    this.#sets[this.#depth] = undefined;
  }

  close(): void {
    this.#sets[this.#depth] = undefined;
    this.#count = this.#bases[this.#depth] as number;
    this.#depth -= 1;
  }

  /**
   * @param text the decoded key if it holds escapes, else undefined: then the bytes are the key
   * @returns false if the innermost object has this key already
   */
  add(bytes: Buffer, start: number, end: number, text: string | undefined): boolean {
    const set = this.#sets[this.#depth];
    if (set !== undefined) return addTo(set, text ?? keyText(bytes, start, end));
    const base = this.#bases[this.#depth] as number;
    if (this.#count - base === PAIRWISE_KEYS) return addTo(this.#moveToSet(bytes), text ?? keyText(bytes, start, end));
    const isNew = text === undefined ? this.#isNewPlain(bytes, start, end, base) : this.#isNewText(bytes, text, base);
    this.#push(start, end, text === undefined ? signatureOf(bytes, start, end) : ESCAPED, text);
    return isNew;
  }

  #isNewPlain(bytes: Buffer, start: number, end: number, base: number): boolean {
    const signature = signatureOf(bytes, start, end);
    let text: string | undefined;
    for (let i = base; i < this.#count; i += 1) {
      const other = this.#signatures[i] as number;
      if (other === signature && sameBytes(bytes, start, end, this.#starts[i] as number)) return false;
      if (other === ESCAPED) {
        text ??= keyText(bytes, start, end);
        if (this.#texts[i] === text) return false;
      }
    }
    return true;
  }

  #isNewText(bytes: Buffer, text: string, base: number): boolean {
    for (let i = base; i < this.#count; i += 1) {
      if (this.#textAt(bytes, i) === text) return false;
    }
    return true;
  }

  #textAt(bytes: Buffer, index: number): string | undefined {
    if (this.#signatures[index] === ESCAPED) return this.#texts[index];
    return keyText(bytes, this.#starts[index] as number, this.#ends[index] as number);
  }

  #moveToSet(bytes: Buffer): Set<string> {
    const set = new Set<string>();
    for (let i = this.#bases[this.#depth] as number; i < this.#count; i += 1) {
      set.add(this.#textAt(bytes, i) as string);
    }
    this.#sets[this.#depth] = set;
    return set;
  }

  #push(start: number, end: number, signature: number, text: string | undefined): void {
    const index = this.#count;
    if (index === this.#starts.length) {
      this.#starts = doubled(this.#starts);
      this.#ends = doubled(this.#ends);
      this.#signatures = doubled(this.#signatures);
    }
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.#signatures[index] = signature;
    if (text !== undefined) this.#texts[index] = text;
    this.#count = index + 1;
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
