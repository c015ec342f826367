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
const SPACE = /^[\p{White_Space}\p{Cc}]$/u;
const NOT_ASCII = /[^\0-\x7f]/;
const CACHED_CHARACTERS = 4096;

/** What characters fold to: ASCII text, nothing, a space, or undefined when they cannot be part of a protocol key. */
const folded = new Map<string, string | undefined>();

function foldCharacter(character: string): string | undefined {
  if (folded.has(character)) return folded.get(character);
  const lower = character.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
  const visible = SPACE.test(character) ? ' ' : lower.replace(IGNORABLE, '');
  const result = NOT_ASCII.test(visible) ? undefined : visible;
  if (folded.size === CACHED_CHARACTERS) folded.clear();
  folded.set(character, result);
  return result;
}

/**
 * What the most lenient reader makes of a key: compatibility forms and case are one, invisible characters and outer space
 * are not there. Character by character, since most foreign keys are settled by their first one beyond ASCII.
 * @returns undefined when no key of `maxLength` ASCII characters can come out
 */
function fold(key: string, maxLength: number): string | undefined {
  let result = '';
  let sawGap = false;
  for (const character of key) {
    const piece = foldCharacter(character);
    if (piece === undefined) return undefined;
    if (piece === ' ') sawGap = result !== '';
    else if (piece !== '') {
      if (sawGap) return undefined;
      result += piece;
      if (result.length > maxLength) return undefined;
    }
  }
  return result;
}

export class ProtocolKeys {
  readonly #byLength: Candidate[][] = [];
  readonly #folded: ReadonlySet<string>;
  readonly #longest: number;

  /** @param keys in ASCII */
  constructor(keys: readonly string[]) {
    this.#folded = new Set(keys.map((key) => key.toLowerCase()));
    this.#longest = Math.max(...keys.map((key) => key.length));
    for (let length = 0; length <= this.#longest; length += 1) {
      const candidates = keys.filter((key) => key.length === length);
      this.#byLength.push(candidates.map((key) => ({ key, bytes: Buffer.from(key) })));
    }
  }

  /**
   * @param text the decoded key if it holds escapes, else undefined: then the bytes are the key
   * @returns the protocol key that this is exactly
   */
  find(bytes: Buffer, start: number, end: number, text: string | undefined): string | undefined {
    if (text !== undefined) return this.#ofLength(text.length).find(({ key }) => key === text)?.key;
    const candidates = this.#ofLength(end - start);
    for (let i = 0; i < candidates.length; i += 1) {
      const candidate = candidates[i] as Candidate;
      if (isSame(bytes, start, end, candidate.bytes)) return candidate.key;
    }
    return undefined;
  }

  /** Whether a key that `find` does not know could be taken for one that it knows. */
  isLookalike(bytes: Buffer, start: number, end: number, text: string | undefined): boolean {
    if (text !== undefined) return this.#isFolded(text);
    if (!isVisibleAscii(bytes, start, end)) return this.#isFolded(bytes.toString('utf8', start, end));
    if (this.#ofLength(end - start).length === 0) return false;
    return this.#folded.has(bytes.toString('latin1', start, end).toLowerCase());
  }

  #isFolded(text: string): boolean {
    const result = fold(text, this.#longest);
    return result !== undefined && this.#folded.has(result);
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
