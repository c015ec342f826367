/** One fingerprint of an effective configuration: replicas compare it, and it gives no secret away. */
import { createHash } from 'node:crypto';
import type { GatewayConfig } from './config.js';

type Effective = Pick<GatewayConfig, 'server' | 'upstreams' | 'defaultRoute' | 'logging'>;

/** @returns SHA-256 in hex, the same for any order of keys and of upstreams */
export function hashConfig(config: Effective): string {
  const upstreams = config.upstreams
    .map((upstream) => ({ ...upstream, headers: Object.entries(upstream.headers).map(digestHeader).toSorted() }))
    .toSorted((one, other) => (one.prefix < other.prefix ? -1 : 1));
  const { server, defaultRoute, logging } = config;
  return sha256(JSON.stringify(sorted({ server, defaultRoute, logging, upstreams })));
}

function digestHeader([name, value]: [string, string]): string {
  return `${name}:${sha256(value)}`;
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
