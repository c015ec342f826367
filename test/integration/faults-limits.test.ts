/** How long the gateway waits for an upstream, when it stops asking, and how many may wait at once. */
import { describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { startSdkUpstream } from '../helpers/sdk-upstream.js';
import { startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import { expectNoLeak, startBroken, UPSTREAM_KINDS } from './faults-rig.js';
import { type ClientKind, TestClient, toolFailure } from './faults-support.js';

const clientKinds: ClientKind[] = ['sse', 'streamable-http'];
const hang = { kind: 'hang', at: 'stream' } as const;
const broken = { kind: 'status', status: 500 } as const;

interface RouteStatus {
  readonly routes: readonly { readonly proxy_path: string; readonly breaker: string }[];
}

async function breakerOf(url: string, prefix: string): Promise<string | undefined> {
  const status = (await (await fetch(`${url}/status`)).json()) as RouteStatus;
  return status.routes.find((route) => route.proxy_path === prefix)?.breaker;
}

describe.each(UPSTREAM_KINDS)('the circuit breaker of a %s upstream', (upstreamKind) => {
  const circuitBreaker = { failures: 5, window: '10s', cooldown: '3s' };

  test('opens after five failures, lets one probe through, and closes when it succeeds', async () => {
    const rig = await startBroken(upstreamKind, { route: { circuitBreaker } });
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
    rig.upstream.inject('tools/call', broken, 5);
    for (let i = 0; i < 5; i += 1) {
      expect(await breakerOf(rig.gateway.url, 'broken')).toBe('closed');
      expect(toolFailure(await client.callTool(`fail-${i}`))?.code).toBe('upstream_failed');
    }
    expect(await breakerOf(rig.gateway.url, 'broken')).toBe('open');

    const askedBefore = rig.upstream.requests.length;
    for (let i = 0; i < 10; i += 1) {
      const failure = toolFailure(await client.callTool(`open-${i}`));
      expect(failure).toMatchObject({ code: 'circuit_open', executed: 'no' });
      expect(failure?.retryAfterMs).toBeGreaterThan(0);
      expect(failure?.retryAfterMs).toBeLessThanOrEqual(3000);
    }
    expect((await client.request('tools/list')).error?.code).toBe(1503);
    expect(rig.upstream.requests.length).toBe(askedBefore);
    expect(client.statuses.every((status) => status === 200 || status === 202)).toBe(true);

    await waitFor('the cool-down', async () => (await breakerOf(rig.gateway.url, 'broken')) === 'half-open');
    rig.upstream.inject('tools/call', hang, 1);
    const probe = client.callTool('probe');
    await waitFor('the probe upstream', () => rig.upstream.executions.has('probe'));
    const others = await Promise.all(Array.from({ length: 10 }, (_, index) => client.callTool(`crowd-${index}`)));
    expect(others.map((reply) => toolFailure(reply)?.code)).toEqual(Array.from({ length: 10 }, () => 'circuit_open'));
    expect(toolFailure(await probe)?.code).toBe('upstream_timeout');
    expect(await breakerOf(rig.gateway.url, 'broken')).toBe('open');

    await waitFor('the next cool-down', async () => (await breakerOf(rig.gateway.url, 'broken')) === 'half-open');
    expect((await client.callTool('healed')).result?.isError).toBeUndefined();
    expect(await breakerOf(rig.gateway.url, 'broken')).toBe('closed');
    expect([...rig.upstream.executions.keys()].filter((nonce) => /open|crowd/.test(nonce))).toEqual([]);
    expectNoLeak(client, rig);
    client.close();
    await rig.stop();
  });

  test('tells new clients at once while it is open, and the other route never', async () => {
    const rig = await startBroken(upstreamKind, {
      route: { circuitBreaker: { ...circuitBreaker, failures: 1, cooldown: '10s' } },
    });
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
    rig.upstream.inject('tools/call', broken, 1);
    await client.callTool('fail');
    for (const kind of clientKinds) {
      const late = await TestClient.open(rig.gateway.url, '/broken', kind);
      expect((await late.initialize()).error?.code).toBe(1503);
      late.close();
    }
    expect(await breakerOf(rig.gateway.url, 'healthy')).toBe('closed');
    client.close();
    await rig.stop();
  });

  test('does not open for refusals', async () => {
    const rig = await startBroken(upstreamKind, { route: { circuitBreaker } });
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
    for (const status of [401, 403, 429]) {
      rig.upstream.inject('tools/call', { kind: 'status', status }, 4);
      for (let i = 0; i < 4; i += 1) await client.callTool(`refused-${status}-${i}`);
    }
    expect(await breakerOf(rig.gateway.url, 'broken')).toBe('closed');
    client.close();
    await rig.stop();
  });
});

describe.each(UPSTREAM_KINDS)('waiting for a %s upstream', (upstreamKind) => {
  test('ends at the idle time, and the upstream hears of it', async () => {
    const rig = await startBroken(upstreamKind, { route: { timeouts: { idle: '600ms' } } });
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'sse');
    rig.upstream.inject('tools/call', hang, 1);
    const startedMs = performance.now();
    const failure = toolFailure(await client.callTool('silent'));
    const tookMs = performance.now() - startedMs;
    expect(failure).toEqual({ code: 'upstream_timeout', executed: 'unknown' });
    expect(tookMs).toBeGreaterThan(550);
    // Not by the total time.
    expect(tookMs).toBeLessThan(9000);
    const cancellation = await waitFor('the cancellation', () => rig.upstream.requestsOf('notifications/cancelled')[0]);
    const sent = JSON.parse(rig.upstream.requestsOf('tools/call')[0]?.body.toString() ?? '{}') as { id: unknown };
    expect(JSON.parse(cancellation.body.toString())).toMatchObject({ params: { requestId: sent.id } });
    client.close();
    await rig.stop();
  });

  test('goes on past the idle time while there is progress, and ends at the total time', async () => {
    const rig = await startBroken(upstreamKind, { route: { timeouts: { idle: '1s', total: '3s' } } });
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
    rig.upstream.inject('tools/call', hang, 1);
    const startedMs = performance.now();
    const params = { name: 'echo', arguments: { nonce: 'trickle' }, _meta: { progressToken: 'tick' } };
    const call = client.request('tools/call', params, 10_000);
    const trickle = setInterval(() => {
      rig.upstream.push({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken: 'tick', progress: 1 },
      });
    }, 100);
    const failure = toolFailure(await call);
    clearInterval(trickle);
    const tookMs = performance.now() - startedMs;
    expect(failure?.code).toBe('upstream_timeout');
    expect(tookMs).toBeGreaterThan(2900);
    expect(tookMs).toBeLessThan(20_000);
    client.close();
    await rig.stop();
  });

  test('gives back every connection to an upstream that answers nothing', async () => {
    const rig = await startBroken(upstreamKind, { route: { circuitBreaker: { failures: 1000 } } });
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
    await client.callTool('first');
    for (const trigger of ['tools/call', 'notifications/cancelled', 'notifications/progress']) {
      rig.upstream.inject(trigger, { kind: 'hang', at: 'headers' });
    }
    const calls = Array.from({ length: 10 }, (_, index) => client.callTool(`hang-${index}`));
    const notes = Array.from({ length: 10 }, () =>
      client.send({ method: 'notifications/progress', params: { progressToken: 'x', progress: 1 } }),
    );
    await Promise.all([...calls, ...notes]);
    // The general stream, and a connection or two that are kept for the next call.
    await waitFor('the connections to be closed', () => rig.upstream.openSockets <= 3, 8000);
    client.close();
    await rig.stop();
  });

  test('gives back the connections of sessions that cannot be opened again', async () => {
    const route = { circuitBreaker: { failures: 1000 }, timeouts: { connect: '1s', idle: '20s' } };
    const rig = await startBroken(upstreamKind, { route });
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
    rig.upstream.inject('initialize', { kind: 'hang', at: 'headers' });
    for (let i = 0; i < 3; i += 1) {
      rig.upstream.inject('tools/call', { kind: 'session-gone' }, 1);
      await client.callTool(`gone-${i}`);
      expect(toolFailure(await client.callTool(`away-${i}`))?.executed).toBe('no');
    }
    await waitFor('the connections to be closed', () => rig.upstream.openSockets <= 2, 8000);
    client.close();
    await rig.stop();
  });
});

