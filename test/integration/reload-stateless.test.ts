/** Reloads as clients without sessions see them: those that listen for changed tools are told. */
import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Loopback, listenOnLoopback } from '../helpers/loopback.js';
import { SseStream } from '../helpers/sse-client.js';
import { waitFor } from '../helpers/wait.js';
import { type ConfigObject, ReloadableGateway } from './reload-support.js';

const VERSION = '2026-07-28';
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
const TOOLS = ['read', 'write'].map((name) => ({ name, inputSchema: { type: 'object' } }));

let upstream: Loopback;

beforeAll(async () => {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, object>;
      if (method !== ('subscriptions/listen' as unknown)) {
        const result = { resultType: 'complete', tools: TOOLS, ttlMs: 0, cacheScope: 'private' };
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, result }));
        return;
      }
      const { notifications } = params as { notifications: object };
      const acknowledged = { notifications, _meta: { [SUBSCRIPTION]: id } };
      const message = { jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: acknowledged };
      response.setHeader('content-type', 'text/event-stream').write(`data: ${JSON.stringify(message)}\n\n`);
    });
  });
  upstream = await listenOnLoopback(server);
});

afterAll(() => upstream.close());

function config(...allow: string[]): ConfigObject {
  const policy = { version: '2.0', name: 'p', default: 'deny', roles: { user: { allow } } };
  const url = `http://127.0.0.1:${upstream.port}/mcp`;
  return {
    upstreams: [{ url, prefix: 'up', transport: 'streamable-http', protocol: 'modern', policy: 'p', role: 'user' }],
    policies: { p: policy },
  };
}

function post(gateway: ReloadableGateway, id: number, method: string, params: object = {}): Promise<SseStream> {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': VERSION,
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  return SseStream.open(`${gateway.url}/up/mcp`, {
    method: 'POST',
    headers: { 'mcp-protocol-version': VERSION, 'mcp-method': method },
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta: meta } }),
  });
}

test('only who asked for changes of tools is told of them', async () => {
  const gateway = await ReloadableGateway.start(config('read', 'write'));
  await waitFor('the list', async () => (await post(gateway, 1, 'tools/list')).status === 200);
  const [asked, other] = await Promise.all([
    post(gateway, 2, 'subscriptions/listen', { notifications: { toolsListChanged: true } }),
    post(gateway, 3, 'subscriptions/listen', { notifications: { promptsListChanged: true } }),
  ]);
  await Promise.all([asked.next(), other.next()]);

  await gateway.apply(config('read'));
  expect(JSON.parse((await asked.next()).data)).toEqual({
    jsonrpc: '2.0',
    method: 'notifications/tools/list_changed',
    params: { _meta: { [SUBSCRIPTION]: 2 } },
  });
  expect(other.events).toHaveLength(1);

  await gateway.apply({ ...config('read'), upstreams: [{ url: 'http://127.0.0.1:1/mcp', prefix: 'else' }] });
  for (const [stream, id] of [
    [asked, 2],
    [other, 3],
  ] as const) {
    expect(JSON.parse((await stream.next()).data)).toMatchObject({ id, result: { resultType: 'complete' } });
  }
  await gateway.stop();
});
