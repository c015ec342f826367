/** The stateless revision on the wire: which requests are taken, how the others are refused, and what stays of both at the upstream. */
import { createHash } from 'node:crypto';
import { SdkErrorCode } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { RawConnection } from '../helpers/raw-http.js';
import { startSdkUpstream } from '../helpers/sdk-upstream.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import {
  connectModern,
  envelopedRequest,
  mirrorsOf,
  MODERN,
  type ModernUpstream,
  postJson,
  type Posted,
  startModernUpstream,
} from './modern-support.js';

const VERSION = 'io.modelcontextprotocol/protocolVersion';
const discover = envelopedRequest('server/discover');
const list = envelopedRequest('tools/list');
const echo = envelopedRequest('tools/call', { name: 'echo', arguments: { message: 'hi' } });

let upstream: ModernUpstream;
let gateway: InProcessGateway;
let url: string;

beforeAll(async () => {
  upstream = await startModernUpstream({ legacy: 'reject' });
  gateway = await startTestGateway({
    upstreams: [{ url: upstream.url, prefix: 'modern', forwardHeaders: ['x-request-id'] }],
  });
  url = `${gateway.url}/modern/mcp`;
});

afterAll(async () => {
  await gateway.stop();
  await upstream.close();
});

function post(message: object, headers: Record<string, string> = mirrorsOf(message)): Promise<Posted> {
  return postJson(url, message, headers);
}

describe('a request that is taken', () => {
  test('is answered with the bytes and the id of the server', async () => {
    const { status, body, headers } = await post(echo);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: 7, result: { resultType: 'complete', content: [{ text: 'hi' }] } });
    expect(headers.get('mcp-session-id')).toBeNull();
    expect(headers.get('content-type')).toBe('application/json');
  });

  test('ignores sessions and places to resume from', async () => {
    const headers = { ...mirrorsOf(echo), 'mcp-session-id': 'no-such-session', 'last-event-id': 'x.1' };
    const { status, headers: answered } = await post(echo, headers);
    expect(status).toBe(200);
    expect(answered.get('mcp-session-id')).toBeNull();
    expect(upstream.hits.at(-1)?.headers).not.toHaveProperty('mcp-session-id');
    expect(upstream.hits.at(-1)?.headers).not.toHaveProperty('last-event-id');
  });

  test('reaches the server with the headers that mirror it, and no others', async () => {
    await post(echo, {
      ...mirrorsOf(echo),
      'x-request-id': 'r1',
      'x-secret': 's',
      cookie: 'c',
      authorization: 'Basic eA==',
    });
    const { headers } = upstream.hits.at(-1) ?? { headers: {} };
    expect(headers).toMatchObject({
      'mcp-protocol-version': MODERN,
      'mcp-method': 'tools/call',
      'mcp-name': 'echo',
      'x-request-id': 'r1',
    });
    for (const name of ['x-secret', 'cookie', 'authorization', 'origin']) expect(headers).not.toHaveProperty(name);
  });

  test('streams what comes before the answer, unbuffered', async () => {
    const slow = envelopedRequest('tools/call', { name: 'slow', arguments: { steps: 2, delayMs: 10 } });
    const params = (slow as { params: { _meta: object } }).params;
    const asking = { ...slow, params: { ...params, _meta: { ...params._meta, progressToken: 'p' } } };
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...mirrorsOf(asking),
      },
      body: JSON.stringify(asking),
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    const text = await response.text();
    const messages = [...text.matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data ?? '') as object);
    expect(messages).toMatchObject([
      { method: 'notifications/progress', params: { progressToken: 'p', progress: 1 } },
      { method: 'notifications/progress', params: { progressToken: 'p', progress: 2 } },
      { id: 7, result: { content: [{ text: 'did 2 steps' }] } },
    ]);
    // Nobody could resume this stream, so nothing in it may look as if.
    expect(text).not.toMatch(/^id:/m);
  });

  test('may come with an id that another request in flight has too', async () => {
    const slow = envelopedRequest('tools/call', { name: 'slow', arguments: { steps: 2, delayMs: 30 } });
    const answers = await Promise.all([post(slow), post(echo), post(slow), post(list)]);
    expect(answers.map(({ status, body }) => [status, body.id])).toEqual(answers.map(() => [200, 7]));
    expect(answers[1]?.body.result).toMatchObject({ content: [{ text: 'hi' }] });
    expect(answers[3]?.body.result).toHaveProperty('tools');
  });
});