test('a call that reports progress outlives the idle time', async () => {
  const upstream = await startSdkUpstream();
  for (const url of [upstream.urls.sse, upstream.urls.streamable]) {
    const rig = await startBroken('sse', { url, route: { transport: 'auto' } });
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
    const params = { name: 'slow', arguments: { steps: 8, delayMs: 300 }, _meta: { progressToken: 7 } };
    const reply = await client.request('tools/call', params, 10_000);
    expect(reply.result?.content?.[0]?.text).toBe('did 8 steps');
    client.close();
    await rig.stop();
  }
  await upstream.close();
});

describe('too many calls at once', () => {
  test.each(clientKinds)('are refused with 503 and a time, for %s clients, until there is room', async (kind) => {
    const rig = await startBroken('streamable-http', { route: { inFlight: 2, timeouts: { idle: '2s' } } });
    const client = await TestClient.connect(rig.gateway.url, '/broken', kind);
    rig.upstream.inject('tools/call', hang, 2);
    const held = [client.callTool('held-1'), client.callTool('held-2')];
    await waitFor('both calls upstream', () => rig.upstream.requestsOf('tools/call').length === 2);

    const refused = await client.send({ id: 'over', method: 'tools/call', params: { name: 'echo', arguments: {} } });
    expect(refused.status).toBe(503);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    await waitFor('the body', () => refused.ended);
    expect(JSON.parse(refused.body)).toMatchObject({ id: 'over', error: { code: 1503 } });
    expect(rig.upstream.requestsOf('tools/call')).toHaveLength(2);

    const newcomer = await TestClient.open(rig.gateway.url, '/broken', kind);
    const initialize = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'late', version: '1' } };
    expect((await newcomer.send({ id: 'early', method: 'initialize', params: initialize })).status).toBe(503);

    await Promise.all(held);
    expect((await client.callTool('free')).result?.isError).toBeUndefined();
    // Having been refused once must not lock a session out.
    expect((await newcomer.initialize()).error).toBeUndefined();
    client.close();
    newcomer.close();
    await rig.stop();
  });

  test('hold for the whole gateway too, and leave the probes alone', async () => {
    const upstream = await EvilUpstream.start();
    const gateway = await startTestGateway({
      server: { limits: { inFlight: 2 } },
      upstreams: [
        { url: upstream.mcpUrl, prefix: 'one', timeouts: { idle: '2s' } },
        { url: upstream.mcpUrl, prefix: 'two', timeouts: { idle: '2s' } },
      ],
    });
    const [one, two] = await Promise.all([
      TestClient.connect(gateway.url, '/one', 'streamable-http'),
      TestClient.connect(gateway.url, '/two', 'sse'),
    ]);
    upstream.inject('tools/call', hang, 2);
    const held = [one.callTool('held-1'), two.callTool('held-2')];
    await waitFor('the calls upstream', () => upstream.requestsOf('tools/call').length === 2);
    for (const client of [one, two]) {
      const over = await client.send({ id: 'over', method: 'tools/call', params: { name: 'echo', arguments: {} } });
      expect(over.status).toBe(503);
    }
    expect((await fetch(`${gateway.url}/livez`)).status).toBe(200);
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
    await Promise.all(held);
    expect((await two.callTool('free')).result?.isError).toBeUndefined();
    one.close();
    two.close();
    await gateway.stop();
    await upstream.close();
  });
});
