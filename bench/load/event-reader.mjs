/** Cuts an event stream into events. Lines end in `\n`, and an event has one data line: so do all servers measured here. */

const BLANK_LINE = Buffer.from('\n\n');
const EMPTY = Buffer.alloc(0);

export class EventReader {
  #onEvent;
  /** @type {Buffer[]} */
  #parts = [];
  #tail = EMPTY;

  /** @param {(name: string, data: Buffer) => void} onEvent */
  constructor(onEvent) {
    this.#onEvent = onEvent;
  }

  /** @param {Buffer} chunk */
  push(chunk) {
    let bytes = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk]);
    this.#tail = EMPTY;
    for (;;) {
      const end = bytes.indexOf(BLANK_LINE);
      if (end === -1) break;
      this.#parts.push(bytes.subarray(0, end));
      this.#emit();
      bytes = bytes.subarray(end + 2);
    }
    this.#keep(bytes);
  }

  /** A line break at the end stays back: the one that makes a blank line of it may come next. */
  #keep(bytes) {
    if (bytes.length === 0) return;
    const isCut = bytes[bytes.length - 1] === 10;
    const whole = isCut ? bytes.length - 1 : bytes.length;
    if (whole > 0) this.#parts.push(bytes.subarray(0, whole));
    if (isCut) this.#tail = bytes.subarray(whole);
  }

  #emit() {
    const event = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    let name = 'message';
    let data;
    for (let start = 0; start < event.length; ) {
      const newline = event.indexOf(10, start);
      const end = newline === -1 ? event.length : newline;
      const field = event.latin1Slice(start, Math.min(start + 7, end));
      if (field.startsWith('data:')) data = event.subarray(start + 5, end);
      else if (field.startsWith('event:')) name = event.latin1Slice(start + 6, end).trim();
      start = end + 1;
    }
    if (data !== undefined) this.#onEvent(name, data);
  }
}
