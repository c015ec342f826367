/**
 * `when` conditions: CEL, parsed and type-checked at load, evaluated per call. Only `true` passes; every error denies.
 */
import type { ASTNode, Environment, ParseResult } from '@marcbachmann/cel-js';
import { describeError } from '../core/errors.js';
import { isLocalHeader } from '../protocol/local-headers.js';
import { type Ambiguity, findAmbiguity } from './argument-reads.js';
import {
  CALLER_INDEPENDENT,
  CelValues,
  celEnvironmentBase,
  CONDITION_VARIABLES,
  type ConditionUses,
  contextOf,
  NO_ARGUMENTS,
} from './condition-variables.js';
import type { AccessRequest } from './decision.js';
import {
  argumentReadsOf,
  childrenOf,
  forEachSelection,
  loopFactsOf,
  mentions,
  nodesOf,
  selectionOf,
  stringLiteral,
} from './expression.js';
import { LinearRegex } from './linear-regex.js';
import type { CallArguments } from './call-arguments.js';
import { didYouMean } from './text.js';

const MAX_LENGTH = 4096;
const MAX_LOOP_DEPTH = 2;
/** Values in the arguments that a condition with a loop takes, and one whose cost grows with the square. */
const MAX_LOOP_VALUES = 20_000;
const MAX_QUADRATIC_VALUES = 256;

export type ConditionResult =
  | { readonly passed: true }
  | { readonly passed: false; readonly ambiguity?: Ambiguity; readonly error?: string };

export interface Condition {
  readonly uses: ConditionUses;
  /** What the `&&` terms without `args` use; undefined if there is no such term. */
  readonly listingUses: ConditionUses | undefined;
  /** Names after `env.` that the expression needs; those it tests with `has()` are left out. */
  readonly env: readonly { readonly name: string; readonly offset: number }[];
  evaluate(request: AccessRequest, args: CallArguments, env: ReadonlyMap<string, string>): ConditionResult;
  /** The `&&` terms that do not mention `args`; any other term counts as true. */
  evaluateForListing(request: AccessRequest, env: ReadonlyMap<string, string>): ConditionResult;
}

export interface ConditionProblem {
  /** Offset in the expression, in UTF-16 units. */
  readonly offset: number;
  readonly message: string;
  readonly hint?: string;
}

/** Parses and checks one expression. It is compiled once and may be evaluated for any request after that. */
export function compileCondition(source: string): Condition | ConditionProblem[] {
  if (source.length > MAX_LENGTH)
    return [{ offset: 0, message: `a condition is at most ${MAX_LENGTH} characters long` }];
  const patterns = new Map<string, LinearRegex>();
  const celEnvironment = celEnvironmentBase
    .clone()
    .registerFunction('string.re2(string): bool', (text: string, pattern: string) => {
      const regex = patterns.get(pattern);
      if (regex === undefined) throw new Error('re2() takes a literal pattern');
      return regex.matchesWhole(text);
    });
  try {
    const whole = celEnvironment.parse(source);
    const problems = [...nodesOf(whole.ast)].flatMap((node) => refuse(node, patterns));
    if (loopFactsOf(whole.ast, CALLER_INDEPENDENT).depth > MAX_LOOP_DEPTH) {
      problems.push({ offset: 0, message: `loops stand more than ${MAX_LOOP_DEPTH} deep in each other` });
    }
    if (problems.length > 0) return problems;
    const facts = factsOf(whole.ast);
    const listing = listingPart(celEnvironment, source);
    const typeProblem = checkType(whole);
    return typeProblem === undefined ? new CelCondition(whole, listing, facts) : [typeProblem];
  } catch (error) {
    return [toProblem(error)];
  }
}

function refuse(node: ASTNode, patterns: Map<string, LinearRegex>): ConditionProblem[] {
  const header = headerNamedBy(node);
  if (header !== undefined && isLocalHeader(header.toLowerCase())) {
    const message = `request.headers never holds "${header}": conditions see neither credentials nor what is about one connection`;
    return [{ offset: node.start, message, hint: 'ask for principal.id, principal.role or principal.claims instead' }];
  }
  if (node.op !== 'rcall') return [];
  const [method, , parameters] = node.args;
  if (method === 'matches') {
    const hint = 'use .re2("..."): linear time, and it matches the whole text';
    return [{ offset: node.start, message: 'matches() is not available: its time can explode', hint }];
  }
  const [parameter] = parameters;
  if (method !== 're2' || parameter === undefined) return [];
  const pattern = stringLiteral(parameter);
  if (pattern === undefined) return [{ offset: parameter.start, message: 're2() takes a literal pattern' }];
  try {
    patterns.set(pattern, new LinearRegex(pattern));
    return [];
  } catch (error) {
    return [{ offset: parameter.start, message: describeError(error) }];
  }
}

/** The literal name in `request.headers["name"]`, `request.headers.name` or `"name" in request.headers`. */
function headerNamedBy(node: ASTNode): string | undefined {
  if (node.op === 'in') {
    const [name, container] = node.args;
    return selectionOf(container, 'request')?.join('.') === 'headers' ? stringLiteral(name) : undefined;
  }
  const keys = selectionOf(node, 'request');
  return keys?.length === 2 && keys[0] === 'headers' ? keys[1] : undefined;
}

function checkType(expression: ParseResult): ConditionProblem | undefined {
  const check = expression.check();
  if (!check.valid) return toProblem(check.error);
  if (check.type === 'bool' || check.type === 'dyn') return undefined;
  return { offset: 0, message: `a condition is a bool, this is a ${check.type}` };
}

