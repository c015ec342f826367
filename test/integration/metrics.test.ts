/** What `/metrics` says of real traffic: every outcome counted once, and the upstream's time kept apart from the gateway's. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { listenOnLoopback } from '../helpers/loopback.js';
import { startRedis } from '../helpers/redis.js';
import { startSdkUpstream } from '../helpers/sdk-upstream.js';
import { type ConfigText, type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { delay, waitFor } from '../helpers/wait.js';
import { INITIALIZE } from './edge-support.js';
import { type ClientKind, TestClient } from './faults-support.js';

const CLIENT_KINDS: readonly ClientKind[] = ['sse', 'streamable-http'];
/** What the upstreams below take for an answer. */
const UPSTREAM_MS = 400;

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

async function connect(gateway: InProcessGateway, kind: ClientKind, prefix = '/up'): Promise<TestClient> {
  const client = await TestClient.connect(gateway.url, prefix, kind);
  open.push({ stop: async () => client.close() });
  return client;
}

/** All samples by name and labels, as they stand in the text. */
async function scrape(gateway: InProcessGateway): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`${gateway.url}/metrics`);
  expect(response.status).toBe(200);
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(12, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

/** Requests of the route `up`, by method and outcome. */
async function requests(gateway: InProcessGateway): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [series, value] of await scrape(gateway)) {
    const match = /^requests_total\{route="up",method="([^"]+)",outcome="([^"]+)"\}$/.exec(series);
    if (match !== null) counts[`${match[1]} ${match[2]}`] = value;
  }
  return counts;
}

async function sumOf(gateway: InProcessGateway, histogram: string, method: string): Promise<number> {
  const labels = `route="up",method="${method}"`;
  const samples = await scrape(gateway);
  expect(samples.get(`${histogram}_count{${labels}}`)).toBe(1);
  const sum = samples.get(`${histogram}_sum{${labels}}`);
  expect(sum).toBeGreaterThan(0);
  return sum ?? Number.NaN;
}

