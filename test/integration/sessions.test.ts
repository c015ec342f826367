/** What a session is to a client: when it begins and ends, whose it is, and how much of everything there may be. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { startTestGateway, type TestGateway } from '../helpers/start-gateway.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { waitFor } from '../helpers/wait.js';
import {
  BareSse,
  BareStreamable,
  CLIENT_KINDS,
  endpointUrl,
  initializeParams,
  messagesOf,
  nextId,
  openBare,
  PATIENCE_MS,
} from './sessions-support.js';

let upstream: SdkUpstream;
let gateway: TestGateway;
interface Config {
  readonly server?: object;
  readonly upstreams: readonly object[];
}

const closing: (() => unknown)[] = [];

beforeAll(async () => {
  upstream = await startSdkUpstream();
  gateway = await startTestGateway({
    upstreams: [
      { url: upstream.urls.sse, prefix: 'one' },
      { url: upstream.urls.streamable, prefix: 'two' },
    ],
  });
});

afterAll(async () => {
  await gateway.stop();
  await upstream.close();
});

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** Calls that hang are part of the tests, so nobody waits for them at the end. */
async function startOwnGateway(config: Config): Promise<TestGateway> {
  const own = await startTestGateway({ ...config, server: { drain: { timeout: '0s' }, ...config.server } });
  closing.push(() => own.stop());
  return own;
}

async function startEvil(): Promise<EvilUpstream> {
  const evil = await EvilUpstream.start();
  closing.push(() => evil.close());
  return evil;
}

async function statusOf(url: string, body: object, headers: Record<string, string> = {}): Promise<number> {
  const accept = 'application/json, text/event-stream';
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, ...headers },
    body: JSON.stringify(body),
  });
  await response.text();
  return response.status;
}

const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
const initialize = () => ({ jsonrpc: '2.0', id: nextId(), method: 'initialize', params: initializeParams() });

describe('session ids', () => {
  const forged = (id: string) => [
    '',
    'x',
    'A'.repeat(id.length),
    id.slice(0, -1),
    `${id}A`,
    `${id.slice(0, 10)}${id[10] === 'A' ? 'B' : 'A'}${id.slice(11)}`,
    id.toUpperCase(),
    'constructor',
    '__proto__',
    '%00',
    '../..',
    '~'.repeat(4000),
  ];

  test('a forged or altered id of a Streamable HTTP session is 404', async () => {
    const client = await BareStreamable.open(gateway.url, 'one');
    const statuses = forged(client.sessionId ?? '').map((id) => statusOf(client.url, LIST, { 'mcp-session-id': id }));
    expect(new Set(await Promise.all(statuses))).toEqual(new Set([404]));
    expect(await client.request('ping')).toMatchObject({ result: {} });
  });

  test('a forged or altered id of an HTTP+SSE session is 404', async () => {
    const client = await BareSse.open(gateway.url, 'one');
    const [, ...ids] = forged(client.sessionId);
    const statuses = ids.map((id) => statusOf(`${gateway.url}/one/messages?sessionId=${encodeURIComponent(id)}`, LIST));
    expect(new Set(await Promise.all(statuses))).toEqual(new Set([404]));
    client.close();
  });

  test('a missing id is 400', async () => {
    expect(await statusOf(`${gateway.url}/one/mcp`, LIST)).toBe(400);
    expect(await statusOf(`${gateway.url}/one/messages`, LIST)).toBe(400);
  });

  test('the id of another route or another transport is 404', async () => {
    const streamable = await BareStreamable.open(gateway.url, 'one');
    const sse = await BareSse.open(gateway.url, 'one');
    const streamableId = streamable.sessionId ?? '';
    expect(await statusOf(`${gateway.url}/two/mcp`, LIST, { 'mcp-session-id': streamableId })).toBe(404);
    expect(await statusOf(`${gateway.url}/two/messages?sessionId=${sse.sessionId}`, LIST)).toBe(404);
    expect(await statusOf(`${gateway.url}/one/mcp`, LIST, { 'mcp-session-id': sse.sessionId })).toBe(404);
    expect(await statusOf(`${gateway.url}/one/messages?sessionId=${streamableId}`, LIST)).toBe(404);
    sse.close();
  });

  test('are constant in size, and no two alike', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => BareStreamable.open(gateway.url, 'two')));
    const ids = clients.map((client) => client.sessionId ?? '');
    expect(new Set(ids).size).toBe(10);
    expect(new Set(ids.map((id) => id.length)).size).toBe(1);
    expect(ids.every((id) => /^[\w-]{40,}$/.test(id))).toBe(true);
  });
});

