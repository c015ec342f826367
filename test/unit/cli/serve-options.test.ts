import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { configOf, type ServeOptions } from '../../../src/cli/serve-options.js';

function config(options: ServeOptions, env: Record<string, string> = {}, stdin = '') {
  return configOf(options, {
    out: () => {},
    err: () => {},
    env,
    cwd: '/nonexistent',
    stdin: Readable.from([Buffer.from(stdin)]),
  });
}

const upstream = 'https://mcp.sumit.com/sms/sse';

test.each([[{ upstream }], [{ sseProxy: upstream }]])('%j serves one upstream without a file', async (options) => {
  expect(await config(options)).toMatchObject({
    source: 'command line',
    defaultRoute: 'sumit',
    upstreams: [{ prefix: 'sumit', url: upstream }],
  });
});

test('flags reach their keys', async () => {
  const { server, upstreams } = await config({
    upstream,
    port: '0',
    host: '0.0.0.0',
    insecure: true,
    allowOrigin: ['https://a.com', 'https://b.com'],
    headers: ['X-A', '1', 'X-B', '2'],
  });
  expect(server).toMatchObject({
    port: 0,
    host: '0.0.0.0',
    insecure: true,
    allowedOrigins: ['https://a.com', 'https://b.com'],
  });
  expect(upstreams[0]?.headers).toEqual({ 'x-a': '1', 'x-b': '2' });
});

test('a policy may stand beside the one upstream', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'quick-'));
  const file = join(directory, 'p.yaml');
  writeFileSync(file, 'version: "2.0"\nname: Quick\ndefault: deny\nroles: { user: { allow: ["*"] } }\n');
  const { upstreams, policies, warnings, files } = await config({ upstream, policyConfig: file, policyRole: 'user' });
  expect(upstreams[0]).toMatchObject({ policy: 'policy', role: 'user' });
  expect(policies.get('policy')).toMatchObject({ name: 'Quick', file });
  expect({ warnings, files }).toEqual({ warnings: [], files: [file] });
  const unknown = await config({ upstream, policyConfig: file, policyRole: 'usr' });
  expect(unknown.warnings).toEqual([
    '--policy-role: the policy "policy" does not know this role, so its default applies (did you mean "user"?)',
  ]);
});

test('flags win over variables, and variables over the file', async () => {
  const stdin = `server: { port: 1, host: localhost }\nupstreams: [${upstream}]\n`;
  const env = { MCP_GATEWAY_SERVER_PORT: '2', MCP_GATEWAY_SERVER_HOST: '127.0.0.2' };
  expect((await config({ config: '-', port: '3' }, env, stdin)).server).toMatchObject({ port: 3, host: '127.0.0.2' });
});

test.each([
  ['API_ACCESS_TOKEN', {}, { API_ACCESS_TOKEN: 't' }, 'Bearer t'],
  ['the named variable', { apiKeyEnv: 'K' }, { K: 'k', API_ACCESS_TOKEN: 't' }, 'Bearer k'],
  [
    'a header, which wins over API_ACCESS_TOKEN',
    { headers: ['Authorization', 'own'] },
    { API_ACCESS_TOKEN: 't' },
    'own',
  ],
  ['nothing', {}, { API_ACCESS_TOKEN: '' }, undefined],
])('the bearer token comes from %s', async (_name, options, env, expected) => {
  const { upstreams, warnings } = await config({ upstream, ...options }, env);
  expect(upstreams[0]?.headers['authorization']).toBe(expected);
  expect(warnings).toEqual(['without a policy, every method passes: sumit']);
});

test('API_ACCESS_TOKEN is not sent to the upstreams of a file', async () => {
  const { upstreams } = await config({ config: '-' }, { API_ACCESS_TOKEN: 't' }, `upstreams: [${upstream}]`);
  expect({ ...upstreams[0]?.headers }).toEqual({});
});
