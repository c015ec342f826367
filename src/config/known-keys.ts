/** Which keys a schema knows at a place, for "did you mean" and for the names of environment variables. */
import { z } from 'zod';
import type { Path } from './problem.js';

/** The parts of JSON Schema that our schemas turn into. */
export interface JsonSchema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  [key: string]: unknown;
}

/** The schema of what people write, not of what we make of it. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const known = converted.get(schema);
  if (known !== undefined) return known;
  const result = z.toJSONSchema(schema, { io: 'input' }) as JsonSchema;
  converted.set(schema, result);
  return result;
}

/** A file full of mistakes asks for the same schema again and again. */
const converted = new WeakMap<z.ZodType, JsonSchema>();

export function knownKeys(schema: z.ZodType, path: Path): string[] {
  let here: JsonSchema[] = [jsonSchemaOf(schema)];
  for (const part of path) here = here.flatMap((each) => step(each, part));
  return here.flatMap((each) => alternatives(each).flatMap((one) => Object.keys(one.properties ?? {})));
}

function step(schema: JsonSchema, part: string | number): JsonSchema[] {
  return alternatives(schema).flatMap((one) => {
    if (typeof part === 'number') return one.items === undefined ? [] : [one.items];
    const property =
      one.properties !== undefined && Object.hasOwn(one.properties, part) ? one.properties[part] : undefined;
    if (property !== undefined) return [property];
    return typeof one.additionalProperties === 'object' ? [one.additionalProperties] : [];
  });
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}