describe('the handshake', () => {
  test('comes once: initialize again with a live id is 400', async () => {
    const streamable = await BareStreamable.open(gateway.url, 'two');
    expect(await streamable.post(initialize())).toBe(400);
    const sse = await BareSse.open(gateway.url, 'two');
    expect(await sse.post(initialize())).toBe(400);
    expect(await sse.request('ping')).toMatchObject({ result: {} });
    sse.close();
  });

  test('comes first: requests and notifications before it are 400, pings are answered', async () => {
    const sse = await BareSse.connect(gateway.url, 'two');
    expect(await sse.post(LIST)).toBe(400);
    expect(await sse.post({ jsonrpc: '2.0', method: 'notifications/initialized' })).toBe(400);
    expect(await sse.request('ping')).toMatchObject({ result: {} });
    expect(await sse.request('initialize', initializeParams())).toHaveProperty('result');
    sse.close();
  });

  test('begins anew when it comes with a stale id', async () => {
    const client = BareStreamable.at(gateway.url, 'two');
    const id = nextId();
    const request = { jsonrpc: '2.0', id, method: 'initialize', params: initializeParams() };
    const response = await client.open(request, { 'mcp-session-id': 'an-id-of-yesterday' });
    await response.end();
    expect(response.status).toBe(200);
    expect(response.headers['mcp-session-id']).toMatch(/^[\w-]{40,}$/);
  });

  test('may be tried again on the same stream when the first was refused for want of room', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({
      upstreams: [{ url: evil.sseUrl, prefix: 'evil', inFlight: 1, timeouts: { idle: '500ms' } }],
    });
    const busy = await BareSse.open(url, 'evil');
    evil.inject('tools/call', { kind: 'hang', at: 'stream' }, 1);
    await busy.post({ jsonrpc: '2.0', id: 'slow', method: 'tools/call', params: { name: 'echo' } });
    const late = await BareSse.connect(url, 'evil');
    expect(await late.post(initialize())).toBe(503);
    expect(await busy.answer('slow')).toHaveProperty('result.isError', true);
    await waitFor('room', async () => (await late.post(initialize())) === 202, PATIENCE_MS);
    busy.close();
    late.close();
  });
});

describe('the end of a session', () => {
  test('DELETE ends it on both sides', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ upstreams: [{ url: evil.mcpUrl, prefix: 'evil' }] });
    const client = await BareStreamable.open(url, 'evil');
    await client.notify('notifications/initialized');
    expect(evil.sessions.size).toBe(1);
    expect(await client.delete()).toBe(200);
    expect(await client.post(LIST)).toBe(404);
    expect(await client.delete()).toBe(404);
    await waitFor('DELETE upstream', () => evil.requests.some(({ method }) => method === 'DELETE'), PATIENCE_MS);
    expect(evil.sessions.size).toBe(0);
    await waitFor('the upstream stream to close', () => evil.getStreams.size === 0, PATIENCE_MS);
  });

  test('DELETE ends the upstream side that is an HTTP+SSE stream', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ upstreams: [{ url: evil.sseUrl, prefix: 'evil' }] });
    const client = await BareStreamable.open(url, 'evil');
    const general = await client.openGeneral();
    expect(evil.sseStreams.size).toBe(1);
    expect(await client.delete()).toBe(200);
    await general.end(PATIENCE_MS);
    await waitFor('the upstream stream to close', () => evil.sseStreams.size === 0, PATIENCE_MS);
  });

  test.each(CLIENT_KINDS)('at its greatest age the id of a %s session is 404', async (kind) => {
    const sessions = { ttl: '1s' };
    const own = await startOwnGateway({
      server: { sessions },
      upstreams: [{ url: upstream.urls.streamable, prefix: 'two' }],
    });
    const client = await openBare(kind, own.url, 'two');
    await waitFor('the session to end', async () => (await client.post(LIST)) === 404, PATIENCE_MS);
    client.close();
  });

  test('a client that does not come back in time loses both sides', async () => {
    const evil = await startEvil();
    const own = await startOwnGateway({
      server: { sessions: { resumeGrace: '300ms' } },
      upstreams: [{ url: evil.sseUrl, prefix: 'evil' }],
    });
    const client = await BareSse.open(own.url, 'evil');
    const { lastEventId } = client.stream;
    client.close();
    await waitFor('the upstream stream to close', () => evil.sseStreams.size === 0, PATIENCE_MS);
    expect(await client.post(LIST)).toBe(404);
    const resumed = await client.resume(lastEventId);
    expect(resumed.status).toBe(404);
  });
});