describe('the endpoint', () => {
  test('speaks the text format of Prometheus', async () => {
    const gateway = await gatewayWith({ upstreams: ['http://127.0.0.1:9/mcp'] });
    const response = await fetch(`${gateway.url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store');
    const body = await response.text();
    expect(body).toContain('# TYPE mcp_gateway_requests_total counter\n');
    expect(body).toMatch(/\nmcp_gateway_process_resident_memory_bytes \d+\n/);
    expect((await fetch(`${gateway.url}/metrics`, { method: 'POST' })).status).toBe(405);
  });

  test('does not exist when it is switched off, and traffic passes all the same', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({
      metrics: { enabled: false },
      upstreams: [{ url: upstream.mcpUrl, prefix: 'up' }],
    });
    const client = await connect(gateway, 'streamable-http');
    expect((await client.callTool('one')).result?.content?.[0]?.text).toBe('{"nonce":"one"}');
    expect((await fetch(`${gateway.url}/metrics`)).status).toBe(404);
  });

  test('does not know an exporter that is not there', async () => {
    const config = { metrics: { enabled: true, otlp: false }, upstreams: ['http://127.0.0.1:9/mcp'] };
    await expect(startTestGateway(config)).rejects.toThrow(/otlp/);
  });
});

describe.each(CLIENT_KINDS)('time over %s', (kind) => {
  test.each(['sse', 'streamable', 'streamableJson'] as const)(
    "of an upstream on %s is not the gateway's",
    async (form) => {
      const upstream = await startSdkUpstream();
      open.push({ stop: () => upstream.close() });
      const gateway = await gatewayWith({ upstreams: [{ url: upstream.urls[form], prefix: 'up' }] });
      const client = await connect(gateway, kind);
      const before = performance.now();
      await client.request('tools/call', { name: 'slow', arguments: { steps: 1, delayMs: UPSTREAM_MS } });
      const seenS = (performance.now() - before) / 1000;
      const durationS = await sumOf(gateway, 'request_duration_seconds', 'tools/call');
      const overheadS = await sumOf(gateway, 'overhead_duration_seconds', 'tools/call');
      expect(durationS).toBeGreaterThan(UPSTREAM_MS / 1000 - 0.005);
      expect(durationS).toBeLessThan(seenS);
      expect(overheadS).toBeLessThan(UPSTREAM_MS / 1000 / 4);
    },
  );

  test('that a client takes to send its body is not counted', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({ upstreams: [{ url: upstream.mcpUrl, prefix: 'up' }] });
    const client = await connect(gateway, kind);
    const endpoint = kind === 'sse' ? client.endpointPath : '/up/mcp';
    const sending = new ReadableStream({
      start: async (controller) => {
        controller.enqueue(Buffer.from('{"jsonrpc":"2.0","id":77,'));
        await delay(UPSTREAM_MS);
        controller.enqueue(Buffer.from('"method":"tools/list"}'));
        controller.close();
      },
    });
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(client.sessionId === undefined ? {} : { 'mcp-session-id': client.sessionId }),
    };
    const response = await fetch(gateway.url + endpoint, { method: 'POST', body: sending, headers, duplex: 'half' });
    await response.text();
    await waitFor('the request to be counted', async () => (await requests(gateway))['tools/list ok']);
    expect(await sumOf(gateway, 'request_duration_seconds', 'tools/list')).toBeLessThan(UPSTREAM_MS / 1000);
  });
});

describe.each(CLIENT_KINDS)('outcomes over %s', (kind) => {
  test('tell answers from errors, failures and time-outs, each request counted once', async () => {
    const upstream = await evil();
    const timeouts = { connect: '500ms', idle: '300ms', total: '2s' };
    const gateway = await gatewayWith({ upstreams: [{ url: upstream.mcpUrl, prefix: 'up', timeouts }] });
    const client = await connect(gateway, kind);
    await client.callTool('one');
    await client.callTool('two');
    await client.request('ping');
    upstream.inject('tools/call', { kind: 'reset', at: 'headers' }, 1);
    await client.callTool('three');
    upstream.inject('tools/call', { kind: 'hang', at: 'headers' }, 1);
    await client.callTool('four');
    expect(await requests(gateway)).toEqual({
      'initialize ok': 1,
      'ping ok': 1,
      'tools/call ok': 2,
      'tools/call upstream_failed': 1,
      'tools/call timeout': 1,
    });
    const samples = await scrape(gateway);
    for (const histogram of ['request_duration_seconds', 'overhead_duration_seconds']) {
      expect(samples.get(`${histogram}_count{route="up",method="tools/call"}`)).toBe(4);
    }
    const overhead = samples.get('overhead_duration_seconds_sum{route="up",method="tools/call"}');
    expect(overhead).toBeGreaterThan(0);
    expect(overhead).toBeLessThan(0.15);
  });

  test('count what the gateway answers itself: refused, denied, beyond a limit, with the circuit open', async () => {
    const upstream = await evil();
    const gateway = await gatewayWith({
      rateLimits: { limits: [{ name: 'reads', per: ['route'], limit: '1/h', match: { method: 'resources/list' } }] },
      policies: { few: { version: '1.0', name: 'Few', default: 'deny', allow: ['echo'] } },
      upstreams: [{ url: upstream.mcpUrl, prefix: 'up', policy: 'few', circuitBreaker: { failures: 1 } }],
    });
    const client = await connect(gateway, kind);
    await client.request('tools/call', { name: 'secret_tool_name', arguments: {} });
    await client.request('no/such-method');
    await client.request('resources/list');
    await client.request('resources/list');
    await client.send(INITIALIZE);
    upstream.inject('tools/call', { kind: 'reset', at: 'headers' }, 1);
    await client.callTool('breaks');
    await client.callTool('refused');
    expect(await requests(gateway)).toEqual({
      'initialize ok': 1,
      // On Streamable HTTP the transport refuses it, as it does what is no message.
      ...(kind === 'sse' ? { 'initialize error': 1 } : {}),
      'other denied': 1,
      'resources/list ok': 1,
      'resources/list limited': 1,
      'tools/call denied': 1,
      'tools/call upstream_failed': 2,
    });
    const body = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(body).not.toMatch(/secret_tool_name|no\/such-method/);
    expect(body).toContain('mcp_gateway_breaker_state{route="up"} 2\n');
    expect(body).toContain('mcp_gateway_upstream_up{route="up"} 0\n');
  });
});

describe.each(['memory', 'Redis'])('limits that are counted in %s', (place) => {
  test('are counted by name when they refuse: a call, a handshake, a stream', async () => {
    const upstream = await evil();
    const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-metrics-'));
    open.push({ stop: () => rm(directory, { recursive: true, force: true }) });
    const gateway = await gatewayWith({
      ...(place === 'Redis' ? await sharedStore() : {}),
      audit: { file: join(directory, 'audit.jsonl') },
      rateLimits: {
        limits: [
          { name: 'handshakes', per: ['route'], limit: '1/h', match: { method: 'initialize' } },
          { name: 'calls', per: ['tool'], limit: '1/h' },
          { name: 'all', per: ['route'], limit: '3/h' },
        ],
      },
      upstreams: [{ url: upstream.mcpUrl, prefix: 'up' }],
    });
    expect(await refusals(gateway)).toEqual({ handshakes: 0, calls: 0, all: 0 });
    const client = await connect(gateway, 'streamable-http');
    await client.callTool('one');
    expect((await client.callTool('two')).result?._meta).toMatchObject({ 'mcp-gateway/error': { limit: 'calls' } });
    const stranger = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const handshake = await fetch(`${gateway.url}/up/mcp`, { method: 'POST', headers: stranger, body: INITIALIZE });
    expect([handshake.status, handshake.headers.has('retry-after')]).toEqual([429, true]);
    const streams = [await openStream(gateway), await openStream(gateway)];
    expect(streams.map(({ status }) => status)).toEqual([200, 429]);
    for (const { body } of streams) await body?.cancel();
    expect(await refusals(gateway)).toEqual({ handshakes: 1, calls: 1, all: 1 });
    const samples = await scrape(gateway);
    expect(samples.get('policy_decisions_total{route="up",effect="allow",layer="default"}')).toBe(2);
    // The stream is no request of the protocol, so nothing is decided about it.
    expect(samples.get('policy_decisions_total{route="up",effect="deny",layer="rate_limit"}')).toBe(2);
    expect(samples.get('audit_records_total')).toBeGreaterThanOrEqual(4);
  });
});

async function sharedStore(): Promise<object> {
  const redis = await startRedis();
  open.push(redis);
  return { redis: { url: redis.url }, cluster: { listen: '127.0.0.1:0', secret: 'a secret of a gateway under test' } };
}

function openStream(gateway: InProcessGateway): Promise<Response> {
  return fetch(`${gateway.url}/up/sse`, { headers: { accept: 'text/event-stream' } });
}

/** By the name of the limit. */
async function refusals(gateway: InProcessGateway): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [series, value] of await scrape(gateway)) {
    const limit = /^rate_limited_total\{limit="(.+)"\}$/.exec(series)?.[1];
    if (limit !== undefined) counts[limit] = value;
  }
  return counts;
}

test('a call whose client left for good was cancelled', async () => {
  const upstream = await evil();
  const gateway = await gatewayWith({ upstreams: [{ url: upstream.mcpUrl, prefix: 'up' }] });
  const client = await connect(gateway, 'streamable-http');
  upstream.inject('tools/call', { kind: 'hang', at: 'headers' }, 1);
  void client.send({ id: 'gone', method: 'tools/call', params: { name: 'echo' } }).catch(() => {});
  await waitFor('the call upstream', () => upstream.requestsOf('tools/call').length === 1);
  await client.send({ method: 'notifications/cancelled', params: { requestId: 'gone' } });
  await waitFor('the call to be given up', async () => (await requests(gateway))['tools/call cancelled'], 10_000);
  const overheadS = await sumOf(gateway, 'overhead_duration_seconds', 'tools/call');
  expect(overheadS).toBeLessThan(0.1);
});

test('sessions are counted by transport while they are open', async () => {
  const upstream = await evil();
  const gateway = await gatewayWith({ upstreams: [{ url: upstream.mcpUrl, prefix: 'up' }] });
  expect((await scrape(gateway)).has('upstream_up{route="up"}')).toBe(false);
  await connect(gateway, 'sse');
  await connect(gateway, 'sse');
  const leaving = await connect(gateway, 'streamable-http');
  const before = await scrape(gateway);
  expect(before.get('active_sessions{route="up",transport="sse"}')).toBe(2);
  expect(before.get('active_sessions{route="up",transport="streamable-http"}')).toBe(1);
  expect(before.get('upstream_up{route="up"}')).toBe(1);
  const headers = { 'mcp-session-id': leaving.sessionId ?? '' };
  await fetch(`${gateway.url}/up/mcp`, { method: 'DELETE', headers });
  expect((await scrape(gateway)).get('active_sessions{route="up",transport="streamable-http"}')).toBe(0);
});

/** Speaks the revision without sessions, and thinks before every answer. */
async function startSlowModern(): Promise<string> {
  const result = { supportedVersions: ['2026-07-28'], capabilities: {}, resultType: 'complete' };
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { id } = JSON.parse(await text(request)) as { id: string };
    await delay(UPSTREAM_MS);
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, result }));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  const upstream = await listenOnLoopback(server);
  open.push({ stop: () => upstream.close() });
  return `http://127.0.0.1:${upstream.port}/mcp`;
}

test('asking an upstream which revision it speaks is waiting too', async () => {
  const gateway = await gatewayWith({ upstreams: [{ url: await startSlowModern(), prefix: 'up' }] });
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  };
  const response = await fetch(`${gateway.url}/up/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/list',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta } }),
  });
  expect(response.status).toBe(200);
  await response.text();
  expect(await requests(gateway)).toEqual({ 'tools/list ok': 1 });
  const waitedS = (2 * UPSTREAM_MS) / 1000;
  expect(await sumOf(gateway, 'request_duration_seconds', 'tools/list')).toBeGreaterThan(waitedS - 0.01);
  expect(await sumOf(gateway, 'overhead_duration_seconds', 'tools/list')).toBeLessThan(waitedS / 4);
});