function toProblem(error: unknown): ConditionProblem {
  const facts = typeof error === 'object' && error !== null ? error : {};
  const range = 'range' in facts && typeof facts.range === 'object' ? facts.range : undefined;
  const offset = range && 'start' in range && typeof range.start === 'number' ? range.start : 0;
  const message = 'summary' in facts && typeof facts.summary === 'string' ? facts.summary : describeError(error);
  const unknown = /^Unknown variable: (\S+)$/.exec(message)?.[1];
  return { offset, message, ...(unknown === undefined ? {} : didYouMean(unknown, CONDITION_VARIABLES)) };
}

/** The same expression with `true` in place of every `&&` term that mentions `args`; undefined if nothing is left. */
function listingPart(
  celEnvironment: Environment,
  source: string,
): { run: ParseResult; uses: ConditionUses } | undefined {
  const parsed = celEnvironment.parse(source);
  const terms = andTerms(parsed.ast);
  const kept = terms.filter((term) => !mentions(term, 'args'));
  if (kept.length === 0) return undefined;
  blankArgumentTerms(parsed.ast, () => celEnvironment.parse('true').ast);
  const uses = usesOf(parsed.ast);
  parsed.check();
  return { run: parsed, uses };
}

function andTerms(node: ASTNode): ASTNode[] {
  return node.op === '&&' ? childrenOf(node).flatMap(andTerms) : [node];
}

function blankArgumentTerms(node: ASTNode, makeTrue: () => ASTNode): void {
  if (node.op !== '&&') return;
  for (const [index, term] of node.args.entries()) {
    if (term.op === '&&') blankArgumentTerms(term, makeTrue);
    else if (mentions(term, 'args')) node.args[index] = makeTrue();
  }
}

function usesOf(ast: ASTNode): ConditionUses {
  const principal = new Set<string | undefined>();
  forEachSelection(ast, 'principal', (keys) => principal.add(keys[0]));
  const wholePrincipal = principal.has(undefined);
  return {
    args: mentions(ast, 'args'),
    caller: wholePrincipal || principal.has('id') || principal.has('claims'),
    claims: wholePrincipal || principal.has('claims'),
    request: mentions(ast, 'request'),
    time: mentions(ast, 'now'),
  };
}

function factsOf(ast: ASTNode) {
  const loops = loopFactsOf(ast, CALLER_INDEPENDENT);
  const maxValues = loops.isQuadratic
    ? MAX_QUADRATIC_VALUES
    : loops.depth > 0
      ? MAX_LOOP_VALUES
      : Number.POSITIVE_INFINITY;
  return { uses: usesOf(ast), reads: argumentReadsOf(ast), env: neededEnv(ast), maxValues };
}

function neededEnv(ast: ASTNode): { name: string; offset: number }[] {
  const tested = new Set<string>();
  const needed: { name: string; offset: number }[] = [];
  for (const node of nodesOf(ast)) {
    if (node.op === 'call' && node.args[0] === 'has') forEachSelection(node, 'env', ([name]) => tested.add(name ?? ''));
    if (node.op !== '.' || node.args[0].op !== 'id' || node.args[0].args !== 'env') continue;
    needed.push({ name: node.args[1], offset: node.start });
  }
  return needed.filter(({ name }) => !tested.has(name));
}

class CelCondition implements Condition {
  readonly uses: ConditionUses;
  readonly env: Condition['env'];
  readonly listingUses: ConditionUses | undefined;
  readonly #whole: ParseResult;
  readonly #listing: ParseResult | undefined;
  readonly #facts: ReturnType<typeof factsOf>;

  constructor(
    whole: ParseResult,
    listing: { run: ParseResult; uses: ConditionUses } | undefined,
    facts: ReturnType<typeof factsOf>,
  ) {
    this.uses = facts.uses;
    this.env = facts.env;
    this.listingUses = listing?.uses;
    this.#whole = whole;
    this.#listing = listing?.run;
    this.#facts = facts;
  }

  evaluate(request: AccessRequest, args: CallArguments, env: ReadonlyMap<string, string>): ConditionResult {
    try {
      if (!this.uses.args) return run(this.#whole, contextOf(request, this.uses, NO_ARGUMENTS, env));
      const value = args.value();
      const ambiguity = findAmbiguity(this.#facts.reads, args);
      if (ambiguity !== undefined) return { passed: false, ambiguity };
      const forCel = new CelValues(this.#facts.maxValues).convert(value);
      if (!(forCel instanceof Map)) return { passed: false, error: 'the arguments are not an object' };
      return run(this.#whole, contextOf(request, this.uses, forCel, env));
    } catch (error) {
      return { passed: false, error: toProblem(error).message };
    }
  }

  evaluateForListing(request: AccessRequest, env: ReadonlyMap<string, string>): ConditionResult {
    if (this.#listing === undefined || this.listingUses === undefined) return PASSED;
    try {
      return run(this.#listing, contextOf(request, this.listingUses, NO_ARGUMENTS, env));
    } catch (error) {
      return { passed: false, error: toProblem(error).message };
    }
  }
}

const PASSED: ConditionResult = { passed: true };

function run(expression: ParseResult, context: Record<string, unknown>): ConditionResult {
  const result: unknown = expression(context);
  if (result === true) return PASSED;
  return result === false ? { passed: false } : { passed: false, error: `a ${typeof result} instead of a bool` };
}
