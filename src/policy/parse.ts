/** From text (YAML or JSON) or a node of a larger file to a policy document, or to everything that is wrong with it. */
import { isAlias, isMap, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { buildDocument } from './build.js';
import type { PolicyProblem } from './decision.js';
import type { PolicyDocument } from './document.js';
import { readShape } from './shape.js';
import { type PolicyNode, PolicySource } from './source.js';

const MAX_LENGTH = 1_048_576;
const MAX_DEPTH = 64;
const QUOTE_HINT = 'in YAML a leading * is an alias: quote the pattern, e.g. "*_bulks*"';

/** @param file how the file is called in problems and decisions; nothing is read */
export function parsePolicy(source: string, file: string): PolicyDocument | PolicyProblem[] {
  if (source.length > MAX_LENGTH) {
    return [{ file, line: 1, column: 1, path: '', message: `a policy is at most ${MAX_LENGTH} characters long` }];
  }
  const lineCounter = new LineCounter();
  const document = parseDocument(source, { lineCounter, version: '1.2', uniqueKeys: true, prettyErrors: false });
  const node: PolicyNode = { node: document.contents, document, lineCounter, file, text: source };
  const problems = document.errors.map((error) => {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    const hint = error.code === 'BAD_ALIAS' ? { hint: QUOTE_HINT } : {};
    return { file, line: Math.max(1, line), column: Math.max(1, col), path: '', message: error.message, ...hint };
  });
  return problems.length > 0 ? problems : parsePolicyNode(node);
}

/** The same for a policy written inside another file; that file's parser has reported its syntax errors already. */
export function parsePolicyNode(node: PolicyNode): PolicyDocument | PolicyProblem[] {
  const source = new PolicySource(node);
  const problems = [...aliasProblems(node, source), ...keyProblems(node, source)];
  if (problems.length > 0) return problems;
  const value = toValue(source);
  if (value === undefined || depthOf(value, MAX_DEPTH) > MAX_DEPTH) {
    return [source.problem([], `the policy is nested deeper than ${MAX_DEPTH} levels, or uses too many aliases`)];
  }
  const shape = readShape(value, source);
  if (shape.policy === undefined) return shape.problems;
  const built = buildDocument(shape.policy, shape.value, source, node.file);
  const all = [...shape.problems, ...built.problems];
  return all.length > 0 ? all.toSorted(byPlace) : built.document;
}

function toValue(source: PolicySource): unknown {
  try {
    return source.toValue();
  } catch {
    return undefined;
  }
}

function aliasProblems(node: PolicyNode, source: PolicySource): PolicyProblem[] {
  const problems: PolicyProblem[] = [];
  if (node.node === null) return problems;
  visit(node.node, {
    Alias: (_key, alias) => {
      if (resolves(alias, node)) return;
      problems.push({
        ...place(alias, node, source),
        path: '',
        message: `there is no anchor "${alias.source}"`,
        hint: QUOTE_HINT,
      });
    },
  });
  return problems;
}

function resolves(alias: Node, node: PolicyNode): boolean {
  try {
    return isAlias(alias) && alias.resolve(node.document) !== undefined;
  } catch {
    return false;
  }
}

/** Keys that cannot become keys of a plain object unharmed, in this format or in a schema. */
function keyProblems(node: PolicyNode, source: PolicySource): PolicyProblem[] {
  const problems: PolicyProblem[] = [];
  if (node.node === null) return problems;
  visit(node.node, {
    Pair: (_key, pair) => {
      const key: unknown = pair.key;
      if (
        isScalar(key) &&
        (typeof key.value === 'string' || typeof key.value === 'number') &&
        key.value !== '__proto__'
      )
        return;
      const message = isScalar(key) ? `"${String(key.value)}" cannot be used as a key` : 'a key is a plain word';
      problems.push({ ...place(key, node, source), path: '', message });
    },
  });
  return problems;
}

function place(node: unknown, { lineCounter, file }: PolicyNode, source: PolicySource) {
  if (!(isAlias(node) || isScalar(node) || isMap(node)) || !node.range) return source.positionOf([]);
  const { line, col } = lineCounter.linePos(node.range[0]);
  return { file, line, column: col };
}

/** Stops counting just past the limit, so a value that contains itself ends too. */
function depthOf(value: unknown, limit: number): number {
  if (typeof value !== 'object' || value === null || limit < 0) return 0;
  let deepest = 0;
  for (const member of Object.values(value)) deepest = Math.max(deepest, depthOf(member, limit - 1));
  return deepest + 1;
}

function byPlace(a: PolicyProblem, b: PolicyProblem): number {
  return a.line - b.line || a.column - b.column;
}
