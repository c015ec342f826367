import { describe, expect, test } from 'vitest';
import { lines, load, ONE, unguarded } from './helpers.js';

const SECRET = 'k7Qw1zXr9bTfLmN3';
const env = { SECRET, OLD: 'p2Vs8yHd4gJcKoE6', PASSWORD: 'hunter2' };
const HINT = 'make one with: openssl rand -base64 32';
const REDIS = 'redis: { url: "redis://user:${PASSWORD}@r.internal:6380/2" }\n';
const CLUSTER = 'cluster: { secret: "${SECRET}" }\n';

function warningsOf(text: string): string[] {
  return load(`${ONE}${text}`, { env }).warnings.filter((each) => each !== unguarded('sumit'));
}

describe('redis and cluster', () => {
  test('are absent unless they are named', () => {
    expect(load(ONE)).toMatchObject({ redis: undefined, cluster: undefined });
  });

  test('are read with their defaults', () => {
    const { redis, cluster, warnings } = load(`${ONE}${REDIS}${CLUSTER}`, { env });
    expect(redis?.endpoint).toMatchObject({ kind: 'single', node: { host: 'r.internal', port: 6380 }, db: 2 });
    expect(redis?.endpoint).toMatchObject({ username: 'user', password: 'hunter2' });
    expect(redis).toMatchObject({ keyPrefix: 'mcpgw', required: false });
    expect(cluster).toEqual({ advertise: undefined, listen: { host: '0.0.0.0', port: 8081 }, secrets: [SECRET] });
    expect(warnings).toEqual([unguarded('sumit')]);
  });

  test('take values from the environment', () => {
    const { redis, cluster } = load(`${ONE}${CLUSTER}`, {
      env: {
        ...env,
        MCP_GATEWAY_REDIS_URL: 'redis://r2',
        MCP_GATEWAY_REDIS_REQUIRED: 'true',
        MCP_GATEWAY_CLUSTER_LISTEN: '[::1]:9',
        MCP_GATEWAY_CLUSTER_ADVERTISE: 'http://10.0.0.7:9',
      },
    });
    expect(redis).toMatchObject({ endpoint: { node: { host: 'r2' } }, required: true });
    expect(cluster).toMatchObject({ advertise: 'http://10.0.0.7:9', listen: { host: '::1', port: 9 } });
  });

  test('name a variable that is mistyped, and none that Kubernetes sets', () => {
    const withEnv = (more: Record<string, string>) => load(ONE, { env: more }).warnings;
    expect(withEnv({ MCP_GATEWAY_REDIS_URI: 'x' })).toContain(
      'MCP_GATEWAY_REDIS_URI is no known variable and has no effect; did you mean MCP_GATEWAY_REDIS_URL?',
    );
    const service = { MCP_GATEWAY_REDIS_PORT: 'tcp://10.0.0.1:6379', MCP_GATEWAY_REDIS_SERVICE_HOST: '10.0.0.1' };
    expect(withEnv({ ...service, MCP_GATEWAY_REDIS_SERVICE_PORT: '6379' })).toEqual([unguarded('sumit')]);
  });
});

describe('the secret', () => {
  test('has to be there with redis', () => {
    expect(lines(`${ONE}${REDIS}`, { env })).toEqual([
      `g.yaml:2:1: missing key "cluster.secret": what replicas keep in Redis is sealed with it (${HINT})`,
    ]);
    expect(lines(`${ONE}${REDIS}cluster: { listen: "h:1" }\n`, { env })).toEqual([
      `g.yaml:3:10: missing key "secret" (expected a random text or a list of them; ${HINT})`,
    ]);
  });

  test('may not be empty', () => {
    const at = (secret: string) =>
      lines(`${ONE}${REDIS}cluster:\n  secret: ${secret}\n`, { env: { ...env, EMPTY: '' } });
    expect(at('"${EMPTY}"')).toEqual(['g.yaml:4:11: must not be empty']);
    expect(at('[]')).toEqual(['g.yaml:4:11: must not be empty']);
    expect(at('["${SECRET}", ""]')).toEqual(['g.yaml:4:25: must not be empty']);
    expect(at('7')).toEqual([`g.yaml:4:11: expected a random text or a list of them; ${HINT}`]);
  });

  test('may be several, the current one first', () => {
    const { cluster } = load(`${ONE}${REDIS}cluster: { secret: ["\${SECRET}", "\${OLD}"] }\n`, { env });
    expect(cluster?.secrets).toEqual([SECRET, env.OLD]);
  });

  test('is never repeated in a problem', () => {
    const text = `${ONE}redis: { url: "redis://u:hunter2@a b" }\ncluster: { secret: { a: ${SECRET} }, listen: 7 }\n`;
    const problems = lines(text, { env }).join('\n');
    expect(problems).toContain('g.yaml:2');
    expect(problems).toContain('g.yaml:3');
    expect(problems).not.toMatch(new RegExp(`${SECRET}|hunter2`));
  });
});

describe('warnings', () => {
  test('of a cluster without redis', () => {
    expect(warningsOf(CLUSTER)).toEqual(['g.yaml:2:1: cluster has no effect without redis']);
  });

  test('of a secret that can be guessed', () => {
    expect(load(`${ONE}${REDIS}${CLUSTER}`, { env: { ...env, SECRET: 'a'.repeat(15) } }).warnings).toContain(
      `g.yaml:3:20: this secret is short enough to be guessed; ${HINT}`,
    );
  });

  test('of secrets that stand in the file', () => {
    const plain = 'stands in the file as plain text; use ${NAME} or ${file:PATH}';
    expect(warningsOf(`${REDIS}cluster: { secret: ["\${SECRET}", ${env.OLD}] }\n`)).toEqual([
      `g.yaml:3:34: the value of secret ${plain}`,
    ]);
    expect(warningsOf(`redis: { url: "redis://:hunter2@r" }\n${CLUSTER}`)).toEqual([
      `g.yaml:2:15: the value of url ${plain}`,
    ]);
    expect(warningsOf(`redis: { url: "redis://r" }\n${CLUSTER}`)).toEqual([]);
  });
});

describe('the hash of the configuration', () => {
  const hash = (redis: string, cluster: string) =>
    load(`${ONE}redis: { url: "${redis}" }\ncluster: { ${cluster} }\n`, { env }).hash;
  const known = hash('redis://:a@r', 'secret: one');

  test('is the same for replicas that differ in their addresses alone', () => {
    expect(hash('redis://:a@r', 'secret: one, listen: "h:1", advertise: "http://10.0.0.7:1"')).toBe(known);
    expect(hash('redis://:a@r', 'secret: [one]')).toBe(known);
  });

  test('differs with the Redis, its password and the secrets', () => {
    const others = [
      hash('redis://:a@r2', 'secret: one'),
      hash('redis://:b@r', 'secret: one'),
      hash('redis://:a@r', 'secret: two'),
      hash('redis://:a@r', 'secret: [one, two]'),
      load(ONE).hash,
    ];
    expect(new Set([known, ...others]).size).toBe(6);
  });
});
