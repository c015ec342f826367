/**
 * The keys the protocol gives a meaning to, and those that only look like them.
 * Some parsers fold case or ignore invisible characters: `Method` or `paramſ` would be one thing to us and another to the upstream.
 */
import { isSame } from './json-text.js';

interface Candidate {
  readonly key: string;
  readonly bytes: Buffer;
}

const NONE: readonly Candidate[] = [];
const IGNORABLE = /\p{Default_Ignorable_Code_Point}/gu;
const OUTER_SPACE = /^[\p{White_Space}\p{Cc}]+|[\p{White_Space}\p{Cc}]+$/gu;

/** What the most lenient reader makes of a key. */
function fold(key: string): string {
  const visible = key.normalize('NFKC').replace(IGNORABLE, '').replace(OUTER_SPACE, '');
  return visible.toUpperCase().toLowerCase().normalize('NFKC');
}

export class ProtocolKeys {
  readonly #byLength: Candidate[][] = [];
  readonly #byFold = new Map<string, string>();

  constructor(keys: readonly string[]) {
    for (const key of keys) this.#byFold.set(fold(key), key);
    const longest = Math.max(...keys.map((key) => key.length));
    for (let length = 0; length <= longest; length += 1) {
      const candidates = keys.filter((key) => key.length === length);
      this.#byLength.push(candidates.map((key) => ({ key, bytes: Buffer.from(key) })));
    }
  }

  /**
   * @param text the decoded key if it holds escapes, else undefined: then the bytes are the key
   * @returns the protocol key that this is exactly
   */
  find(bytes: Buffer, start: number, end: number, text: string | undefined): string | undefined {
    if (text !== undefined) return this.#byFold.get(fold(text)) === text ? text : undefined;
    const candidates = this.#ofLength(end - start);
    for (let i = 0; i < candidates.length; i += 1) {
      const candidate = candidates[i] as Candidate;
      if (isSame(bytes, start, end, candidate.bytes)) return candidate.key;
    }
    return undefined;
  }

  /** Whether a key that `find` does not know could be taken for one that it knows. */
  isLookalike(bytes: Buffer, start: number, end: number, text: string | undefined): boolean {
    if (text !== undefined) return this.#byFold.has(fold(text));
    if (!isVisibleAscii(bytes, start, end)) return this.#byFold.has(fold(bytes.toString('utf8', start, end)));
    if (this.#ofLength(end - start).length === 0) return false;
    return this.#byFold.has(bytes.toString('latin1', start, end).toLowerCase());
  }

  #ofLength(length: number): readonly Candidate[] {
    return length < this.#byLength.length ? (this.#byLength[length] as Candidate[]) : NONE;
  }
}

function isVisibleAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let pos = start; pos < end; pos += 1) {
    const byte = bytes[pos] as number;
    if (byte <= 0x20 || byte >= 0x7f) return false;
  }
  return true;
}

export const ENVELOPE_KEYS = new ProtocolKeys(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);

export const PARAMS_KEYS = new ProtocolKeys([
  'name',
  'arguments',
  'uri',
  'cursor',
  '_meta',
  'requestId',
  'progressToken',
  'ref',
  'argument',
  'level',
  'protocolVersion',
  'capabilities',
  'clientInfo',
  'inputResponses',
  'requestState',
  'task',
  'reason',
  'progress',
  'total',
  'message',
  'notifications',
]);

export const META_KEYS = new ProtocolKeys([
  'progressToken',
  'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/clientCapabilities',
  'io.modelcontextprotocol/clientInfo',
  'io.modelcontextprotocol/logLevel',
]);
