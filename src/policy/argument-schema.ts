/**
 * Reads the JSON Schema of an argument rule before ajv does: refuses what could reach out, bomb or be silently
 * ignored, closes the gap JSON Schema leaves open (a keyword passes every value of another type), and notes which
 * arguments the schema reads.
 */
import { describeError } from '../core/errors.js';
import { LinearRegex } from './linear-regex.js';
import { type ArgumentReads, ReadTree } from './read-tree.js';
import { ARGUMENT_FORMATS } from './formats.js';
import { DIALECT, type Keyword, KEYWORDS, REFUSED_KEYWORDS, TYPES } from './schema-keywords.js';
import { didYouMean } from './text.js';

export type SchemaObject = Readonly<Record<string, unknown>>;

export interface SchemaProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly hint?: string;
  /** The key itself is wrong, not its value. */
  readonly isKey?: boolean;
}

export interface PreparedSchema {
  readonly schema: SchemaObject;
  readonly reads: ArgumentReads;
  readonly problems: readonly SchemaProblem[];
}

const MAX_DEPTH = 32;
const MAX_SUBSCHEMAS = 2000;
const MAX_UNIQUE_ITEMS = 1000;

interface Place {
  readonly path: readonly (string | number)[];
  readonly depth: number;
  /** Where the keys of this value are noted; undefined where everything below is read anyway. */
  readonly reads: ReadTree | undefined;
  /** Types the value is known to have because of the schema around it. */
  readonly knownTypes: readonly string[] | undefined;
  /** Below `not` and `if` an added type would turn a denial into a pass, so there it has to be written. */
  readonly mustNameType: boolean;
}

/** Nothing is thrown: everything that is wrong comes back in `problems`, with its path in the schema. */
export function prepareArgumentSchema(schema: SchemaObject): PreparedSchema {
  const walk = new SchemaWalk();
  const prepared = walk.root(schema);
  return { schema: prepared, reads: walk.reads, problems: walk.problems };
}

class SchemaWalk {
  readonly problems: SchemaProblem[] = [];
  readonly reads: ArgumentReads = { root: new ReadTree(), names: new ReadTree() };
  #subschemas = 0;

  root(schema: SchemaObject): SchemaObject {
    // Arguments are an object by protocol; an array must not slip past `properties`.
    const place: Place = { path: [], depth: 1, reads: this.reads.root, knownTypes: undefined, mustNameType: false };
    const prepared = this.#object({ ...schema, type: schema.type ?? 'object' }, place);
    if (schema.type !== undefined && schema.type !== 'object') this.#report(['type'], 'arguments are always an object');
    return prepared;
  }

