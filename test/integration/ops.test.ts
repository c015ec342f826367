/** What operators and probes are told: shapes and words of the public contract, and no secret among them. */
import { afterEach, describe, expect, test } from 'vitest';
import { ChaosProxy } from '../helpers/chaos-proxy.js';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { rawRequest } from '../helpers/raw-http.js';
import { type ConfigText, type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import { getText, refusal } from './edge-support.js';
import { TestClient } from './faults-support.js';

type Json = Record<string, unknown>;

const ROUTE_KEYS = [
  'breaker',
  'connections',
  'connections_active',
  'local_endpoints',
  'policy_active',
  'policy_hash',
  'policy_stats',
  'protocol',
  'proxy_path',
  'role',
  'transport',
  'upstream_connected',
  'upstream_url',
];
const GATEWAY_KEYS = ['config_hash', 'last_reload', 'port', 'replica', 'replicas', 'uptime_s', 'version'];

const open: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.stop();
});

async function gatewayWith(config: ConfigText): Promise<InProcessGateway> {
  const gateway = await startTestGateway(config);
  open.push(gateway);
  return gateway;
}

async function evil(): Promise<EvilUpstream> {
  const upstream = await EvilUpstream.start();
  open.push({ stop: () => upstream.close() });
  return upstream;
}

async function statusOf(gateway: InProcessGateway, path: string): Promise<Json> {
  const response = await fetch(gateway.url + path);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  expect(response.headers.get('cache-control')).toBe('no-store');
  return (await response.json()) as Json;
}

describe('status', () => {
  test('of one upstream stands beside that of the gateway', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({ upstreams: [{ url: upstream.sseUrl, prefix: 'sumit' }] });
    const status = await statusOf(gateway, '/status');
    expect(Object.keys(status).toSorted()).toEqual([...ROUTE_KEYS, ...GATEWAY_KEYS].toSorted());
    expect(status).toMatchObject({
      upstream_url: upstream.sseUrl,
      policy_active: false,
      connections_active: false,
      upstream_connected: false,
      proxy_path: 'sumit',
      local_endpoints: ['/sumit/sse', '/sse'],
      connections: 0,
      breaker: 'closed',
      port: gateway.port,
    });
    expect(status['version']).toMatch(/^\d+\.\d+\.\d+/);
    expect(status['uptime_s']).toBeGreaterThanOrEqual(0);
    expect(status['replicas']).toEqual([status['replica']]);
    expect(Date.parse(String(status['last_reload']))).toBeGreaterThan(Date.now() - 60_000);
    const route = await statusOf(gateway, '/sumit/status');
    expect(Object.keys(route).toSorted()).toEqual(ROUTE_KEYS);
  });

  test('of several upstreams is a list', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({
      upstreams: [
        { url: upstream.sseUrl, prefix: 'one', transport: 'sse' },
        { url: upstream.mcpUrl, prefix: 'two' },
      ],
      default: 'two',
    });
    const status = await statusOf(gateway, '/status');
    expect(Object.keys(status).toSorted()).toEqual(['routes', ...GATEWAY_KEYS].toSorted());
    const routes = status['routes'] as Json[];
    expect(routes.map((route) => Object.keys(route).toSorted())).toEqual([ROUTE_KEYS, ROUTE_KEYS]);
    expect(routes.map((route) => [route['proxy_path'], route['local_endpoints']])).toEqual([
      ['one', ['/one/sse']],
      ['two', ['/two/sse', '/sse']],
    ]);
    expect(await statusOf(gateway, '/two/status')).toEqual(routes[1]);
    expect((await fetch(`${gateway.url}/three/status`)).status).toBe(404);
  });

  test('counts sessions, and says how the upstream is spoken to once that is known', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({ upstreams: [{ url: upstream.mcpUrl, prefix: 'sumit' }] });
    expect(await statusOf(gateway, '/sumit/status')).toMatchObject({ transport: 'auto', upstream_connected: false });
    const client = await TestClient.connect(gateway.url, '/sumit', 'sse');
    expect(await statusOf(gateway, '/sumit/status')).toMatchObject({
      transport: 'streamable-http',
      upstream_connected: true,
      connections: 1,
      connections_active: true,
    });
    upstream.inject('tools/call', { kind: 'reset', at: 'headers' }, 1);
    await client.callTool('lost');
    expect(await statusOf(gateway, '/sumit/status')).toMatchObject({ upstream_connected: false });
    client.close();
  });

  test('shows no secret of an upstream URL or header', async () => {
    const gateway = await gatewayWith({
      upstreams: [
        {
          url: 'https://mcp.sumit.com/sms/sse?api_key=canary-url-secret&region=canary-eu',
          headers: { Authorization: 'Bearer canary-header-secret' },
        },
      ],
    });
    const text = JSON.stringify(await statusOf(gateway, '/status'));
    expect(text).toContain('https://mcp.sumit.com/sms/sse?api_key=');
    expect(text).not.toContain('canary');
  });
});

