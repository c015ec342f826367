/**
 * One place that configuration values come from: a YAML file, standard input, or the command line.
 * Holds the plain values and knows for each where it was written, also for those that a variable or flag replaced.
 */
import { resolve } from 'node:path';
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  visit,
  type Document,
  type LineCounter,
  type Node,
  type Pair,
  type YAMLMap,
} from 'yaml';
import type { PolicyNode } from '../policy/source.js';
import { formatPath, pathKey, type Path, type Position, type Problem } from './problem.js';

/** The parsed text, for positions. */
export interface SourceNodes {
  document: Document;
  lines: LineCounter;
  text: string;
  /** Scalars without quotes whose text came from variables: nobody said whether they are text or number. */
  plainExpanded: ReadonlySet<Node>;
  /** All scalars whose text came from variables. */
  expanded: ReadonlySet<Node>;
}

interface Found {
  node: Node | undefined;
  key: Node | undefined;
}

export class ConfigSource {
  /** As a person knows it: a path, `<stdin>` or `command line`. */
  readonly file: string;
  readonly #baseDir: string;
  readonly #nodes: SourceNodes | undefined;
  readonly #origins = new Map<string, string>();
  readonly #index = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();
  #value: unknown;

  constructor(file: string, baseDir: string, value: unknown, nodes?: SourceNodes) {
    this.file = file;
    this.#baseDir = baseDir;
    this.#value = value ?? {};
    this.#nodes = nodes;
  }

  /** Where relative paths start that are written in the file itself. */
  get baseDir(): string {
    return this.#baseDir;
  }

  /** The plain value at `path`, or undefined. */
  get(path: Path = []): unknown {
    let value = this.#value;
    for (const part of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
      value = (value as Record<string | number, unknown>)[part];
    }
    return value;
  }

  /** Puts a value from elsewhere over what is written; `origin` is the flag or variable to blame. */
  override(path: Path, value: unknown, origin: string): void {
    this.#origins.set(pathKey(path), origin);
    this.replace(path, value);
  }

  /** Replaces a value and keeps its position. */
  replace(path: Path, value: unknown): void {
    this.#value = withValue(this.#value, path, value);
  }

  /** True when the value is text from outside the file that may just as well be meant as a number or boolean. */
  isUntyped(path: Path): boolean {
    if (this.#origins.has(pathKey(path))) return true;
    const { node } = this.#find(path);
    return node !== undefined && this.#nodes?.plainExpanded.has(node) === true;
  }

  /** True when the value is not written in the file: it came from a variable, a secret file or a flag. */
  isExpanded(path: Path): boolean {
    if (this.#origins.has(pathKey(path))) return true;
    const { node } = this.#find(path);
    return node !== undefined && this.#nodes?.expanded.has(node) === true;
  }

  /** True when anything below `path` came from a variable or a secret file. */
  holdsExpanded(path: Path): boolean {
    const { node } = this.#find(path);
    let found = false;
    const look = (_key: unknown, scalar: Node): symbol | undefined => {
      found ||= this.#nodes?.expanded.has(scalar) === true;
      return found ? visit.BREAK : undefined;
    };
    if (node !== undefined) visit(node, { Scalar: look });
    return found;
  }

  /** The value as it is written, for a reader of its own; undefined when it stands in no file. */
  nodeAt(path: Path): PolicyNode | undefined {
    if (this.#nodes === undefined || this.#origins.has(pathKey(path))) return undefined;
    const { document, lines: lineCounter, text } = this.#nodes;
    return { node: this.#find(path).node ?? null, document, lineCounter, file: this.file, text };
  }

  /** An absolute path for one that is written at `path`; one from a flag or variable starts at the working directory. */
  resolveFile(path: Path, file: string, cwd: string): string {
    return resolve(this.#origins.has(pathKey(path)) ? cwd : this.#baseDir, file);
  }

  /** How a message names the file that stands at `path`: not at all when its name came from a variable. */
  nameOf(path: Path, file: string): string {
    return this.isExpanded(path) ? 'the file named here' : file;
  }

  /** Where the value (or its key) is written; for something missing, the nearest thing around it. */
  locate(path: Path, at: 'key' | 'value' = 'value'): Position {
    for (let length = path.length; length >= 0; length -= 1) {
      const origin = this.#origins.get(pathKey(path.slice(0, length)));
      if (origin !== undefined) return { file: origin, line: 0, column: 0 };
    }
    if (this.#nodes === undefined) return { file: this.file, line: 0, column: 0 };
    const { node, key } = this.#find(path);
    const target = at === 'key' ? (key ?? node) : (node ?? key);
    const { line, col } = this.#nodes.lines.linePos(target?.range?.[0] ?? 0);
    return { file: this.file, line: Math.max(1, line), column: Math.max(1, col) };
  }

  problem(path: Path, message: string, options: { at?: 'key' | 'value'; hint?: string | undefined } = {}): Problem {
    return {
      ...this.locate(path, options.at),
      path: formatPath(path),
      message,
      ...(options.hint === undefined ? {} : { hint: options.hint }),
    };
  }

  #find(path: Path): Found {
    let found: Found = { node: this.#follow(this.#nodes?.document.contents), key: undefined };
    for (const part of path) {
      const next = this.#step(found.node, part);
      if (next === undefined) break;
      found = next;
    }
    return found;
  }

  #step(node: Node | undefined, part: string | number): Found | undefined {
    if (isMap(node)) {
      const pair = this.#pairs(node).get(String(part));
      if (pair === undefined) return undefined;
      return { node: this.#follow(pair.value), key: pair.key as Node };
    }
    if (isSeq(node) && typeof part === 'number' && part < node.items.length) {
      return { node: this.#follow(node.items[part]), key: undefined };
    }
    return undefined;
  }

  /** Indexed once: a file of nothing but unknown keys asks for every one of them. */
  #pairs(map: YAMLMap): ReadonlyMap<string, Pair> {
    const known = this.#index.get(map);
    if (known !== undefined) return known;
    const pairs = new Map<string, Pair>();
    for (const pair of map.items) if (isScalar(pair.key)) pairs.set(String(pair.key.value), pair);
    this.#index.set(map, pairs);
    return pairs;
  }

  #follow(node: unknown): Node | undefined {
    if (this.#nodes !== undefined && isAlias(node)) return node.resolve(this.#nodes.document);
    return (node ?? undefined) as Node | undefined;
  }
}

/** Copies along the path only: YAML aliases share objects, and the others must not change with this one. */
function withValue(target: unknown, path: Path, value: unknown): unknown {
  const [part, ...rest] = path;
  if (part === undefined) return value;
  if (Array.isArray(target) && typeof part === 'number') {
    return target.map((item: unknown, index) => (index === part ? withValue(item, rest, value) : item));
  }
  // Anything else in the way stays, so that it is reported for what it is.
  if (target !== undefined && target !== null && (typeof target !== 'object' || Array.isArray(target))) return target;
  const fields = target as Record<string, unknown> | undefined | null;
  return { ...fields, [part]: withValue(fields?.[part], rest, value) };
}