  #schema(schema: unknown, place: Place): unknown {
    if (typeof schema === 'boolean') return schema;
    if (isObject(schema)) return this.#object(schema, place);
    this.#report(place.path, 'a schema is a mapping, true or false');
    return false;
  }

  #object(schema: SchemaObject, place: Place): SchemaObject {
    if (place.depth > MAX_DEPTH || ++this.#subschemas > MAX_SUBSCHEMAS) {
      const isFirst = !this.problems.some((problem) => problem.message.startsWith('the schema is too large'));
      if (isFirst)
        this.#report(place.path, `the schema is too large: at most ${MAX_DEPTH} deep, ${MAX_SUBSCHEMAS} subschemas`);
      return {};
    }
    const types = this.#types(schema, place);
    const prepared: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(schema)) {
      const keyword = KEYWORDS.get(name);
      if (keyword === undefined) this.#unknownKeyword(name, place);
      else prepared[name] = this.#keyword(name, keyword, value, { ...place, knownTypes: types }, schema);
    }
    if (types !== undefined && prepared.type === undefined) prepared.type = types.length === 1 ? types[0] : types;
    if (place.reads !== undefined && readsValue(schema)) place.reads.whole = true;
    return prepared;
  }

  #keyword(name: string, keyword: Keyword, value: unknown, place: Place, schema: SchemaObject): unknown {
    const path = [...place.path, name];
    this.#checkValue(name, value, path);
    if (name === 'required' || name === 'dependentRequired') this.#nameKeys(value, place.reads);
    if (name === 'uniqueItems' && value === true) this.#checkUniqueItems(schema, path);
    const mustNameType =
      place.mustNameType || name === 'not' || name === 'if' || (name === 'contains' && 'maxContains' in schema);
    const inner: Place = {
      path,
      depth: place.depth + 1,
      reads: keyword.inPlace === true ? place.reads : undefined,
      knownTypes: keyword.inPlace === true ? place.knownTypes : name === 'propertyNames' ? ['string'] : undefined,
      mustNameType,
    };
    if (keyword.shape === 'schema') return this.#schema(value, inner);
    if (keyword.shape === 'schemas') return this.#list(value, inner);
    return keyword.shape === 'schema-map' ? this.#map(name, value, inner, place.reads) : value;
  }

  #list(value: unknown, place: Place): unknown {
    if (!Array.isArray(value)) return this.#report(place.path, 'expected a list of schemas');
    return value.map((item: unknown, index) => this.#schema(item, { ...place, path: [...place.path, index] }));
  }

  #map(name: string, value: unknown, place: Place, owner: ReadTree | undefined): unknown {
    if (!isObject(value)) return this.#report(place.path, 'expected a mapping to schemas');
    const prepared: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      if (name === 'properties' || name === 'dependentSchemas') this.#nameKey(key, owner);
      if (name === 'patternProperties') this.#checkPattern(key, [...place.path, key]);
      const reads = name === 'properties' ? owner?.child(key) : place.reads;
      prepared[key] = this.#schema(item, { ...place, path: [...place.path, key], reads });
    }
    return prepared;
  }

  /** The types the value will have; inferred from the keywords when the rule names none. */
  #types(schema: SchemaObject, place: Place): readonly string[] | undefined {
    if (typeof schema.type === 'string') return [schema.type];
    if (Array.isArray(schema.type)) return schema.type.filter((type) => typeof type === 'string');
    const judged = judgedTypes(schema);
    if (judged.length === 0) return place.knownTypes;
    if (isSame(judged, place.knownTypes) || !place.mustNameType) return judged;
    const hint = `add type: ${judged.join(' or ')}`;
    this.#report(place.path, 'below not, if and contains with maxContains, name the type', hint);
    return judged;
  }

  #checkValue(name: string, value: unknown, path: readonly (string | number)[]): void {
    if (name === 'pattern') this.#checkPattern(value, path);
    if (name === 'type') this.#checkType(value, path);
    if (name === 'format' && !(typeof value === 'string' && ARGUMENT_FORMATS.has(value))) {
      const { hint } = didYouMean(String(value), ARGUMENT_FORMATS.keys());
      this.#report(
        path,
        `unknown format "${String(value)}"`,
        hint ?? `known: ${[...ARGUMENT_FORMATS.keys()].join(', ')}`,
      );
    }
    if (name === '$ref' && !(typeof value === 'string' && /^#(?:\/|$)/.test(value))) {
      this.#report(path, 'a $ref stays inside the rule', 'use "#/$defs/name"; nothing is ever fetched');
    }
    if (name === '$schema' && value !== DIALECT)
      this.#report(path, 'argument rules are JSON Schema 2020-12', `use ${DIALECT}`);
    if (name === 'enum' && !Array.isArray(value)) this.#report(path, 'enum is a list of values');
  }

  #nameKeys(value: unknown, owner: ReadTree | undefined): void {
    const lists = Array.isArray(value)
      ? [value]
      : [Object.keys(isObject(value) ? value : {}), Object.values(isObject(value) ? value : {})];
    for (const key of lists.flat(2)) if (typeof key === 'string') this.#nameKey(key, owner);
  }

  /** Comparing every item with every other is the one keyword whose time grows with the square of the input. */
  #checkUniqueItems(schema: SchemaObject, path: readonly (string | number)[]): void {
    const { maxItems } = schema;
    if (typeof maxItems === 'number' && maxItems <= MAX_UNIQUE_ITEMS) return;
    this.#report(path, `uniqueItems needs maxItems of at most ${MAX_UNIQUE_ITEMS} beside it`);
  }

  #nameKey(key: string, owner: ReadTree | undefined): void {
    this.reads.names.child(key);
    owner?.child(key);
  }

  #checkPattern(value: unknown, path: readonly (string | number)[]): void {
    if (typeof value !== 'string') {
      this.#report(path, 'a pattern is a string');
      return;
    }
    try {
      LinearRegex.check(value);
    } catch (error) {
      this.#report(path, describeError(error), 'patterns are RE2: no look-around, no back-references');
    }
  }

  #checkType(value: unknown, path: readonly (string | number)[]): void {
    for (const type of Array.isArray(value) ? value : [value]) {
      if (typeof type === 'string' && TYPES.includes(type)) continue;
      this.#report(
        path,
        `unknown type "${String(type)}"`,
        didYouMean(String(type), TYPES).hint ?? `one of ${TYPES.join(', ')}`,
      );
    }
  }

  #unknownKeyword(name: string, place: Place): void {
    const refused = REFUSED_KEYWORDS.get(name);
    const message = refused === undefined ? `unknown keyword "${name}"` : `${name} is not supported`;
    const hint = refused ?? didYouMean(name, KEYWORDS.keys()).hint;
    this.problems.push({ path: [...place.path, name], message, isKey: true, ...(hint === undefined ? {} : { hint }) });
  }

  #report(path: readonly (string | number)[], message: string, hint?: string): undefined {
    this.problems.push({ path, message, ...(hint === undefined ? {} : { hint }) });
  }
}

function judgedTypes(schema: SchemaObject): readonly string[] {
  const types = new Set<string>();
  for (const name of Object.keys(schema)) {
    const type = name === 'format' ? ARGUMENT_FORMATS.get(String(schema.format))?.type : KEYWORDS.get(name)?.judges;
    if (type !== undefined) types.add(type);
  }
  return [...types];
}

/** `type: object` alone looks at no value; anything else but structure and notes does. */
function readsValue(schema: SchemaObject): boolean {
  return Object.keys(schema).some((name) => {
    if (name === 'type') return schema.type !== 'object';
    if (name === 'additionalProperties' && schema[name] === false) return false;
    return !(KEYWORDS.get(name)?.readsNothing ?? false);
  });
}

function isSame(judged: readonly string[], known: readonly string[] | undefined): boolean {
  return known?.length === 1 && judged.length === 1 && known[0] === judged[0];
}

function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
