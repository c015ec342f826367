/** The official TypeScript client comes back without saying which session it had: it is served all the same. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ChaosProxy } from '../helpers/chaos-proxy.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import {
  BareSse,
  CLIENT_KINDS,
  endpointUrl,
  initializeParams,
  LATEST_VERSION,
  PATIENCE_MS,
  textOf,
} from './sessions-support.js';

let upstream: SdkUpstream;
let gateway: InProcessGateway;
let proxy: ChaosProxy;

beforeEach(async () => {
  upstream = await startSdkUpstream();
  gateway = await startTestGateway({
    server: { drain: { timeout: '0s' } },
    upstreams: [
      { url: upstream.urls.sse, prefix: 'from-sse' },
      { url: upstream.urls.streamable, prefix: 'from-streamable-http' },
    ],
  });
  proxy = await ChaosProxy.start(gateway.port);
});

afterEach(async () => {
  await proxy.close();
  await gateway.stop();
  await upstream.close();
});

const base = () => proxy.through(gateway.url).slice(0, -1);
const sessionsOf = async (prefix: string) => {
  const status = (await (await fetch(`${gateway.url}/${prefix}/status`)).json()) as { connections: number };
  return status.connections;
};

test.each(CLIENT_KINDS)('calls go on after its connection was cut (%s upstream)', async (kind) => {
  const prefix = `from-${kind}`;
  const client = new Client({ name: 'returning', version: '1' });
  await client.connect(new SSEClientTransport(new URL(endpointUrl('sse', base(), prefix))));
  const call = async () =>
    textOf(await client.callTool({ name: 'echo', arguments: { text: 'hello' } }, undefined, { timeout: 3000 }));
  const before = await call();
  for (let cut = 1; cut <= 2; cut += 1) {
    proxy.resetAll();
    // The client is told to wait a second; until then it would post to the session that it has lost.
    await waitFor('a new session', async () => (await sessionsOf(prefix)) === cut + 1, PATIENCE_MS);
    // Until it has heard where to post now, it still may.
    const answer = await waitFor('an answer', () => call().catch(() => undefined), PATIENCE_MS);
    expect(answer).toBe(before);
  }
  expect((await client.listTools()).tools.length).toBeGreaterThan(0);
  await client.close();
});

test('the server is told who the client is, as the client had said it', async () => {
  const client = new Client({ name: 'returning', version: '7' });
  await client.connect(new SSEClientTransport(new URL(endpointUrl('sse', base(), 'from-streamable-http'))));
  proxy.resetAll();
  await waitFor('a new session', async () => (await sessionsOf('from-streamable-http')) === 2, PATIENCE_MS);
  await client.listTools();
  const names = [...upstream.servers].map(({ server }) => server.getClientVersion());
  expect(names).toEqual([
    { name: 'returning', version: '7' },
    { name: 'returning', version: '7' },
  ]);
  await client.close();
});

test('a client that says a revision and initializes is one like any other', async () => {
  const client = await BareSse.connect(gateway.url, 'from-sse', { 'mcp-protocol-version': LATEST_VERSION });
  const reply = await client.request('initialize', initializeParams());
  expect(reply.result).toHaveProperty('serverInfo');
  await client.notify('notifications/initialized');
  expect((await client.request('tools/list')).result).toHaveProperty('tools');
});

test('a client that knows no revision yet has to initialize', async () => {
  const client = await BareSse.connect(gateway.url, 'from-sse');
  expect(await client.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })).toBe(400);
});

test('an unknown revision opens no door', async () => {
  const client = await BareSse.connect(gateway.url, 'from-sse', { 'mcp-protocol-version': '1999-01-01' });
  expect(await client.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })).toBe(400);
});