describe('a parameter that a header mirrors', () => {
  const regional = (region: string) => envelopedRequest('tools/call', { name: 'regional', arguments: { region } });

  test('is passed on as it is', async () => {
    const message = regional('eu-west');
    const { body } = await post(message, { ...mirrorsOf(message), 'mcp-param-region': 'eu-west' });
    expect(body.result).toMatchObject({ content: [{ text: 'eu-west' }] });
    expect(upstream.hits.at(-1)?.headers).toMatchObject({ 'mcp-param-region': 'eu-west' });
  });

  test('is passed on encoded', async () => {
    const message = regional('Zürich');
    const encoded = `=?base64?${Buffer.from('Zürich').toString('base64')}?=`;
    const { body } = await post(message, { ...mirrorsOf(message), 'mcp-param-region': encoded });
    expect(body.result).toMatchObject({ content: [{ text: 'Zürich' }] });
  });

  test('is passed on when nobody knows it', async () => {
    await post(echo, { ...mirrorsOf(echo), 'mcp-param-unheard-of': 'x' });
    expect(upstream.hits.at(-1)?.headers).toMatchObject({ 'mcp-param-unheard-of': 'x' });
  });

  test.each([{}, { 'mcp-param-region': 'us-east' }])('is the server’s to refuse: %j', async (headers) => {
    const message = regional('eu-west');
    const { status, body } = await post(message, { ...mirrorsOf(message), ...headers });
    expect([status, body.error?.code, body.id]).toEqual([400, -32020, 7]);
  });

  test('is sent by a real client too', async () => {
    const client = await connectModern(url);
    await client.listTools();
    const result = await client.callTool({ name: 'regional', arguments: { region: 'ünder' } });
    expect(result.content).toEqual([{ type: 'text', text: 'ünder' }]);
    await client.close();
  });
});

describe('a request that is refused', () => {
  let before: number;

  beforeEach(() => {
    before = upstream.hits.length;
  });

  const headers = (replaced: Record<string, string | undefined>, message = echo): Record<string, string> => {
    const all = Object.entries({ ...mirrorsOf(message), ...replaced });
    return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined));
  };
  const without = (key: string) => {
    const { params } = structuredClone(echo) as { params: { _meta: Record<string, unknown> } };
    delete params._meta[`io.modelcontextprotocol/${key}`];
    return { ...echo, params };
  };
  const future = {
    ...list,
    params: { _meta: { ...(list as { params: { _meta: object } }).params._meta, [VERSION]: '2031-01-01' } },
  };

  test.each<[string, number, object, Record<string, string>]>([
    ['no MCP-Protocol-Version', -32020, echo, headers({ 'mcp-protocol-version': undefined })],
    ['a legacy MCP-Protocol-Version', -32020, echo, headers({ 'mcp-protocol-version': '2025-11-25' })],
    ['no Mcp-Method', -32020, echo, headers({ 'mcp-method': undefined })],
    ['another Mcp-Method', -32020, echo, headers({ 'mcp-method': 'tools/list' })],
    ['Mcp-Method in other letters', -32020, echo, headers({ 'mcp-method': 'Tools/Call' })],
    ['no Mcp-Name', -32020, echo, headers({ 'mcp-name': undefined })],
    ['another Mcp-Name', -32020, echo, headers({ 'mcp-name': 'fail' })],
    ['a badly encoded Mcp-Name', -32020, echo, headers({ 'mcp-name': '=?base64?ZWNobw?=' })],
    ['no capabilities', -32602, without('clientCapabilities'), headers({})],
    ['no revision in the body', -32602, without('protocolVersion'), headers({})],
    ['a revision yet to come', -32022, future, headers({ 'mcp-protocol-version': '2031-01-01' }, list)],
    ['a handshake', -32020, { jsonrpc: '2.0', id: 7, method: 'initialize', params: {} }, headers({})],
  ])('%s', async (_what, code, message, sent) => {
    const { status, body } = await post(message, sent);
    expect([status, body.error?.code, body.id]).toEqual([400, code, 7]);
    expect(upstream.hits.length).toBe(before);
  });

  test('names the revisions that would do', async () => {
    const { body } = await post(future, headers({ 'mcp-protocol-version': '2031-01-01' }, list));
    expect(body.error?.data).toEqual({ supported: [MODERN], requested: '2031-01-01' });
  });

  test.each(['unknown/method', 'initialize', 'ping', 'logging/setLevel', 'resources/subscribe'])(
    '%s is no method of this revision',
    async (method) => {
      const { status, body } = await post(envelopedRequest(method));
      expect([status, body.error?.code, body.id]).toEqual([404, -32601, 7]);
    },
  );

  test('a capability that the server needs', async () => {
    const { status, body } = await post(envelopedRequest('tools/call', { name: 'ask_twice', arguments: {} }));
    expect([status, body.error?.code, body.id]).toEqual([400, -32021, 7]);
  });

  test.each(['GET', 'DELETE'])('%s does not exist', async (method) => {
    const accept = 'application/json, text/event-stream';
    const response = await fetch(url, { method, headers: { accept, 'mcp-protocol-version': MODERN } });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
    expect(upstream.hits.length).toBe(before);
  });
});

