/** The keywords of JSON Schema 2020-12 that argument rules may use, and what each of them judges. */

export const DIALECT = 'https://json-schema.org/draft/2020-12/schema';
export const TYPES = ['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'];

type KeywordShape = 'schema' | 'schemas' | 'schema-map' | 'value';

export interface Keyword {
  readonly shape: KeywordShape;
  /** The only JSON type the keyword judges; other types pass it. */
  readonly judges?: 'string' | 'number' | 'array' | 'object';
  /** Applies to the value itself, not to a part of it. */
  readonly inPlace?: boolean;
  /** What it says is only about the presence of keys or about people. */
  readonly readsNothing?: boolean;
}

const judge = (type: 'string' | 'number' | 'array' | 'object', shape: KeywordShape = 'value'): Keyword => ({
  shape,
  judges: type,
});
const inPlace = (shape: KeywordShape): Keyword => ({ shape, inPlace: true, readsNothing: true });
const note: Keyword = { shape: 'value', readsNothing: true };

export const KEYWORDS: ReadonlyMap<string, Keyword> = new Map<string, Keyword>([
  ['type', { shape: 'value' }],
  ['enum', { shape: 'value' }],
  ['const', { shape: 'value' }],
  ['$ref', { shape: 'value' }],
  ['$schema', note],
  ['$comment', note],
  ['$defs', { shape: 'schema-map', readsNothing: true }],
  ['title', note],
  ['description', note],
  ['default', note],
  ['examples', note],
  ['deprecated', note],
  ['readOnly', note],
  ['writeOnly', note],
  ['allOf', inPlace('schemas')],
  ['anyOf', inPlace('schemas')],
  ['oneOf', inPlace('schemas')],
  ['not', inPlace('schema')],
  ['if', inPlace('schema')],
  ['then', inPlace('schema')],
  ['else', inPlace('schema')],
  ['dependentSchemas', { shape: 'schema-map', judges: 'object', inPlace: true, readsNothing: true }],
  ['minLength', judge('string')],
  ['maxLength', judge('string')],
  ['pattern', judge('string')],
  ['format', { shape: 'value' }],
  ['minimum', judge('number')],
  ['maximum', judge('number')],
  ['exclusiveMinimum', judge('number')],
  ['exclusiveMaximum', judge('number')],
  ['multipleOf', judge('number')],
  ['items', judge('array', 'schema')],
  ['prefixItems', judge('array', 'schemas')],
  ['contains', judge('array', 'schema')],
  ['unevaluatedItems', judge('array', 'schema')],
  ['minItems', judge('array')],
  ['maxItems', judge('array')],
  ['uniqueItems', judge('array')],
  ['minContains', judge('array')],
  ['maxContains', judge('array')],
  ['properties', { shape: 'schema-map', judges: 'object', readsNothing: true }],
  ['patternProperties', judge('object', 'schema-map')],
  ['additionalProperties', judge('object', 'schema')],
  ['unevaluatedProperties', judge('object', 'schema')],
  ['propertyNames', judge('object', 'schema')],
  ['required', { ...judge('object'), readsNothing: true }],
  ['dependentRequired', { ...judge('object'), readsNothing: true }],
  ['minProperties', { ...judge('object'), readsNothing: true }],
  ['maxProperties', { ...judge('object'), readsNothing: true }],
]);

export const REFUSED_KEYWORDS: ReadonlyMap<string, string> = new Map([
  ['$id', 'a rule stands for itself: leave $id out'],
  ['$anchor', 'use $ref with a pointer: "#/$defs/name"'],
  ['$dynamicRef', 'use $ref with a pointer: "#/$defs/name"'],
  ['$dynamicAnchor', 'use $ref with a pointer: "#/$defs/name"'],
  ['$recursiveRef', 'use $ref with a pointer: "#/$defs/name"'],
  ['$data', 'write the value into the rule'],
  ['definitions', 'JSON Schema 2020-12 calls it $defs'],
  ['dependencies', 'JSON Schema 2020-12 calls it dependentRequired or dependentSchemas'],
  ['additionalItems', 'JSON Schema 2020-12 calls it items, beside prefixItems'],
  ['nullable', 'write type: [string, "null"]'],
]);
