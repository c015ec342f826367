/** One entry of `upstreams`: a server we reach, and how patient we are with it. */
import { z } from 'zod';
import { countSchema, durationSchema, fileSchema } from '../core/option-schemas.js';
import { forwardHeadersSchema, upstreamHeadersSchema } from './header-options.js';
import { upstreamUrlSchema } from './url-options.js';

export type UpstreamProtocol = 'auto' | 'legacy' | 'modern';
export type UpstreamTransport = 'auto' | 'sse' | 'streamable-http';

export interface UpstreamTlsOptions {
  /** Absolute paths to PEM files. */
  caFile?: string;
  certFile?: string;
  keyFile?: string;
}

export interface UpstreamOptions {
  /** First segment of every path of this route. */
  prefix: string;
  url: string;
  transport: UpstreamTransport;
  /** Which era it speaks: with the `initialize` handshake, without it, or whichever it answers to. */
  protocol: UpstreamProtocol;
  /** Sent upstream with every request. Names are lower case; the object has no prototype. */
  headers: Record<string, string>;
  /** Lower-case names of caller headers that are passed on. */
  forwardHeaders: string[];
  tls: UpstreamTlsOptions | undefined;
  /** Start and readiness depend on it. */
  required: boolean;
  onLoss: 'reinitialize' | 'close';
  timeouts: { connectMs: number; idleMs: number; totalMs: number };
  circuitBreaker: { failures: number; windowMs: number; cooldownMs: number };
  /** Requests that may wait for this upstream at the same time. */
  inFlight: number;
}

/** What one entry says by itself; a missing prefix is derived where all upstreams are known. */
export type UpstreamEntry = Omit<UpstreamOptions, 'prefix'> & { prefix: string | undefined };

export const PREFIX_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/;

const tlsSchema = z
  .strictObject({
    caFile: z
      .exactOptional(fileSchema())
      .describe('PEM file with the authorities to trust instead of the system ones.'),
    certFile: z.exactOptional(fileSchema()).describe('PEM client certificate; goes with `keyFile`.'),
    keyFile: z.exactOptional(fileSchema()).describe('PEM key of the client certificate.'),
  })
  .refine((keys) => (keys.certFile === undefined) === (keys.keyFile === undefined), {
    error: 'certFile and keyFile go together',
  });

const timeoutsSchema = z
  .strictObject({
    connect: durationSchema({ min: '10ms', max: '10m' }).prefault('5s').describe('TCP and TLS.'),
    idle: durationSchema({ min: '10ms', max: '24h' })
      .prefault('5m')
      .describe('No byte and no progress for one call. Shared streams may be silent for ever.'),
    total: durationSchema({ min: '10ms', max: '7d' }).prefault('30m').describe('One call from start to end.'),
  })
  .transform((keys) => ({ connectMs: keys.connect, idleMs: keys.idle, totalMs: keys.total }));

const circuitBreakerSchema = z
  .strictObject({
    failures: countSchema({ min: 1, max: 100_000 })
      .default(5)
      .describe('Failures within `window` that open the breaker.'),
    window: durationSchema({ min: '10ms', max: '1h' }).prefault('10s').describe('How far back failures count.'),
    cooldown: durationSchema({ min: '10ms', max: '1h' })
      .prefault('5s')
      .describe('How long calls fail at once before one may try again.'),
  })
  .transform((keys) => ({ failures: keys.failures, windowMs: keys.window, cooldownMs: keys.cooldown }));

const upstreamObjectSchema = z
  .strictObject({
    url: upstreamUrlSchema.describe('Where the MCP server listens: http or https, no user name, no fragment.'),
    prefix: z
      .string()
      .regex(PREFIX_PATTERN, { error: 'a prefix is 1 to 63 characters of a-z, 0-9 and -, and does not start with -' })
      .optional()
      .describe('First path segment of the route. Derived from the URL when absent.'),
    transport: z
      .enum(['auto', 'sse', 'streamable-http'])
      .default('auto')
      .describe('How the server speaks: HTTP+SSE, Streamable HTTP, or whichever it answers to.'),
    protocol: z
      .enum(['auto', 'legacy', 'modern'])
      .default('auto')
      .describe('Which era the server speaks: `legacy` with the initialize handshake, `modern` (2026-07-28) without.'),
    headers: upstreamHeadersSchema
      .prefault({})
      .describe("Sent upstream with every request. The caller's own credentials never are."),
    forwardHeaders: forwardHeadersSchema
      .prefault([])
      .describe('Names of caller headers passed on to the upstream; never credentials.'),
    tls: tlsSchema.optional().describe('Trust and client certificate for an https upstream.'),
    required: z.boolean().default(false).describe('Start and readiness depend on this upstream.'),
    onLoss: z
      .enum(['reinitialize', 'close'])
      .default('reinitialize')
      .describe('What happens to a session whose upstream state was lost.'),
    timeouts: timeoutsSchema.prefault({}).describe('How long to wait for this upstream.'),
    circuitBreaker: circuitBreakerSchema.prefault({}).describe('When to stop asking an upstream that fails.'),
    inFlight: countSchema({ min: 1, max: 1_000_000 })
      .default(100)
      .describe('Requests that may wait for this upstream at the same time.'),
  })
  .transform((keys): UpstreamEntry => ({ ...keys, prefix: keys.prefix, tls: keys.tls }));

export const upstreamSchema = z.union([
  upstreamUrlSchema.transform((url): UpstreamEntry => upstreamObjectSchema.parse({ url })),
  upstreamObjectSchema,
]);
