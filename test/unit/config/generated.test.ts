import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { renderJsonSchema } from '../../../src/config/json-schema.js';
import { renderReference } from '../../../src/config/reference.js';
import { configSchema } from '../../../src/config/schema.js';
import type { JsonSchema } from '../../../src/config/known-keys.js';

test.each([
  ['gateway.schema.json', renderJsonSchema],
  ['docs/configuration.md', renderReference],
])('%s is up to date (npx tsx scripts/generate-docs.ts)', (file, render) => {
  expect(readFileSync(file, 'utf8')).toBe(render());
});

test('every key has a description', () => {
  const missing: string[] = [];
  const visit = (schema: JsonSchema, path: string): void => {
    for (const each of schema.anyOf ?? []) visit(each, path);
    if (schema.items !== undefined) visit(schema.items, `${path}[]`);
    if (typeof schema.additionalProperties === 'object') visit(schema.additionalProperties, `${path}.*`);
    for (const [key, each] of Object.entries(schema.properties ?? {})) {
      if (!each.description) missing.push(`${path}.${key}`);
      visit(each, `${path}.${key}`);
    }
  };
  visit(z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchema, '');
  expect(missing).toEqual([]);
});

test('the schema lets variables stand where numbers and choices do', () => {
  const schema = JSON.parse(renderJsonSchema()) as JsonSchema;
  const check = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]);
  const upstreams = ['https://a.com'];
  for (const port of [80, '${PORT}']) expect(check.safeParse({ upstreams, server: { port } }).success).toBe(true);
  for (const port of ['80', 70_000]) expect(check.safeParse({ upstreams, server: { port } }).success).toBe(false);
  expect(check.safeParse({ upstreams, logging: { level: '${LEVEL}' } }).success).toBe(true);
  expect(check.safeParse({ upstreams, logging: { level: 'loud' } }).success).toBe(false);
  expect(schema.additionalProperties).toBe(false);
  expect(schema.anyOf).toContainEqual({ required: ['include'] });
});
