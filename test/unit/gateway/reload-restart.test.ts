import { expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.js';
import type { GatewayConfig } from '../../../src/config/config.js';
import { withBoundSettings } from '../../../src/gateway/restart-bound.js';
import { isStillWelcome } from '../../../src/gateway/unwelcome.js';
import type { Principal } from '../../../src/auth/principal.js';

function config(text: string): GatewayConfig {
  return parseConfig(`version: 1\nupstreams: ["https://mcp.sumit.com/sse"]\n${text}`, '<stdin>', { env: {} });
}

test('what needs a restart stays as it is and is named', () => {
  const current = config('server: { host: 127.0.0.1, port: 8080, allowedHosts: [a.example] }');
  const next = config('server: { host: localhost, port: 9090, allowedHosts: [b.example] }\nlogging: { level: debug }');
  const { config: bound, waiting } = withBoundSettings(next, current);
  expect(waiting).toEqual(['server.host', 'server.port', 'logging']);
  expect(bound.server).toMatchObject({ host: '127.0.0.1', port: 8080, allowedHosts: ['b.example'] });
  expect(bound.logging).toEqual(current.logging);
  expect(bound.hash).toBe(next.hash);
});

test('nothing waits when nothing of that kind changed', () => {
  const next = config('server: { limits: { sessions: 5 } }');
  expect(withBoundSettings(next, config(''))).toEqual({ config: next, waiting: [] });
});

const KEY = 'a'.repeat(64);
const EXPOSED = `server: { host: 0.0.0.0 }\nauth: { apiKeys: [{ name: ci, sha256: ${KEY} }] }`;

test('authentication cannot go while an address beyond loopback is listened on', () => {
  expect(() => withBoundSettings(config(''), config(EXPOSED))).toThrow('0.0.0.0');
  expect(() => withBoundSettings(config('server: { insecure: true }'), config(EXPOSED))).not.toThrow();
  expect(() => withBoundSettings(config(EXPOSED.replace('ci', 'cd')), config(EXPOSED))).not.toThrow();
});

test('a session outlives a change of authentication only while its credential would still be taken', () => {
  const principal = (id: string, kind: Principal['kind']): Principal => ({
    id,
    kind,
    role: undefined,
    tenant: undefined,
    claims: {},
    expiresAtMs: undefined,
  });
  const keys = (text: string): GatewayConfig['auth'] => config(`auth: { apiKeys: [${text}] }`).auth;
  const before = keys(`{ name: ci, sha256: ${KEY} }, { name: cd, sha256: ${'b'.repeat(64)} }`);
  const after = keys(`{ name: ci, sha256: ${KEY}, role: other }, { name: cd, sha256: ${'c'.repeat(64)} }`);
  const issuer = (audience: string): GatewayConfig['auth'] =>
    config(`auth: { jwt: [{ issuer: "https://i", audience: ${audience}, jwksUri: "https://i/keys" }] }`).auth;
  expect(isStillWelcome(principal('apikey|ci', 'api-key'), before, after)).toBe(true);
  expect(isStillWelcome(principal('apikey|cd', 'api-key'), before, after)).toBe(false);
  expect(isStillWelcome(principal('apikey|ci', 'api-key'), before, undefined)).toBe(false);
  expect(isStillWelcome(principal('anonymous', 'anonymous'), undefined, after)).toBe(false);
  expect(isStillWelcome(principal('anonymous', 'anonymous'), before, undefined)).toBe(true);
  expect(isStillWelcome(principal('https://i|a', 'jwt'), issuer('x'), issuer('x'))).toBe(true);
  expect(isStillWelcome(principal('https://i|a', 'jwt'), issuer('x'), issuer('y'))).toBe(false);
});

test('Redis and the other replicas stay as they are until a restart', () => {
  const of = (host: string, secret: string): GatewayConfig =>
    config(`redis: { url: "redis://${host}" }\ncluster: { secret: ${secret} }`);
  const current = of('a', 'one');
  const { config: bound, waiting } = withBoundSettings(of('b', 'two'), current);
  expect(waiting).toEqual(['redis', 'cluster']);
  expect(bound).toMatchObject({ redis: current.redis, cluster: current.cluster });
  expect(withBoundSettings(of('a', 'one'), current).waiting).toEqual([]);
  expect(withBoundSettings(config(''), current).config.redis).toEqual(current.redis);
});
