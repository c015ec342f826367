/** HTTP by hand with credentials, and what tests of identity look at in an answer. */
import { createHash } from 'node:crypto';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { type ClientKind, endpointUrl, initializeParams } from './sessions-support.js';

export type Headers = Readonly<Record<string, string>>;

export interface Answer {
  readonly status: number;
  readonly headers: globalThis.Headers;
  readonly body: unknown;
}

export function bearer(secret: string): Headers {
  return { authorization: `Bearer ${secret}` };
}

export function apiKey(name: string, secret: string, more: Readonly<Record<string, string>> = {}) {
  return { name, sha256: createHash('sha256').update(secret).digest('hex'), ...more };
}

export async function send(method: string, url: string, headers: Headers = {}, body?: object): Promise<Answer> {
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: {
      accept: 'application/json, text/event-stream',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const type = response.headers.get('content-type') ?? '';
  if (type.startsWith('text/event-stream')) {
    await response.body?.cancel();
    return { status: response.status, headers: response.headers, body: undefined };
  }
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
}

export const INITIALIZE = { jsonrpc: '2.0', id: 1, method: 'initialize', params: initializeParams() };

/** Opens a Streamable HTTP session. @returns its id */
export async function openSession(url: string, headers: Headers = {}): Promise<string> {
  const opened = await send('POST', url, headers, INITIALIZE);
  const id = opened.headers.get('mcp-session-id');
  if (id === null) throw new Error(`HTTP ${opened.status}: ${JSON.stringify(opened.body)}`);
  await send(
    'POST',
    url,
    { ...headers, 'mcp-session-id': id },
    { jsonrpc: '2.0', method: 'notifications/initialized' },
  );
  return id;
}

/** The JSON-RPC error of a refusal, which names no request. */
export function refused(message: string, code = -32600) {
  return { jsonrpc: '2.0', error: { code, message } };
}

/** An SDK client that asks `headers` anew before every request. */
export async function connectSdk(
  kind: ClientKind,
  base: string,
  prefix: string,
  headers: () => Headers,
): Promise<Client> {
  const client = new Client({ name: 'identified', version: '1' });
  const url = new URL(endpointUrl(kind, base, prefix));
  const withHeaders = (target: string | URL, init?: RequestInit): Promise<Response> => {
    const own = new globalThis.Headers(init?.headers);
    for (const [name, value] of Object.entries(headers())) own.set(name, value);
    return fetch(target, { ...init, headers: own });
  };
  const options = { fetch: withHeaders };
  await client.connect(
    kind === 'sse' ? new SSEClientTransport(url, options) : new StreamableHTTPClientTransport(url, options),
  );
  return client;
}
