/** YAML text to a `ConfigSource`: strict parsing, then variables in its scalars. Schemas come later. */
import { TextDecoder } from 'node:util';
import {
  isMap,
  isScalar,
  Lexer,
  LineCounter,
  parseDocument,
  visit,
  type Alias,
  type Document,
  type Node,
  type Pair,
  type Scalar,
  type YAMLError,
} from 'yaml';
import { interpolate, type InterpolationContext } from './interpolate.js';
import type { Problem, Report } from './problem.js';
import { ConfigSource } from './source.js';

export const MAX_CONFIG_BYTES = 1_048_576;
const MAX_ALIASES = 50;
const MAX_DEPTH = 64;
const MAX_INDENT_COLUMNS = 256;
const MAX_SYNTAX_PROBLEMS = 10;
/** Their maps are pasted from MCP clients, where `${env:X}` is the way to write `${X}`. */
const CLIENT_MAPS: ReadonlySet<unknown> = new Set(['mcpServers', 'servers']);

export interface YamlContext {
  file: string;
  baseDir: string;
  env: Readonly<Record<string, string | undefined>>;
}

/** @returns undefined when the text is not usable at all; what is wrong is then in the report */
export function readYaml(bytes: Uint8Array, context: YamlContext, report: Report): ConfigSource | undefined {
  const text = decode(bytes);
  if (typeof text !== 'string') {
    report.problems.push({ file: context.file, line: 1, column: 1, path: '', ...text });
    return undefined;
  }
  const deepLine = findDeepNesting(text);
  if (deepLine !== undefined) {
    report.problems.push({ file: context.file, line: deepLine, column: 1, path: '', message: 'nested too deeply' });
    return undefined;
  }
  return parse(text, context, report);
}

function decode(bytes: Uint8Array): string | { message: string } {
  if (bytes.byteLength > MAX_CONFIG_BYTES) return { message: `larger than ${MAX_CONFIG_BYTES} bytes` };
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return { message: 'not UTF-8 text' };
  }
}

/**
 * The parser recurses, and close to the end of the stack V8 ends the process instead of throwing; so nesting is
 * bounded before. A block level takes at least one column of indentation.
 *
 * @returns the number of the line that goes too deep, from 1
 */
function findDeepNesting(text: string): number | undefined {
  const lines = text.split('\n');
  const indented = lines.findIndex(
    (line) => /^[\s?:-]*/.exec(line.slice(0, MAX_INDENT_COLUMNS + 1))?.[0].length === MAX_INDENT_COLUMNS + 1,
  );
  if (indented >= 0) return indented + 1;
  let depth = 0;
  let line = 1;
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth -= 1;
    if (depth > MAX_DEPTH) return line;
    line += token.split('\n').length - 1;
  }
  return undefined;
}

function parse(text: string, context: YamlContext, report: Report): ConfigSource | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    schema: 'core',
    version: '1.2',
    merge: false,
    // The parser compares every key with every other; ours below is linear.
    uniqueKeys: false,
    stringKeys: true,
    prettyErrors: false,
  });
  const problemAt = (offset: number, message: string, hint?: string): Problem => {
    const { line, col } = lines.linePos(offset);
    const position = { file: context.file, line: Math.max(1, line), column: Math.max(1, col) };
    return { ...position, path: '', message, ...(hint === undefined ? {} : { hint }) };
  };
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    for (const fault of faults.slice(0, MAX_SYNTAX_PROBLEMS)) {
      report.problems.push(problemAt(fault.pos[0], yamlMessage(fault), yamlHint(fault, text)));
    }
    return undefined;
  }
  const { aliasesResolve, ...scalars } = visitNodes(document, context, {
    complain: (node, message, hint) => report.problems.push(problemAt(node.range?.[0] ?? 0, message, hint)),
    onFile: (path) => report.files.add(path),
  });
  if (!aliasesResolve) return undefined;
  const value = toPlain(document, (message) => report.problems.push(problemAt(0, message)));
  if (value === undefined) return undefined;
  return new ConfigSource(context.file, context.baseDir, value.plain, { document, lines, text, ...scalars });
}

interface VisitHooks {
  complain: (node: Node, message: string, hint?: string) => void;
  onFile: (path: string) => void;
}

function visitNodes(document: Document, context: YamlContext, { complain, onFile }: VisitHooks) {
  const expanded = new Set<Node>();
  const plainExpanded = new Set<Node>();
  let aliasesResolve = true;
  visit(document, {
    Map(_key, map) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) complain(key, `duplicate key "${name}"`);
        seen.add(name);
      }
    },
    Pair(_key, pair) {
      if (isScalar(pair.key) && pair.key.value === '__proto__') complain(pair.key, 'this key is not allowed');
    },
    Alias(_key, alias: Alias, ancestors) {
      const target = alias.resolve(document);
      if (target !== undefined && !ancestors.includes(target)) return;
      aliasesResolve = false;
      complain(alias, `no complete anchor "${alias.source}" stands before this alias`);
    },
    Scalar(key, scalar: Scalar, ancestors) {
      if (key === 'key' || typeof scalar.value !== 'string') return;
      const result = interpolate(scalar.value, { ...variablesFor(ancestors, context), onFile });
      for (const { message, hint } of result.complaints) complain(scalar, message, hint);
      scalar.value = result.text;
      if (!result.expanded) return;
      expanded.add(scalar);
      if (scalar.type === 'PLAIN') plainExpanded.add(scalar);
    },
  });
  return { expanded, plainExpanded, aliasesResolve };
}

function variablesFor(ancestors: readonly unknown[], context: YamlContext): InterpolationContext {
  const [, root, section] = ancestors;
  const isClientMap = isMap(root) && isScalarKeyed(section) && CLIENT_MAPS.has(section.key.value);
  return { env: context.env, baseDir: context.baseDir, envPrefix: isClientMap };
}

function isScalarKeyed(section: unknown): section is Pair<Scalar> {
  return typeof section === 'object' && section !== null && 'key' in section && isScalar(section.key);
}

function toPlain(document: Document, complain: (message: string) => void): { plain: unknown } | undefined {
  try {
    return { plain: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown };
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    complain(`aliases stand for too much; at most ${MAX_ALIASES} uses are taken`);
    return undefined;
  }
}

function yamlMessage(fault: YAMLError): string {
  switch (fault.code) {
    case 'MULTIPLE_DOCS':
      return 'a configuration is one YAML document; "---" starts a second one';
    case 'TAB_AS_INDENT':
      return 'tabs cannot indent YAML; use spaces';
    case 'NON_STRING_KEY':
      return 'a key must be text';
    default:
      return fault.message.replace(/\s+/g, ' ').trim();
  }
}

function yamlHint(fault: YAMLError, text: string): string | undefined {
  const [start] = fault.pos;
  const line = text.slice(text.lastIndexOf('\n', start - 1) + 1).split('\n', 1)[0] ?? '';
  return /[[{].*\$\{/.test(line) ? 'inside [ ] and { } a variable stands in quotes: "${NAME}"' : undefined;
}
