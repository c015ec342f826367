/** One fingerprint of an effective configuration: replicas compare it, and it gives no secret away. */
import { createHash } from 'node:crypto';
import type { GatewayConfig } from './config.js';

type Effective = Omit<GatewayConfig, 'source' | 'hash' | 'warnings' | 'files' | 'readAtMs'>;

/** @returns SHA-256 in hex, the same for any order of keys and of upstreams */
export function hashConfig(config: Effective): string {
  const upstreams = config.upstreams
    .map(({ headers, oauth, ...rest }) => ({ ...rest, headers: digests(headers), oauth: digests(oauth) }))
    .toSorted((one, other) => (one.prefix < other.prefix ? -1 : 1));
  const policies = [...config.policies].map(([name, { hash }]) => [name, hash]).toSorted(byName);
  const { server, defaultRoute, logging, metrics, auth, rateLimits } = config;
  const audit = config.audit && { ...config.audit, key: digests({ key: config.audit.key }) };
  const policyEnv = digests(config.policyEnv);
  const redis = config.redis && digests({ redis: JSON.stringify(sorted(config.redis)) });
  // Where a replica listens is its own affair: replicas of one configuration have one fingerprint.
  const cluster = config.cluster && digests({ secrets: JSON.stringify(config.cluster.secrets) });
  const replicas = { redis, cluster };
  const all = {
    server,
    upstreams,
    defaultRoute,
    logging,
    metrics,
    auth,
    policies,
    policyEnv,
    rateLimits,
    audit,
    replicas,
  };
  return sha256(JSON.stringify(sorted(all)));
}

function byName([one = '']: readonly string[], [other = '']: readonly string[]): number {
  return one < other ? -1 : 1;
}

/** Texts that may be secrets, each by its digest. */
function digests(texts: object | undefined): string[] {
  const entries = Object.entries(texts ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return entries.map(([name, value]) => `${name}:${sha256(value)}`).toSorted();
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
