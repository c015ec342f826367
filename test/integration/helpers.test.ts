/** The test helpers themselves: a broken helper would make other tests pass for the wrong reason. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { CreateMessageRequestSchema, ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ChaosProxy } from '../helpers/chaos-proxy.js';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import type { Fault } from '../helpers/faults.js';
import { jsonPost, RawConnection, rawRequest } from '../helpers/raw-http.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { SseStream } from '../helpers/sse-client.js';
import { startTestGateway } from '../helpers/start-gateway.js';
import { startUnacceptingListener } from '../helpers/unaccepting-listener.js';
import { delay, waitFor } from '../helpers/wait.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function closing<T extends { close(): unknown }>(thing: T): T {
  cleanups.push(() => thing.close());
  return thing;
}

const INITIALIZE =
  '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}';
const CALL = '{"jsonrpc":"2.0","id":"call","method":"tools/call","params":{"name":"echo","arguments":{"nonce":"n1"}}}';

describe('the SDK upstream', () => {
  const transports: [string, (upstream: SdkUpstream) => Transport][] = [
    ['HTTP+SSE', ({ urls }) => new SSEClientTransport(new URL(urls.sse))],
    ['Streamable HTTP with SSE answers', ({ urls }) => streamable(urls.streamable)],
    ['Streamable HTTP with JSON answers', ({ urls }) => streamable(urls.streamableJson)],
    ['Streamable HTTP without sessions', ({ urls }) => streamable(urls.stateless)],
  ];
  const streamable = (url: string): Transport => new StreamableHTTPClientTransport(new URL(url));

  test.each(transports)('serves tools over %s', async (_name, open) => {
    const upstream = closing(await startSdkUpstream());
    const client = closing(new Client({ name: 'test', version: '1' }));
    await client.connect(open(upstream));
    const answer = await client.callTool({ name: 'echo', arguments: { message: 'hi', nonce: 'once' } });
    expect(answer.content).toEqual([{ type: 'text', text: 'hi' }]);
    expect(upstream.state.executions.get('once')).toBe(1);
  });

  test.each(transports.slice(0, 2))('talks back over %s', async (_name, open) => {
    const upstream = closing(await startSdkUpstream());
    const client = closing(new Client({ name: 'test', version: '1' }, { capabilities: { sampling: {} } }));
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      model: 'none',
      role: 'assistant',
      content: { type: 'text', text: 'sampled' },
    }));
    const updates: string[] = [];
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void updates.push(params.uri));
    await client.connect(open(upstream));

    const sampled = await client.callTool({ name: 'sample', arguments: { prompt: 'x' } });
    expect(JSON.stringify(sampled.content)).toContain('sampled');

    const progress: number[] = [];
    await client.callTool({ name: 'slow', arguments: { steps: 3, delayMs: 20 } }, undefined, {
      onprogress: (event) => void progress.push(event.progress),
    });
    expect(progress).toEqual([1, 2, 3]);

    await client.subscribeResource({ uri: 'test://counter' });
    await client.callTool({ name: 'count' });
    await waitFor('a resource update', () => updates.includes('test://counter'));
    expect((await client.readResource({ uri: 'test://counter' })).contents[0]).toMatchObject({ text: '1' });
    expect((await client.getPrompt({ name: 'greet', arguments: { language: 'German' } })).messages).toHaveLength(1);
  });

  test('counts sessions, and forgets them when told to', async () => {
    const upstream = closing(await startSdkUpstream());
    const client = closing(new Client({ name: 'test', version: '1' }));
    await client.connect(streamable(upstream.urls.streamable));
    expect([upstream.opened, upstream.closed, upstream.servers.size]).toEqual([1, 0, 1]);
    upstream.forgetSessions();
    await expect(client.listTools()).rejects.toThrow();

    const other = new Client({ name: 'test', version: '1' });
    await other.connect(new SSEClientTransport(new URL(upstream.urls.sse)));
    await other.close();
    await waitFor('the session to close', () => upstream.closed === 1);
  });
});

describe('the evil upstream', () => {
  test('behaves until told otherwise, records bytes and counts executions', async () => {
    const evil = closing(await EvilUpstream.start());
    const stream = closing(await SseStream.open(evil.sseUrl));
    const endpoint = await stream.next();
    await rawRequest(evil.port, jsonPost(endpoint.data, INITIALIZE, { 'X-Probe': 'yes' }));
    await rawRequest(evil.port, jsonPost(endpoint.data, CALL));
    expect(await stream.nextMessage()).toMatchObject({ id: 1, result: { serverInfo: { name: 'evil' } } });
    expect(await stream.nextMessage()).toMatchObject({ id: 'call' });
    expect(evil.executions.get('n1')).toBe(1);
    expect(evil.requestsOf('initialize')[0]?.body.toString()).toBe(INITIALIZE);
    expect(evil.requestsOf('initialize')[0]?.headers['x-probe']).toBe('yes');
    evil.push({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    expect(await stream.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
  });

  const replies: [Fault, RegExp | string][] = [
    [{ kind: 'not-json' }, '{"jsonrpc":"2.0","id":'],
    [{ kind: 'wrong-id' }, /"id":"not-call"/],
    [{ kind: 'null-id' }, /"id":null/],
    [{ kind: 'huge-line', bytes: 100_000 }, /x{100000}/],
  ];
  test.each(replies)('spoils a reply: %j', async (fault, expected) => {
    const evil = closing(await EvilUpstream.start());
    evil.inject('tools/call', fault, 1);
    const stream = closing(await SseStream.open(evil.mcpUrl, { method: 'POST', body: CALL }));
    expect((await stream.next()).data).toMatch(expected);
    const healthy = closing(await SseStream.open(evil.mcpUrl, { method: 'POST', body: CALL }));
    expect(await healthy.nextMessage()).toMatchObject({ id: 'call', result: {} });
  });

  const statuses: [Fault, number][] = [
    [{ kind: 'session-gone' }, 404],
    [{ kind: 'status', status: 429, headers: { 'retry-after': '1' } }, 429],
    [{ kind: 'status', status: 503 }, 503],
    [{ kind: 'redirect', location: 'http://127.0.0.1:1/' }, 307],
    [{ kind: 'html' }, 200],
  ];
  test.each(statuses)('answers a call with %j', async (fault, status) => {
    const evil = closing(await EvilUpstream.start());
    evil.inject('tools/call', fault);
    expect((await rawRequest(evil.port, jsonPost('/mcp', CALL))).status).toBe(status);
  });

  test('replies twice, or ends without a reply', async () => {
    const evil = closing(await EvilUpstream.start());
    evil.inject('tools/call', { kind: 'duplicate-reply' }, 1);
    evil.inject('tools/call', { kind: 'no-reply' }, 1);
    const twice = closing(await SseStream.open(evil.mcpUrl, { method: 'POST', body: CALL }));
    await twice.end();
    expect(twice.events).toHaveLength(2);
    const none = closing(await SseStream.open(evil.mcpUrl, { method: 'POST', body: CALL }));
    await none.end();
    expect([none.status, none.events]).toEqual([200, []]);
  });

  test('cuts the stream of a session mid-call', async () => {
    const evil = closing(await EvilUpstream.start());
    evil.inject('tools/call', { kind: 'cut-stream' });
    const stream = closing(await SseStream.open(evil.sseUrl));
    const endpoint = await stream.next();
    expect((await rawRequest(evil.port, jsonPost(endpoint.data, CALL))).status).toBe(202);
    await stream.end();
    expect(stream.events).toHaveLength(1);
  });

  test.each(['accept', 'headers', 'stream'] as const)('resets at %s', async (at) => {
    const evil = closing(await EvilUpstream.start());
    evil.inject(at === 'accept' ? 'connection' : 'tools/call', { kind: 'reset', at });
    if (at === 'accept') {
      // Whether the handshake is still seen to succeed is up to the scheduler.
      await expect(rawRequest(evil.port, jsonPost('/mcp', CALL))).rejects.toThrow(/ECONNRESET|closed after/);
      return;
    }
    const connection = await RawConnection.open(evil.port);
    connection.send(jsonPost('/mcp', CALL));
    await connection.closed();
    expect(connection.wasReset).toBe(true);
    expect(connection.received.includes('200 OK')).toBe(at === 'stream');
  });

  test.each(['accept', 'headers', 'stream'] as const)('hangs at %s', async (at) => {
    const evil = closing(await EvilUpstream.start());
    evil.inject(at === 'accept' ? 'connection' : 'tools/call', { kind: 'hang', at });
    const connection = await RawConnection.open(evil.port);
    connection.send(jsonPost('/mcp', CALL));
    if (at === 'stream') expect((await connection.head()).status).toBe(200);
    await delay(50);
    expect(connection.closedByPeer).toBe(false);
    expect(connection.received.endsWith('\r\n\r\n')).toBe(at === 'stream');
    expect(evil.requests).toHaveLength(at === 'accept' ? 0 : 1);
    connection.destroy();
  });
});

describe('the chaos proxy', () => {
  async function behindProxy() {
    const upstream = closing(await EvilUpstream.start());
    const proxy = closing(await ChaosProxy.start(upstream.port));
    return { upstream, proxy };
  }

  test('is transparent when fair, and slices and delays when told to', async () => {
    const { upstream, proxy } = await behindProxy();
    const direct = await rawRequest(upstream.port, jsonPost('/mcp', CALL));
    proxy.conditions.sliceBytes = 7;
    proxy.conditions.latencyMs = 30;
    const startMs = performance.now();
    const proxied = await rawRequest(proxy.port, jsonPost('/mcp', CALL));
    expect(proxied.body).toBe(direct.body);
    expect(performance.now() - startMs).toBeGreaterThan(55);
  });

  test('limits bandwidth', async () => {
    const { proxy } = await behindProxy();
    proxy.conditions.bytesPerSecond = 5000;
    proxy.conditions.sliceBytes = 100;
    const startMs = performance.now();
    await rawRequest(proxy.port, jsonPost('/mcp', CALL));
    expect(performance.now() - startMs).toBeGreaterThan(60);
  });

  test('swallows data without closing, then recovers', async () => {
    const { proxy } = await behindProxy();
    proxy.conditions.blackhole = true;
    await expect(rawRequest(proxy.port, jsonPost('/mcp', CALL), 100)).rejects.toThrow('timed out');
    proxy.heal();
    expect((await rawRequest(proxy.port, jsonPost('/mcp', CALL))).status).toBe(200);
  });

  test('resets after a number of bytes, on demand, and at accept', async () => {
    const { proxy } = await behindProxy();
    proxy.conditions.limitBytes = 50;
    const limited = await RawConnection.open(proxy.port);
    limited.send(jsonPost('/mcp', CALL));
    await limited.closed();
    expect(limited.wasReset).toBe(true);

    proxy.heal();
    const open = await RawConnection.open(proxy.port);
    await waitFor('the connection', () => proxy.connections > 0);
    proxy.resetAll();
    await open.closed();

    proxy.conditions.accept = 'reset';
    await expect(rawRequest(proxy.port, jsonPost('/mcp', CALL))).rejects.toThrow(/ECONNRESET|closed after/);
  });
});

test('a handshake with the unaccepting listener never completes', async () => {
  const listener = closing(await startUnacceptingListener());
  const socket = connect(listener.port, '127.0.0.1');
  let connected = false;
  socket.on('connect', () => {
    connected = true;
  });
  await delay(200);
  expect(connected).toBe(false);
  socket.destroy();
});

test('a test gateway serves its configuration, keeps its log, and is gone after stop', async () => {
  const evil = closing(await EvilUpstream.start());
  const gateway = await startTestGateway(
    { upstreams: [{ url: '${URL}', prefix: 'evil' }] },
    { env: { URL: evil.mcpUrl } },
  );
  cleanups.push(() => gateway.stop());
  expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
  expect(gateway.log.lines.map(({ event }) => event)).toContain('listening');
  await gateway.stop();
  await expect(RawConnection.open(gateway.port)).rejects.toThrow('ECONNREFUSED');
});
