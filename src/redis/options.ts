/** Where the shared Redis is. Key by key for people in `docs/configuration.md`, which is made from this. */
import { z } from 'zod';
import { refuse } from '../core/option-schemas.js';
import { parseRedisUrl, type RedisEndpoint } from './url.js';

export type { RedisEndpoint } from './url.js';

export interface RedisOptions {
  readonly endpoint: RedisEndpoint;
  /** What every key starts with. */
  readonly keyPrefix: string;
  /** Without Redis at start there is no start. */
  readonly required: boolean;
}

const url = z.string({ error: 'expected a URL such as redis://localhost:6379' }).transform((text, context) => {
  const parsed = parseRedisUrl(text);
  return 'problem' in parsed ? refuse(context, parsed.problem, parsed.hint) : parsed.endpoint;
});

/** Empty, as a variable that is not set leaves it, is as good as absent. */
const text = z.string().transform((given) => (given === '' ? undefined : given));
const withSentinels = 'goes with redis+sentinel:// alone';

export const redisSchema = z
  .strictObject({
    url: url.describe(
      'Where it is: `redis://[user:password@]host:port[/db]`, `redis+sentinel://…host:port,host:port/master-name[/db]` or ' +
        '`redis+cluster://…host:port,host:port`; `rediss…` for TLS.',
    ),
    sentinelPassword: text
      .optional()
      .describe('Password of the sentinels themselves; the one in `url` is for the servers they watch.'),
    sentinelUsername: text
      .optional()
      .describe('User name at the sentinels; goes with `sentinelPassword`. Absent: their default user.'),
    keyPrefix: z
      .string()
      .regex(/^[A-Za-z0-9_.:-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ . : -')
      .prefault('mcpgw')
      .describe('What every key starts with; gateways with the same Redis and the same prefix are one.'),
    required: z.boolean().prefault(false).describe('Refuse to start while Redis does not answer.'),
  })
  .superRefine((keys, context) => {
    const refuseKey = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    const hasSentinels = keys.url.kind === 'sentinel';
    if (keys.sentinelPassword !== undefined && !hasSentinels) refuseKey('sentinelPassword', withSentinels);
    if (keys.sentinelUsername === undefined) return;
    if (!hasSentinels) refuseKey('sentinelUsername', withSentinels);
    else if (keys.sentinelPassword === undefined) refuseKey('sentinelUsername', 'goes with sentinelPassword');
  })
  .transform((keys): RedisOptions => {
    const { url: endpoint, sentinelUsername: username, sentinelPassword: password, keyPrefix, required } = keys;
    if (endpoint.kind !== 'sentinel' || password === undefined) return { endpoint, keyPrefix, required };
    return { endpoint: { ...endpoint, sentinelAccess: { username, password } }, keyPrefix, required };
  })
  .describe('The Redis that several gateways share to act as one. Absent: one gateway, everything in memory.');
