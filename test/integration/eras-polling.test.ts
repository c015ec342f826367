/** A server that closes the stream of an answer to be polled for it: clients that know how are let go too, others wait on their stream. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { type Fixture, serveLegacy } from '../conformance/fixtures/serve.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { within } from '../helpers/wait.js';

const ANSWER = 'Said after the stream was closed';
const CALL = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'test_reconnection', arguments: {} } };

let upstream: Fixture;
let gateway: InProcessGateway;
let url: string;

beforeAll(async () => {
  upstream = await serveLegacy();
  gateway = await startTestGateway({ upstreams: [{ url: upstream.url, prefix: 'polled' }] });
  url = `${gateway.url}/polled/mcp`;
});

afterAll(async () => {
  await gateway.stop();
  await upstream.close();
});

function send(method: string, headers: Record<string, string>, message?: object): Promise<Response> {
  const accept = 'application/json, text/event-stream';
  const all = { accept, 'content-type': 'application/json', ...headers };
  return fetch(url, { method, headers: all, ...(message === undefined ? {} : { body: JSON.stringify(message) }) });
}

/** Opens a session of this revision; returns the headers of its requests. */
async function open(protocolVersion: string): Promise<Record<string, string>> {
  const params = { protocolVersion, capabilities: {}, clientInfo: { name: 'test', version: '1' } };
  const opened = await send('POST', {}, { jsonrpc: '2.0', id: 1, method: 'initialize', params });
  await opened.text();
  const headers = {
    'mcp-session-id': opened.headers.get('mcp-session-id') ?? '',
    'mcp-protocol-version': protocolVersion,
  };
  await send('POST', headers, { jsonrpc: '2.0', method: 'notifications/initialized' });
  return headers;
}

test('a client of 2025-11-25 is let go, told when to come back, and finds the answer where it left', async () => {
  const headers = await open('2025-11-25');
  const response = await send('POST', headers, CALL);
  const text = await within('the stream to end', response.text());
  expect(text).not.toContain(ANSWER);
  expect(text).toMatch(/^retry: 100$/m);
  const lastEventId = [...text.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? '';
  expect(lastEventId).not.toBe('');
  const resumed = await send('GET', { ...headers, 'last-event-id': lastEventId });
  expect(await within('the answer', resumed.text())).toContain(ANSWER);
});

test('a client of an older revision waits on its stream', async () => {
  const headers = await open('2025-06-18');
  const response = await send('POST', headers, CALL);
  const text = await within('the answer', response.text());
  expect(text).toContain(ANSWER);
  expect(text).not.toMatch(/^retry:/m);
});

test('a real client gets its answer without noticing', async () => {
  const client = new Client({ name: 'test', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const result = await within('the answer', client.callTool({ name: 'test_reconnection', arguments: {} }));
  expect(JSON.stringify(result.content)).toContain(ANSWER);
  await client.close();
});
