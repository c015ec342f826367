/** A policy as YAML nodes, and where each part of it stands in its file. Knows YAML, knows nothing of policies. */
import { type Document, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node, type Pair } from 'yaml';
import type { PolicyProblem, SourcePosition } from './decision.js';

export type DocumentPath = readonly (string | number)[];

/** A policy inside a larger file, or a whole file: ranges of nodes are offsets in `text`. */
export interface PolicyNode {
  readonly node: Node | null;
  readonly document: Document.Parsed | Document;
  readonly lineCounter: LineCounter;
  readonly file: string;
  /** The text of the whole file, to find places inside multi-line strings. */
  readonly text: string;
}

export class PolicySource {
  readonly #source: PolicyNode;

  constructor(source: PolicyNode) {
    this.#source = source;
  }

  get root(): Node | null {
    return this.#source.node;
  }

  /** Where the value at a path stands, or the nearest thing around it that exists. */
  positionOf(path: DocumentPath): SourcePosition {
    let node: unknown = this.#source.node;
    let offset = offsetOf(node) ?? 0;
    for (const key of path) {
      node = childOf(this.#resolve(node), key);
      offset = offsetOf(node) ?? offset;
    }
    return this.#at(offset);
  }

  /** Where a key stands: what is wrong with a key is shown at the key, not at its mapping. */
  positionOfKey(path: DocumentPath, key: string): SourcePosition {
    const pair = pairOf(this.#nodeAt(path), key);
    const offset = pair === undefined ? undefined : offsetOf(pair.key);
    return offset === undefined ? this.positionOf(path) : this.#at(offset);
  }

  /** Where a character of a string value stands; exact for every style but folded blocks, which give the first line. */
  positionInString(path: DocumentPath, index: number): SourcePosition {
    const node = this.#nodeAt(path);
    const start = offsetOf(node);
    if (!isScalar(node) || start === undefined) return this.positionOf(path);
    return this.#at(scalarOffset(this.#source.text, start, String(node.type), index, String(node.value)));
  }

  problem(path: DocumentPath, message: string, hint?: string, position = this.positionOf(path)): PolicyProblem {
    return { ...position, path: path.join('.'), message, ...(hint === undefined ? {} : { hint }) };
  }

  /** @throws {Error} too many aliases, or one that contains itself */
  toValue(): unknown {
    return this.#source.node?.toJS(this.#source.document, { maxAliasCount: 50 }) ?? null;
  }

  #nodeAt(path: DocumentPath): unknown {
    let node: unknown = this.#resolve(this.#source.node);
    for (const key of path) node = this.#resolve(childOf(node, key));
    return node;
  }

  #resolve(node: unknown): unknown {
    return isAlias(node) ? node.resolve(this.#source.document) : node;
  }

  #at(offset: number): SourcePosition {
    const { line, col } = this.#source.lineCounter.linePos(offset);
    return { file: this.#source.file, line: Math.max(1, line), column: Math.max(1, col) };
  }
}

function pairOf(node: unknown, key: string | number): Pair | undefined {
  if (!isMap(node)) return undefined;
  return node.items.find((pair) => String(isScalar(pair.key) ? pair.key.value : pair.key) === String(key));
}

function childOf(node: unknown, key: string | number): unknown {
  return isSeq(node) ? node.items[Number(key)] : pairOf(node, key)?.value;
}

function offsetOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return undefined;
  const [start]: readonly unknown[] = node.range;
  return typeof start === 'number' ? start : undefined;
}

function scalarOffset(text: string, start: number, type: string, index: number, value: string): number {
  switch (type) {
    case 'QUOTE_SINGLE':
      return skipCharacters(text, start + 1, index, (at) => (text.startsWith("''", at) ? 2 : 1));
    case 'QUOTE_DOUBLE':
      return skipCharacters(text, start + 1, index, (at) => escapeLength(text, at));
    case 'BLOCK_LITERAL':
      return blockOffset(text, start, value.slice(0, index));
    default:
      return type === 'PLAIN' ? start + index : start;
  }
}

function skipCharacters(text: string, start: number, count: number, lengthAt: (offset: number) => number): number {
  let offset = start;
  for (let skipped = 0; skipped < count && offset < text.length; skipped++) offset += lengthAt(offset);
  return offset;
}

function escapeLength(text: string, at: number): number {
  if (text[at] !== '\\') return 1;
  const lengths: Record<string, number> = { x: 4, u: 6, U: 10 };
  return lengths[text[at + 1] ?? ''] ?? 2;
}

/** In a literal block every line of the value is a line of the file, after its indentation. */
function blockOffset(text: string, start: number, before: string): number {
  const lines = before.split('\n');
  let lineStart = start;
  for (let line = 0; line < lines.length; line++) lineStart = text.indexOf('\n', lineStart) + 1;
  const firstLine = text.indexOf('\n', start) + 1;
  const indent = /^[ ]*/.exec(text.slice(firstLine))?.[0].length ?? 0;
  return lineStart + indent + (lines[lines.length - 1]?.length ?? 0);
}
