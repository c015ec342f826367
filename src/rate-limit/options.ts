import { z } from 'zod';
import { parseRate, RATE_PATTERN } from './rate.js';

/** The `rateLimits` part of gateway.yaml: schema, defaults and one line of documentation per key. */

const rate = z
  .string()
  .regex(RATE_PATTERN, 'must be a rate such as 10/s, 60/m or 1000/h')
  .transform((text, context) => {
    const parsed = parseRate(text);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: 'must be a rate such as 10/s, 60/m or 1000/h' });
    return z.NEVER;
  });

const dimension = z.enum(['principal', 'tenant', 'role', 'route', 'tool', 'method', 'ip']);

const onStoreFailure = z.enum(['local', 'deny', 'allow']);

const exact = z.string().min(1);

const match = z.strictObject({
  route: exact.optional().describe('Prefix of the route, exactly.'),
  tool: exact.optional().describe('Name of the tool; `*` stands for any characters. Calls without a tool never match.'),
  method: exact.optional().describe('MCP method, exactly, e.g. `tools/call`.'),
  role: exact.optional().describe('Role of the caller, exactly.'),
  tenant: exact.optional().describe('Tenant of the caller, exactly.'),
});

const limit = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
    .describe('Name of the limit, as refusals and the metric `rate_limited_total` show it. Unique.'),
  per: z
    .array(dimension)
    .min(1)
    .refine((dimensions) => new Set(dimensions).size === dimensions.length, 'names a dimension twice')
    .describe('What is counted apart: each combination of these has a window of its own.'),
  match: match.optional().describe('Which requests the limit counts; all keys must match. Absent: all requests.'),
  limit: rate.describe('Calls per window: `10/s`, `60/m`, `1000/h`. The first call opens the window.'),
  burst: z.int().min(0).max(1_000_000_000).default(0).describe('Extra calls per window. Default 0.'),
  onStoreFailure: onStoreFailure.optional().describe('Overrides `rateLimits.onStoreFailure` for this limit.'),
});

export const rateLimitOptions = z.strictObject({
  onStoreFailure: onStoreFailure
    .default('local')
    .describe(
      'When the shared store does not answer: `local` counts in memory against limit / replicas, ' +
        '`deny` refuses, `allow` lets pass. Default `local`.',
    ),
  limits: z
    .array(limit)
    .default([])
    .superRefine((limits, context) => {
      const seen = new Set<string>();
      for (const [index, { name }] of limits.entries()) {
        if (seen.has(name)) {
          context.addIssue({ code: 'custom', path: [index, 'name'], message: `"${name}" names two limits` });
        }
        seen.add(name);
      }
    })
    .describe('The limits. None configured: none applied.'),
});

export type RateLimitOptions = z.output<typeof rateLimitOptions>;
export type LimitOptions = RateLimitOptions['limits'][number];
export type LimitDimension = z.output<typeof dimension>;
export type OnStoreFailure = z.output<typeof onStoreFailure>;
