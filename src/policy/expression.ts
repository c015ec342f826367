/** Questions about a parsed CEL expression: what it mentions, what it reads, what it calls. Evaluates nothing. */
import type { ASTNode } from '@marcbachmann/cel-js';
import { type ArgumentReads, ReadTree } from './read-tree.js';

const COMPREHENSIONS = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

/** The nodes right below one node. */
export function childrenOf(node: ASTNode): readonly ASTNode[] {
  const found: ASTNode[] = [];
  collectNodes(node.args, found);
  return found;
}

function collectNodes(value: unknown, found: ASTNode[]): void {
  if (Array.isArray(value)) for (const item of value) collectNodes(item, found);
  else if (isNode(value)) found.push(value);
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

export function* nodesOf(node: ASTNode): Generator<ASTNode> {
  yield node;
  for (const child of childrenOf(node)) yield* nodesOf(child);
}

/** Whether a variable is named. A loop variable of the same name counts too: that only makes answers more careful. */
export function mentions(node: ASTNode, variable: string): boolean {
  for (const part of nodesOf(node)) if (part.op === 'id' && part.args === variable) return true;
  return false;
}

/** The literal keys of `variable.a.b` or `variable["a"].b`, or undefined if the node is no such selection. */
export function selectionOf(node: ASTNode, variable: string): readonly string[] | undefined {
  if (node.op === 'id') return node.args === variable ? [] : undefined;
  if (node.op !== '.' && node.op !== '[]') return undefined;
  const [object, key] = node.args;
  const parent = selectionOf(object, variable);
  if (parent === undefined) return undefined;
  const literal = typeof key === 'string' ? key : stringLiteral(key);
  return literal === undefined ? undefined : [...parent, literal];
}

export function stringLiteral(node: ASTNode): string | undefined {
  return node.op === 'value' && typeof node.args === 'string' ? node.args : undefined;
}

/** Calls `visit` with the longest selections of the variable, a bare mention being the empty one. */
export function forEachSelection(node: ASTNode, variable: string, visit: (keys: readonly string[]) => void): void {
  const keys = selectionOf(node, variable);
  if (keys !== undefined) return visit(keys);
  for (const child of childrenOf(node)) forEachSelection(child, variable, visit);
}

/** Which arguments an expression reads; below a selection everything counts as read. */
export function argumentReadsOf(node: ASTNode): ArgumentReads {
  const root = new ReadTree();
  const names = new ReadTree();
  forEachSelection(node, 'args', (keys) => {
    let tree = root;
    for (const key of keys) tree = tree.child(key);
    tree.whole = true;
  });
  for (const part of nodesOf(node)) {
    if (part.op === '.') names.child(part.args[1]);
    const literal = stringLiteral(part);
    if (literal !== undefined) names.child(literal);
  }
  return { root, names };
}

export interface LoopFacts {
  /** How deep loops (`all`, `exists`, `map` ...) stand inside each other. */
  readonly depth: number;
  /**
   * A loop looks, on every turn, at arguments or at a variable from outside, which may hold arguments: its cost may
   * grow with the square of their number.
   */
  readonly isQuadratic: boolean;
}

/** @param facts variables whose size the caller of a tool does not choose */
export function loopFactsOf(node: ASTNode, facts: ReadonlySet<string>): LoopFacts {
  const inner = childrenOf(node).map((child) => loopFactsOf(child, facts));
  const depth = Math.max(0, ...inner.map((loop) => loop.depth));
  const isQuadratic = inner.some((loop) => loop.isQuadratic);
  if (node.op !== 'rcall' || !COMPREHENSIONS.has(node.args[0])) return { depth, isQuadratic };
  const looksOutside = freeVariablesOf(node.args[2], boundBy(node)).some((variable) => !facts.has(variable));
  return { depth: depth + 1, isQuadratic: isQuadratic || looksOutside };
}

/** The name a loop or `cel.bind` introduces for its other parameters. */
function boundBy(node: ASTNode): readonly string[] {
  if (node.op !== 'rcall' || !(COMPREHENSIONS.has(node.args[0]) || node.args[0] === 'bind')) return [];
  const [variable] = node.args[2];
  return variable?.op === 'id' ? [variable.args] : [];
}

function freeVariablesOf(nodes: readonly ASTNode[], bound: readonly string[]): readonly string[] {
  return nodes.flatMap((node) => {
    if (node.op === 'id') return bound.includes(node.args) ? [] : [node.args];
    return freeVariablesOf(childrenOf(node), [...bound, ...boundBy(node)]);
  });
}