describe('an idle Streamable HTTP session', () => {
  test('parks, and its next call opens the upstream again under the same id, state included', async () => {
    const evil = await startEvil();
    const own = await startOwnGateway({
      server: { sessions: { idleTimeout: '400ms' } },
      upstreams: [{ url: evil.mcpUrl, prefix: 'evil' }],
    });
    const client = await BareStreamable.open(own.url, 'evil');
    await client.notify('notifications/initialized');
    await client.request('logging/setLevel', { level: 'warning' });
    await client.request('resources/subscribe', { uri: 'test://kept' });
    await client.request('resources/subscribe', { uri: 'test://dropped' });
    await client.request('resources/unsubscribe', { uri: 'test://dropped' });
    await waitFor('DELETE upstream', () => evil.requests.some(({ method }) => method === 'DELETE'), PATIENCE_MS);
    expect(evil.sessions.size).toBe(0);
    evil.requests.length = 0;

    const reply = await client.request('tools/call', { name: 'echo', arguments: { nonce: 'after' } });
    expect(reply).toHaveProperty('result');
    expect(evil.executions.get('after')).toBe(1);
    const said = evil.requests.map(({ rpcMethod, method }) => rpcMethod ?? method);
    expect(said).toEqual([
      'initialize',
      'notifications/initialized',
      'GET',
      'logging/setLevel',
      'resources/subscribe',
      'tools/call',
    ]);
    expect(evil.requestsOf('resources/subscribe')[0]?.body.toString()).toContain('test://kept');
    const general = await client.openGeneral();
    const warning = await waitFor('a warning', () => messagesOf(general)[0], PATIENCE_MS);
    expect(warning).toMatchObject({ method: 'notifications/message', params: { level: 'warning' } });
    client.close();
  });

  test('does not park while a call is under way', async () => {
    const own = await startOwnGateway({
      server: { sessions: { idleTimeout: '100ms' } },
      upstreams: [{ url: upstream.urls.streamable, prefix: 'two' }],
    });
    const client = await openBare('streamable-http', own.url, 'two');
    const closed = upstream.closed;
    const reply = await client.request('tools/call', { name: 'slow', arguments: { steps: 1, delayMs: 800 } });
    expect(reply).toMatchObject({ result: { content: [{ text: 'did 1 steps' }] } });
    expect(upstream.closed).toBe(closed);
  });
});

describe('limits', () => {
  test('more sessions than there may be are 503 with Retry-After, and one that ends makes room', async () => {
    const own = await startOwnGateway({
      server: { limits: { sessions: 2 } },
      upstreams: [{ url: upstream.urls.streamable, prefix: 'two' }],
    });
    const first = await BareStreamable.open(own.url, 'two');
    const second = await BareSse.open(own.url, 'two');
    const sse = await fetch(endpointUrl('sse', own.url, 'two'));
    expect([sse.status, sse.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await sse.json()).toMatchObject({ error: { code: 1503 } });
    const id = nextId();
    const refused = await BareStreamable.at(own.url, 'two').open({ ...initialize(), id });
    await refused.end();
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5']);
    await first.delete();
    const third = await BareStreamable.open(own.url, 'two');
    expect(third.sessionId).toBeDefined();
    second.close();
  });

  test.each([
    ['one upstream', { upstream: 2, gateway: 1000 }],
    ['the gateway', { upstream: 100, gateway: 2 }],
  ])('more requests in flight than %s may have are 503 with Retry-After', async (_name, limit) => {
    const evil = await startEvil();
    const own = await startOwnGateway({
      server: { limits: { inFlight: limit.gateway } },
      upstreams: [{ url: evil.sseUrl, prefix: 'evil', inFlight: limit.upstream, timeouts: { idle: '2s' } }],
    });
    const client = await BareSse.open(own.url, 'evil');
    const streamable = await BareStreamable.open(own.url, 'evil');
    evil.inject('tools/call', { kind: 'hang', at: 'stream' });
    const call = (id: string) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo' } });
    expect([await client.post(call('a')), await client.post(call('b'))]).toEqual([202, 202]);
    const refused = await client.postFully(call('c'));
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(JSON.parse(refused.body)).toMatchObject({ id: 'c', error: { code: 1503 } });
    const refusedToo = await streamable.open(LIST);
    await refusedToo.end();
    expect([refusedToo.status, refusedToo.headers['retry-after']]).toEqual([503, '1']);
    const { id, method } = LIST;
    await waitFor('room', async () => (await streamable.post({ jsonrpc: '2.0', id, method })) === 200, PATIENCE_MS);
    client.close();
  });
});
