/** Sessions belong to who opened them: for as long as the credential lasts, through its renewal, and for nobody else. */
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Issuer, startIssuer } from '../helpers/issuer.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { SseStream } from '../helpers/sse-client.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import {
  apiKey,
  bearer,
  connectSdk,
  type Headers,
  INITIALIZE,
  openSession,
  refused,
  send,
} from './identity-support.js';
import { CLIENT_KINDS, type ClientKind, PATIENCE_MS, textOf } from './sessions-support.js';

const BOB_KEY = 'canary-bob-key-0123456789';
const UNKNOWN = refused('unknown session');
const PING = { jsonrpc: '2.0', id: 7, method: 'ping' };
/** Tokens are good for 30 s beyond `exp`, since clocks differ; this one is over in three to four seconds. */
const ENDING_S = -26;

let issuer: Issuer;
let upstream: SdkUpstream;
let gateway: InProcessGateway;

beforeAll(async () => {
  [issuer, upstream] = await Promise.all([startIssuer(), startSdkUpstream()]);
});

beforeEach(async () => {
  gateway = await startTestGateway({
    server: { limits: { sessionsPerPrincipal: 3 } },
    upstreams: [
      { url: upstream.urls.sse, prefix: 'to-sse', transport: 'sse' },
      { url: upstream.urls.streamable, prefix: 'to-streamable', transport: 'streamable-http' },
      { url: upstream.urls.stateless, prefix: 'to-stateless', transport: 'streamable-http' },
    ],
    auth: { anonymous: {}, apiKeys: [apiKey('bob', BOB_KEY)], jwt: [issuer.options] },
  });
});

afterEach(() => gateway.stop());
afterAll(() => Promise.all([issuer.close(), upstream.close()]));

function connect(kind: ClientKind, prefix: string, headers: () => Headers): Promise<Client> {
  return connectSdk(kind, gateway.url, prefix, headers);
}

async function echo(client: Client, message: string): Promise<string> {
  return textOf(await client.callTool({ name: 'echo', arguments: { message } }));
}

describe.each(CLIENT_KINDS)('an SDK client on %s', (kind) => {
  test.each(['to-sse', 'to-streamable', 'to-stateless'])('calls %s with a token or a key', async (prefix) => {
    const token = await issuer.token('alice');
    for (const headers of [bearer(token), bearer(BOB_KEY), { 'x-api-key': BOB_KEY }]) {
      const client = await connect(kind, prefix, () => headers);
      expect(await echo(client, 'hello')).toBe('hello');
      await client.close();
    }
  });

  test('goes on with the same session after its token was renewed', async () => {
    let headers = bearer(await issuer.token('alice'));
    const opened = upstream.opened;
    const client = await connect(kind, 'to-streamable', () => headers);
    expect(await echo(client, 'first')).toBe('first');
    headers = bearer(await issuer.token('alice', { jti: 'another' }));
    expect(await echo(client, 'second')).toBe('second');
    expect(upstream.opened).toBe(opened + 1);
    await client.close();
  });

  test('outlives the token it came with, if it got a newer one in time', async () => {
    const ending = await issuer.token('alice', {}, ENDING_S);
    let headers = bearer(ending);
    const client = await connect(kind, 'to-streamable', () => headers);
    headers = bearer(await issuer.token('alice'));
    await echo(client, 'renewed');
    await waitFor('the old token to end', async () => (await status('GET', bearer(ending))) === 401, PATIENCE_MS);
    expect(await echo(client, 'still there')).toBe('still there');
    await client.close();
  });

  /** Of a request that only asks who sends it. */
  async function status(method: string, headers: Headers): Promise<number> {
    return (await send(method, `${gateway.url}/to-sse/mcp`, headers)).status;
  }
});

describe('when the token ends', () => {
  test('the event stream of HTTP+SSE is cut, and posting is 401', async () => {
    const headers = bearer(await issuer.token('alice', {}, ENDING_S));
    const stream = await SseStream.open(`${gateway.url}/to-sse/sse`, { headers });
    const { data } = await stream.next(PATIENCE_MS);
    const posted = await send('POST', gateway.url + data, headers, INITIALIZE);
    expect(posted.status).toBe(202);
    await stream.end(PATIENCE_MS);
    expect((await send('POST', gateway.url + data, headers, PING)).status).toBe(401);
    const fresh = bearer(await issuer.token('alice'));
    expect(await send('POST', gateway.url + data, fresh, PING)).toMatchObject({ status: 404, body: UNKNOWN });
  });

  test('the general stream of Streamable HTTP is cut, and the session is over', async () => {
    const url = `${gateway.url}/to-streamable/mcp`;
    const headers = bearer(await issuer.token('alice', {}, ENDING_S));
    const id = await openSession(url, headers);
    const stream = await SseStream.open(url, { headers: { ...headers, 'mcp-session-id': id } });
    expect(stream.status).toBe(200);
    await stream.end(PATIENCE_MS);
    expect((await send('POST', url, { ...headers, 'mcp-session-id': id }, PING)).status).toBe(401);
    const fresh = { ...bearer(await issuer.token('alice')), 'mcp-session-id': id };
    expect(await send('POST', url, fresh, PING)).toMatchObject({ status: 404, body: UNKNOWN });
  });

  test('a call under way is answered or its connection closes', async () => {
    const url = `${gateway.url}/to-streamable/mcp`;
    const headers = bearer(await issuer.token('alice', {}, ENDING_S));
    const id = await openSession(url, headers);
    const params = { name: 'slow', arguments: { steps: 1000, delayMs: 10 } };
    const call = await SseStream.open(url, {
      method: 'POST',
      headers: { ...headers, 'mcp-session-id': id },
      body: JSON.stringify({ jsonrpc: '2.0', id: 9, method: 'tools/call', params }),
    });
    await call.end(PATIENCE_MS);
    await waitFor('the upstream to hear of it', () => upstream.state.cancelled > 0 || upstream.closed > 0);
  });
});