describe('a notification', () => {
  test.each<[string, object, Record<string, string>]>([
    ['with an envelope', { _meta: { [VERSION]: MODERN } }, {}],
    ['with the header alone', {}, { 'mcp-protocol-version': MODERN }],
  ])('%s is accepted and passed on', async (_what, params, headers) => {
    const before = upstream.count('notifications/custom');
    const message = { jsonrpc: '2.0', method: 'notifications/custom', params };
    const { status, body } = await post(message, headers);
    expect([status, body]).toEqual([202, {}]);
    await waitFor('the notification to arrive', () => upstream.count('notifications/custom') === before + 1);
  });
});

describe('server/discover', () => {
  const KEYS = { first: 'the-first-key', second: 'the-second-key' };
  const apiKeys = Object.entries(KEYS).map(([name, key]) => ({
    name,
    sha256: createHash('sha256').update(key).digest('hex'),
  }));

  /** How often the server is asked when each of two callers asks twice. */
  async function countAsked(cacheScope: 'public' | 'private', ttlMs: number): Promise<number> {
    const counted = await startModernUpstream({ cacheHints: { 'server/discover': { ttlMs, cacheScope } } });
    const cached = await startTestGateway({
      upstreams: [{ url: counted.url, prefix: 'cached', protocol: 'modern' }],
      auth: { apiKeys },
    });
    try {
      for (const key of [KEYS.first, KEYS.second, KEYS.first, KEYS.second]) {
        const sent = { ...mirrorsOf(discover), 'x-api-key': key };
        const { status, body } = await postJson(`${cached.url}/cached/mcp`, discover, sent);
        expect(status).toBe(200);
        expect(body).toMatchObject({ id: 7, result: { supportedVersions: [MODERN], cacheScope } });
      }
      return counted.count('server/discover');
    } finally {
      await cached.stop();
      await counted.close();
    }
  }

  test('is asked once for all when the answer is public', async () => {
    expect(await countAsked('public', 60_000)).toBe(1);
  });

  test('is asked once for each caller when the answer is private', async () => {
    expect(await countAsked('private', 60_000)).toBe(2);
  });

  test('is asked every time when the answer may not be kept', async () => {
    expect(await countAsked('public', 0)).toBe(4);
  });

  test.each([500, 502, 503, 429, 401, 'cut'] as const)(
    'demotes nobody while the server answers %s',
    async (failure) => {
      const ill = await startModernUpstream();
      const before = await startTestGateway({ upstreams: [{ url: ill.url, prefix: 'ill' }] });
      const illUrl = `${before.url}/ill/mcp`;
      try {
        ill.failWith(failure);
        const refused = await postJson(illUrl, discover, mirrorsOf(discover));
        expect(refused.status).toBe(503);
        expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
        await expect(connectModern(illUrl, 'auto')).rejects.toMatchObject({ code: SdkErrorCode.EraNegotiationFailed });
        ill.failWith(undefined);
        const client = await connectModern(illUrl, 'auto');
        expect(client.getNegotiatedProtocolVersion()).toBe(MODERN);
        await client.close();
      } finally {
        await before.stop();
        await ill.close();
      }
    },
  );

  test('demotes nobody while the server is away', async () => {
    const away = await startModernUpstream();
    const before = await startTestGateway({ upstreams: [{ url: away.url, prefix: 'away' }] });
    await away.close();
    const refused = await postJson(`${before.url}/away/mcp`, discover, mirrorsOf(discover));
    expect(refused.status).toBe(503);
    const back = await startModernUpstream({ port: away.port });
    const client = await connectModern(`${before.url}/away/mcp`, 'auto');
    expect(client.getNegotiatedProtocolVersion()).toBe(MODERN);
    await client.close();
    await before.stop();
    await back.close();
  });
});

