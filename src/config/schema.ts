/** Puts the options of all domains together: the keys of `gateway.yaml`, and of the files it includes. */
import { z } from 'zod';
import { auditOptions } from '../audit/options.js';
import { authOptions } from '../auth/options.js';
import { clusterSchema } from '../cluster/options.js';
import { loggingSchema } from '../core/logging-options.js';
import { fileSchema } from '../core/option-schemas.js';
import { listenerSchema } from '../downstream/options.js';
import { metricsSchema } from '../metrics/options.js';
import { rateLimitOptions } from '../rate-limit/options.js';
import { redisSchema } from '../redis/options.js';
import { sessionSchema } from '../session/options.js';
import { upstreamSchema } from '../upstream/options.js';
import type { ServerConfig } from './config.js';
import { clientServerSchema } from './mcp-servers.js';
import { trustedProxySchema } from './trusted-proxies.js';

const versionSchema = z
  .literal(1, { error: 'this gateway knows version 1 only' })
  .default(1)
  .describe('Version of this file format.');

const upstreamListSchema = z.array(upstreamSchema);

/** Each key by itself, so that one that is wrong does not hide what is wrong with the others. */
export const configShape = {
  version: versionSchema,
  server: listenerSchema
    .extend({
      trustedProxies: z
        .array(trustedProxySchema)
        .prefault([])
        .describe('Addresses or CIDRs of proxies whose `X-Forwarded-*` headers are believed.'),
      sessions: sessionSchema,
    })
    .transform((keys): ServerConfig => ({ ...keys, publicUrl: keys.publicUrl, domain: keys.domain, tls: keys.tls }))
    .prefault({})
    .describe('The listener: where clients reach the gateway, who may, and how much they may send.'),
  include: z
    .array(z.string().min(1))
    .default([])
    .describe('More files with `upstreams`, by path or with `*` in the file name, relative to this file.'),
  upstreams: upstreamListSchema.default([]).describe('The MCP servers behind the gateway. A bare URL is enough.'),
  mcpServers: z
    .record(z.string(), clientServerSchema)
    .default({})
    .describe('The map of Claude and Cursor, as it is. Keys become prefixes.'),
  servers: z.record(z.string(), clientServerSchema).default({}).describe('The same map as VS Code calls it.'),
  inputs: z.unknown().optional().describe('Ignored with a warning: prompts of VS Code.'),
  default: z.string().optional().describe('Prefix that is also served at `/sse`, `/messages` and `/mcp`.'),
  policies: z
    .record(z.string(), z.union([fileSchema(), z.record(z.string(), z.unknown())]))
    .default({})
    .describe('Policies by name: a file (JSON or YAML), or the policy itself. See policies.md.'),
  policy: z
    .strictObject({
      env: z
        .record(z.string(), z.string())
        .default({})
        .describe('What conditions see as `env`; never the environment of the process.'),
    })
    .prefault({})
    .describe('What all policies share.'),
  auth: authOptions.optional().describe('Who callers are. Absent: everyone is anonymous. See authentication.md.'),
  rateLimits: rateLimitOptions.prefault({}).describe('How often callers may call. See rate-limits.md.'),
  audit: auditOptions.optional().describe('The audit trail. Absent: there is none. See audit.md.'),
  redis: redisSchema
    .optional()
    .describe('The Redis that several gateways share to act as one. Absent: one gateway, everything in memory.'),
  cluster: clusterSchema
    .optional()
    .describe('How gateways that share a Redis reach and trust each other. Needed with `redis`.'),
  logging: loggingSchema,
  metrics: metricsSchema,
};

export const configSchema = z.strictObject(configShape);

export const includedShape = {
  version: versionSchema,
  upstreams: upstreamListSchema.default([]).describe('More upstreams.'),
};
