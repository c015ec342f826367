/** One entry of `upstreams`: a server we reach, and how patient we are with it. */
import { z } from 'zod';
import { countSchema, durationSchema, fileSchema, parseUrl, refuse } from '../core/option-schemas.js';
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

/** Client credentials (OAuth 2.0): the gateway asks for a token of its own and sends it to this upstream. */
export interface UpstreamOAuthOptions {
  tokenUrl: string;
  clientId: string;
  clientSecret: string;
  /** Scopes to ask for, with spaces between them. */
  scope?: string;
  /** The upstream as the token endpoint knows it (RFC 8707). */
  resource?: string;
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
  oauth: UpstreamOAuthOptions | undefined;
  tls: UpstreamTlsOptions | undefined;
  /** A name from `policies`; undefined: every method passes. */
  policy: string | undefined;
  /** Role of callers to whom authentication gives none. */
  role: string | undefined;
  /** What happens when the definition of a tool changes. */
  pins: 'off' | 'warn' | 'block';
  /** Which kinds of things clients see at all. */
  expose: { tools: boolean; resources: boolean; prompts: boolean };
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

const tokenUrlSchema = z.string().transform((text, context) => {
  const url = parseUrl(text);
  if (url === undefined || url.username !== '' || url.password !== '' || text.includes('#'))
    return refuse(context, 'expected a URL such as https://idp.example.com/token, without user name or fragment');
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  // The client secret goes there.
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback))
    return refuse(context, 'the URL must start with https://, or with http:// on a loopback host');
  return url.href;
});

const oauthSchema = z.strictObject({
  tokenUrl: tokenUrlSchema.describe('Token endpoint; https, or http on a loopback host.'),
  clientId: z.string().min(1).describe('Name of the gateway at the token endpoint.'),
  clientSecret: z.string().min(1).describe('Its secret; write it as `${NAME}` or `${file:PATH}`.'),
  scope: z.exactOptional(z.string().min(1)).describe('Scopes to ask for, with spaces between them.'),
  resource: z
    .exactOptional(z.string().refine((text) => URL.canParse(text), { error: 'expected an absolute URI' }))
    .describe('The upstream as the token endpoint knows it (RFC 8707).'),
});

const exposeSchema = z.strictObject({
  tools: z.boolean().default(true).describe('Tools.'),
  resources: z.boolean().default(true).describe('Resources and their templates.'),
  prompts: z.boolean().default(true).describe('Prompts.'),
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
    oauth: oauthSchema
      .optional()
      .describe('The gateway gets a token for itself with these client credentials and sends it upstream.'),
    tls: tlsSchema.optional().describe('Trust and client certificate for an https upstream.'),
    policy: z
      .string()
      .min(1)
      .optional()
      .describe('A name from `policies`. Without one, every method of the protocol passes, and the start log warns.'),
    role: z.string().min(1).max(128).optional().describe('Role of callers to whom authentication gives none.'),
    pins: z
      .enum(['off', 'warn', 'block'])
      .default('warn')
      .describe(
        'When the definition of a tool changes: `warn` records it, `block` also hides and denies the tool until it is approved.',
      ),
    expose: exposeSchema.prefault({}).describe('What clients see of this upstream at all.'),
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
  .superRefine(({ headers, oauth }, context) => {
    if (oauth === undefined || headers['authorization'] === undefined) return;
    const message = 'headers has an authorization already; oauth would send a second one';
    context.addIssue({ code: 'custom', path: ['oauth'], message, params: { atKey: true } });
  })
  .transform(
    (keys): UpstreamEntry => ({
      ...keys,
      prefix: keys.prefix,
      oauth: keys.oauth,
      tls: keys.tls,
      policy: keys.policy,
      role: keys.role,
    }),
  );

export const upstreamSchema = z.union([
  upstreamUrlSchema.transform((url): UpstreamEntry => upstreamObjectSchema.parse({ url })),
  upstreamObjectSchema,
]);
