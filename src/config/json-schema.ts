/** The JSON Schema that editors use: what the schemas take, plus `${VARIABLE}` wherever a value may stand. */
import { policyV1Schema, policyV2Schema } from '../policy/options.js';
import { jsonSchemaOf, type JsonSchema } from './known-keys.js';
import { configSchema } from './schema.js';

const REFERENCE: JsonSchema = { type: 'string', pattern: String.raw`\$\{.+\}` };

/** JSON text with a line break at its end. */
export function renderJsonSchema(): string {
  const { $schema, ...rest } = polish(withPolicies(jsonSchemaOf(configSchema)));
  const head = {
    $schema,
    title: 'gateway.yaml of mcp-gateway',
    description: 'Configuration of mcp-gateway: MCP servers behind one address.',
  };
  const anyOf = ['upstreams', 'include', 'mcpServers', 'servers'].map((key) => ({ required: [key] }));
  return `${JSON.stringify({ ...head, ...rest, anyOf }, undefined, 2)}\n`;
}

/** Policies are checked by a reader of their own, but editors may as well know what one looks like. */
function withPolicies(schema: JsonSchema): JsonSchema {
  const { policies, ...others } = schema.properties ?? {};
  const inline = [policyV1Schema, policyV2Schema].map((each) => {
    const { $schema: _, ...rest } = jsonSchemaOf(each);
    return rest;
  });
  const additionalProperties = { anyOf: [{ type: 'string', minLength: 1 }, ...inline] };
  return { ...schema, properties: { ...others, policies: { ...policies, additionalProperties } } };
}

function polish(schema: JsonSchema): JsonSchema {
  const {
    description,
    default: fallback,
    'x-unit': _unit,
    'x-min': _min,
    'x-max': _max,
    format: _format,
    ...rest
  } = schema;
  const docs = {
    ...(description === undefined ? {} : { description }),
    ...(isEmpty(fallback) ? {} : { default: fallback }),
  };
  return { ...docs, ...withReference(polishChildren(rest)) };
}

function polishChildren(schema: JsonSchema): JsonSchema {
  const result: JsonSchema = { ...schema };
  if (schema.properties !== undefined) {
    const entries = Object.entries(schema.properties).map(([key, value]) => [key, polish(value)]);
    result.properties = Object.fromEntries(entries) as Record<string, JsonSchema>;
  }
  if (typeof schema.additionalProperties === 'object')
    result.additionalProperties = polish(schema.additionalProperties);
  if (schema.items !== undefined) result.items = polish(schema.items);
  if (schema.anyOf !== undefined) result.anyOf = schema.anyOf.map(polish);
  return result;
}

/** A checker sees the text before variables are expanded, so it must let them pass. */
function withReference(schema: JsonSchema): JsonSchema {
  const isRestricted = schema.enum !== undefined || schema.pattern !== undefined || schema.const !== undefined;
  const isTyped = schema.type === 'integer' || schema.type === 'number' || schema.type === 'boolean';
  return isRestricted || isTyped ? { anyOf: [schema, REFERENCE] } : schema;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined) return true;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
