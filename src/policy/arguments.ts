/**
 * Argument rules: JSON Schema 2020-12 over `params.arguments`, compiled at load by one shared ajv.
 * Fails closed: a wrong type, an ambiguous key or number, and every error deny.
 */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { LRUCache } from 'lru-cache';
import { describeError } from '../core/errors.js';
import { findAmbiguity } from './argument-reads.js';
import { prepareArgumentSchema, type SchemaObject, type SchemaProblem } from './argument-schema.js';
import type { CallArguments } from './call-arguments.js';
import { canonicalJson } from './canonical-json.js';
import { ARGUMENT_FORMATS } from './formats.js';
import { LinearRegex } from './linear-regex.js';
import { type ArgumentReads, joinField } from './read-tree.js';

export interface ArgumentViolation {
  /** Dotted path of the argument, if one is to blame. */
  readonly field?: string;
  readonly message: string;
  /** Set when the rule could not be evaluated at all. */
  readonly error?: string;
}

export interface ArgumentRule {
  check(args: CallArguments): ArgumentViolation | undefined;
}

const regExp = Object.assign((pattern: string) => new LinearRegex(pattern), { code: 'new LinearRegex' });

/** By schema text, so that a reload compiles only what changed. */
const compiledRules = new LRUCache<string, ArgumentRule>({ max: 500 });
/** An ajv instance keeps something of everything it ever compiled, so it is replaced now and then. */
const MAX_COMPILATIONS = 1000;
let compilations = 0;
let ajv = createAjv();

/** Compiling on a fresh instance costs more than ten times as much, so there is one for all rules. */
function createAjv(): Ajv2020 {
  const instance = new Ajv2020({
    strict: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    allowUnionTypes: true,
    // Otherwise `required: [constructor]` is satisfied by what every object inherits.
    ownProperties: true,
    addUsedSchema: false,
    logger: false,
    code: { regExp },
  });
  for (const [name, { type, test }] of ARGUMENT_FORMATS) {
    if (type === 'number') instance.addFormat(name, { type, validate: (value: number) => test(value) });
    else instance.addFormat(name, { type, validate: (value: string) => test(value) });
  }
  return instance;
}

export function compileArgumentRule(schema: SchemaObject): ArgumentRule | readonly SchemaProblem[] {
  const prepared = prepareArgumentSchema(schema);
  if (prepared.problems.length > 0) return prepared.problems;
  const key = canonicalJson(schema);
  try {
    const rule = compiledRules.get(key) ?? new SchemaRule(compile(prepared.schema), prepared.reads);
    compiledRules.set(key, rule);
    return rule;
  } catch (error) {
    return [{ path: [], message: `the schema does not compile: ${describeError(error)}` }];
  }
}

function compile(schema: SchemaObject): ValidateFunction {
  if (++compilations % MAX_COMPILATIONS === 0) ajv = createAjv();
  try {
    return ajv.compile(schema);
  } finally {
    // The compiled function lives on; the cache entry would outlive every reload.
    ajv.removeSchema(schema);
  }
}

class SchemaRule implements ArgumentRule {
  readonly #validate: ValidateFunction;
  readonly #reads: ArgumentReads;

  constructor(validate: ValidateFunction, reads: ArgumentReads) {
    this.#validate = validate;
    this.#reads = reads;
  }

  check(args: CallArguments): ArgumentViolation | undefined {
    try {
      const value = args.value();
      const ambiguity = findAmbiguity(this.#reads, args);
      if (ambiguity !== undefined) return ambiguity;
      if (this.#validate(value)) return undefined;
      const violation = describe(this.#validate.errors?.[0]);
      this.#validate.errors = null;
      return violation;
    } catch (error) {
      return { message: 'could not be judged', error: describeError(error) };
    }
  }
}

/** Says which argument and what it must be; never what it was. */
function describe(error: ErrorObject | undefined): ArgumentViolation {
  if (error === undefined) return { message: 'the arguments do not match' };
  const { missingProperty, additionalProperty, unevaluatedProperty, propertyName }: Record<string, unknown> =
    error.params;
  const keys = error.instancePath.split('/').slice(1).map(unescapePointer);
  const last = missingProperty ?? additionalProperty ?? unevaluatedProperty ?? propertyName;
  if (typeof last === 'string') keys.push(last);
  const field = keys.reduce(joinField, '');
  const message = typeof missingProperty === 'string' ? 'is required' : (error.message ?? 'does not match');
  return field === '' ? { message } : { field, message };
}

function unescapePointer(key: string): string {
  return key.replaceAll('~1', '/').replaceAll('~0', '~');
}
