/**
 * The server maps of MCP clients, pasted as they are: `mcpServers` of Claude and Cursor, `servers` of VS Code.
 * Each entry becomes an upstream whose prefix is its key.
 */
import { z } from 'zod';
import { countSchema } from '../core/option-schemas.js';
import { upstreamHeadersSchema } from '../upstream/header-options.js';
import { upstreamSchema, type UpstreamEntry, type UpstreamTransport } from '../upstream/options.js';
import { upstreamUrlSchema } from '../upstream/url-options.js';

const TRANSPORTS = {
  sse: 'sse',
  http: 'streamable-http',
  'streamable-http': 'streamable-http',
  streamableHttp: 'streamable-http',
} as const satisfies Record<string, UpstreamTransport>;

const MAX_TIMEOUT_MS = 86_400_000;
const DEFAULT_IDLE_MS = 300_000;

export const clientServerSchema = z.strictObject({
  type: z
    .enum(['sse', 'http', 'streamable-http', 'streamableHttp'])
    .optional()
    .describe('How the server speaks; absent: whichever it answers to.'),
  url: upstreamUrlSchema.describe('Where the MCP server listens.'),
  headers: upstreamHeadersSchema.prefault({}).describe('Sent with every request.'),
  timeout: countSchema({ min: 1, max: MAX_TIMEOUT_MS })
    .optional()
    .describe('Longest call, in milliseconds (`timeouts.total` of an upstream).'),
  disabled: z.boolean().default(false).describe('true: as if the entry were not there.'),
  autoApprove: z.unknown().optional().describe('Ignored with a warning: approval is the business of the client.'),
  alwaysAllow: z.unknown().optional().describe('Ignored with a warning: approval is the business of the client.'),
});

/** Keys of clients that mean nothing to a gateway. */
export const IGNORED_CLIENT_KEYS: readonly string[] = ['autoApprove', 'alwaysAllow'];

/** @param prefix already made from the key of the entry */
export function upstreamOfClientServer(entry: z.output<typeof clientServerSchema>, prefix: string): UpstreamEntry {
  return upstreamSchema.parse({
    url: entry.url,
    prefix,
    transport: entry.type === undefined ? 'auto' : TRANSPORTS[entry.type],
    headers: entry.headers,
    ...(entry.timeout === undefined ? {} : { timeouts: timeoutsOf(entry.timeout) }),
  });
}

/** A call that may take long must not be cut for being silent. */
function timeoutsOf(timeoutMs: number): { total: string; idle: string } {
  return { total: `${Math.max(10, timeoutMs)}ms`, idle: `${Math.max(DEFAULT_IDLE_MS, timeoutMs)}ms` };
}

/** Keys become prefixes: lower case, every other character a `-`; undefined when nothing is left. */
export function prefixOfKey(key: string): string | undefined {
  const prefix = key
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63);
  return prefix === '' ? undefined : prefix;
}