describe('a server that was replaced', () => {
  test('by one with a handshake is found out by the first request that fails', async () => {
    const modern = await startModernUpstream();
    const before = await startTestGateway({ upstreams: [{ url: modern.url, prefix: 'replaced' }] });
    const replacedUrl = `${before.url}/replaced/mcp`;
    expect((await postJson(replacedUrl, list, mirrorsOf(list))).status).toBe(200);
    await modern.close();
    const older = await startSdkUpstream({ port: modern.port });
    try {
      const first = await postJson(replacedUrl, list, mirrorsOf(list));
      expect([first.status, first.body.error?.code]).toEqual([200, 1502]);
      const { status, body } = await postJson(replacedUrl, list, mirrorsOf(list));
      expect([status, body.error?.code]).toEqual([400, -32000]);
      const client = await connectModern(replacedUrl, 'auto');
      expect(client.getNegotiatedProtocolVersion()).toBe('2025-11-25');
      expect((await client.listTools()).tools.map(({ name }) => name)).toContain('echo');
      await client.close();
    } finally {
      await before.stop();
      await older.close();
    }
  });
});

describe('a server with a handshake that was replaced', () => {
  test('by one without is found out by the first handshake that fails', async () => {
    const older = await startSdkUpstream();
    const before = await startTestGateway({ upstreams: [{ url: older.urls.streamable, prefix: 'replaced' }] });
    const replacedUrl = `${before.url}/replaced/mcp`;
    expect((await postJson(replacedUrl, list, mirrorsOf(list))).status).toBe(400);
    await older.close();
    const modern = await startModernUpstream({ legacy: 'reject', port: older.port });
    try {
      await expect(connectModern(replacedUrl, 'auto')).rejects.toThrow(/unsupported protocol version/i);
      const client = await connectModern(replacedUrl, 'auto');
      expect(client.getNegotiatedProtocolVersion()).toBe(MODERN);
      await client.close();
    } finally {
      await before.stop();
      await modern.close();
    }
  });
});

describe('a connection', () => {
  test('that is closed cancels at the server, whatever else goes on', async () => {
    const before = upstream.cancelled;
    const reached = upstream.count('tools/call');
    const slow = JSON.stringify(
      envelopedRequest('tools/call', { name: 'slow', arguments: { steps: 500, delayMs: 20 } }),
    );
    const connection = await RawConnection.open(gateway.port);
    const fields = { ...mirrorsOf(JSON.parse(slow) as object), 'content-type': 'application/json' };
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    connection.send(
      `POST /modern/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json, text/event-stream\r\n${lines.join('')}content-length: ${slow.length}\r\n\r\n${slow}`,
    );
    await waitFor('the call to arrive', () => upstream.count('tools/call') > reached);
    connection.destroy();
    await waitFor('the server to hear of it', () => upstream.cancelled === before + 1);
    expect((await post(echo)).status).toBe(200);
  });
});