describe('probes', () => {
  test.each(['/livez', '/readyz', '/healthz'])('%s says yes and names nothing', async (path) => {
    const upstream = await evil();
    const gateway = await gatewayWith({ upstreams: [{ url: upstream.mcpUrl, prefix: 'canary-prefix' }] });
    const response = await fetch(gateway.url + path);
    expect([response.status, await response.text()]).toEqual([200, '{"status":"ok"}']);
    const head = await fetch(gateway.url + path, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  test('are not ready while a required upstream is left alone', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({
      upstreams: [
        {
          url: upstream.mcpUrl,
          prefix: 'sumit',
          required: true,
          circuitBreaker: { failures: 1, cooldown: '500ms' },
        },
      ],
    });
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
    const client = await TestClient.connect(gateway.url, '/sumit', 'streamable-http');
    upstream.inject('tools/call', { kind: 'status', status: 500 }, 1);
    await client.callTool('fail');
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${gateway.url}/livez`)).status).toBe(200);
    await waitFor('readiness to return', async () => (await fetch(`${gateway.url}/readyz`)).status === 200);
    client.close();
  });
});

describe('an upstream that is down', () => {
  test('does not keep the gateway from starting, and works once it is up', async () => {
    const upstream = await evil();
    const proxy = await ChaosProxy.start(upstream.port);
    open.push({ stop: () => proxy.close() });
    proxy.conditions.accept = 'reset';
    const gateway = await gatewayWith({ upstreams: [{ url: proxy.through(upstream.sseUrl), prefix: 'sumit' }] });
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
    const client = await TestClient.open(gateway.url, '/sumit', 'sse');
    expect((await client.initialize()).error?.code).toBe(1502);
    proxy.heal();
    expect((await client.initialize()).error).toBeUndefined();
    client.close();
  });
});

describe('the default route', () => {
  test('is the only upstream, served without a prefix too', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({ upstreams: [{ url: upstream.mcpUrl, prefix: 'sumit' }] });
    for (const kind of ['sse', 'streamable-http'] as const) {
      const client = await TestClient.connect(gateway.url, '', kind);
      expect((await client.callTool(kind)).result?.content?.[0]?.text).toBe(JSON.stringify({ nonce: kind }));
      client.close();
    }
  });

  test('does not exist among several unless it is named', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({
      upstreams: [
        { url: upstream.mcpUrl, prefix: 'one' },
        { url: upstream.mcpUrl, prefix: 'two' },
      ],
    });
    for (const path of ['/sse', '/mcp', '/messages']) {
      const response = await rawRequest(gateway.port, getText(path));
      expect(response.status).toBe(404);
      refusal(response);
    }
  });

  test('shares its sessions with the prefixed paths', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({ upstreams: [{ url: upstream.mcpUrl, prefix: 'sumit' }] });
    const client = await TestClient.connect(gateway.url, '', 'streamable-http');
    const response = await fetch(`${gateway.url}/sumit/mcp`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-session-id': client.sessionId ?? '',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 9, method: 'tools/list' }),
    });
    expect(await response.json()).toMatchObject({ id: 9, result: { tools: [{ name: 'echo' }, { name: 'headers' }] } });
    client.close();
  });
});