describe('a session of another', () => {
  interface Stranger {
    readonly name: string;
    readonly headers: () => Promise<Headers>;
    readonly prefix: string;
  }

  const STRANGERS: readonly Stranger[] = [
    { name: 'another subject', prefix: 'to-streamable', headers: async () => bearer(await issuer.token('mallory')) },
    { name: 'a key', prefix: 'to-streamable', headers: async () => bearer(BOB_KEY) },
    { name: 'nobody in particular', prefix: 'to-streamable', headers: async () => ({}) },
    {
      name: 'the same caller on another route',
      prefix: 'to-sse',
      headers: async () => bearer(await issuer.token('alice')),
    },
  ];

  test.each(STRANGERS)('on Streamable HTTP is unknown to $name', async ({ headers, prefix }) => {
    const mine = bearer(await issuer.token('alice'));
    const id = await openSession(`${gateway.url}/to-streamable/mcp`, mine);
    const url = `${gateway.url}/${prefix}/mcp`;
    const theirs = { ...(await headers()), 'mcp-session-id': id };
    const resumed = { ...theirs, 'last-event-id': `${id}.0` };
    const answers = await Promise.all([
      send('POST', url, theirs, PING),
      send('GET', url, theirs),
      send('GET', url, resumed),
      send('DELETE', url, theirs),
    ]);
    const invented = await send('POST', url, { ...theirs, 'mcp-session-id': 'invented' }, PING);
    for (const { status, body } of [...answers, invented]) expect([status, body]).toEqual([404, UNKNOWN]);
    expect(await callWith(mine, id)).toMatchObject({ status: 200 });
  });

  function callWith(headers: Headers, id: string) {
    return send('POST', `${gateway.url}/to-streamable/mcp`, { ...headers, 'mcp-session-id': id }, PING);
  }

  test.each(STRANGERS)('on HTTP+SSE is unknown to $name', async ({ headers, prefix }) => {
    const mine = bearer(await issuer.token('alice'));
    const stream = await SseStream.open(`${gateway.url}/to-streamable/sse`, { headers: mine });
    const { data, id } = await stream.next(PATIENCE_MS);
    const theirs = await headers();
    const path = data.replace('/to-streamable/', `/${prefix}/`);
    const posted = await send('POST', gateway.url + path, theirs, INITIALIZE);
    const resumed = await send('GET', `${gateway.url}/${prefix}/sse`, { ...theirs, 'last-event-id': id ?? '' });
    for (const { status, body } of [posted, resumed]) expect([status, body]).toEqual([404, UNKNOWN]);
    expect((await send('POST', gateway.url + data, mine, INITIALIZE)).status).toBe(202);
    await waitFor('the answer to my own request', () => stream.events.length > 1, PATIENCE_MS);
    stream.close();
  });

  test('that was anonymous cannot be taken along into an identity', async () => {
    const url = `${gateway.url}/to-streamable/mcp`;
    const id = await openSession(url);
    const upgraded = { ...bearer(await issuer.token('alice')), 'mcp-session-id': id };
    expect(await send('POST', url, upgraded, PING)).toMatchObject({ status: 404, body: UNKNOWN });
    expect((await send('POST', url, { 'mcp-session-id': id }, PING)).status).toBe(200);
  });
});

describe('sessionsPerPrincipal', () => {
  test.each([
    ['a subject, whatever the token', () => issuer.token('carol', { jti: String(Math.random()) }).then(bearer)],
    ['anonymous callers together', async () => ({})],
  ] as [string, () => Promise<Headers>][])('bounds %s with 429, and nobody else', async (_name, headers) => {
    const url = `${gateway.url}/to-streamable/mcp`;
    for (let session = 0; session < 3; session += 1) await openSession(url, await headers());
    const refusal = await send('POST', url, await headers(), INITIALIZE);
    expect(refusal).toMatchObject({ status: 429, body: { error: { code: 1429 } } });
    expect(Number(refusal.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await send('GET', `${gateway.url}/to-sse/sse`, await headers())).status).toBe(429);
    expect((await send('POST', url, bearer(BOB_KEY), INITIALIZE)).status).toBe(200);
  });
});
