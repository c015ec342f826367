/** What hostile clients, a hostile neighbour in Redis, and bad luck can do to several replicas: nothing. */
import { type IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { HEARTBEAT_MS } from '../../src/cluster/fleet.js';
import { systemClock } from '../../src/core/clock.js';
import { TimerWheel } from '../../src/core/timer-wheel.js';
import type { Endpoint } from '../../src/downstream/endpoints.js';
import type { HttpExchange } from '../../src/downstream/http-exchange.js';
import { Peers } from '../../src/gateway/replicas/peers.js';
import type { EvilUpstream } from '../helpers/evil-upstream.js';
import { RawConnection, rawRequest } from '../helpers/raw-http.js';
import type { TestRedis } from '../helpers/redis.js';
import type { SdkUpstream } from '../helpers/sdk-upstream.js';
import { SseStream } from '../helpers/sse-client.js';
import { waitFor, within } from '../helpers/wait.js';
import { ALICE, keysOf, startPeer } from './cluster-support.js';
import { apiKey, bearer, openSession, send } from './identity-support.js';
import { acquainted, at, openReady, PATIENT, replicaFixture, SECRET } from './replicas-support.js';
import { answerOn, type BareSse, type BareStreamable, PATIENCE_MS, textOf } from './sessions-support.js';

let redis: TestRedis;
let upstream: SdkUpstream;
let evil: EvilUpstream;
const { startReplica, startPair, kept } = replicaFixture((started) => {
  ({ redis, upstream, evil } = started);
});

const echo = (message: string) => ({ name: 'echo', arguments: { message, nonce: message } });
const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
/** Far less than anybody waits for a session that is on its way. */
const SOON_MS = 4000;

function asClient(raw: RawConnection): { raw: RawConnection; close(): void } {
  return { raw, close: () => raw.destroy() };
}

test('whoever sends the id of another caller slowly, while its replica stops, does not get the session', async () => {
  const auth = {
    apiKeys: [apiKey('alice', 'secret-a'), apiKey('bob', 'secret-b'), apiKey('r', 'r', { role: 'admin' })],
  };
  const [a, b] = await startPair({ auth, ...PATIENT }, bearer('r'));
  const alice = bearer('secret-a');
  const id = await openSession(`${a.url}/sdk-streamable-http/mcp`, alice);
  const body = JSON.stringify(ping);
  const bob = kept(asClient(await RawConnection.open(a.gateway.port)));
  bob.raw.send(
    'POST /sdk-streamable-http/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer secret-b\r\naccept: */*\r\n' +
      `mcp-session-id: ${id}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  // What comes later over another connection is answered later.
  expect(
    (await send('POST', `${a.url}/sdk-streamable-http/mcp`, { ...alice, 'mcp-session-id': id }, ping)).status,
  ).toBe(200);
  const stopped = a.shutDown();
  await waitFor('the session to be let go of', async () => (await ownerOf()) === '', PATIENCE_MS);
  bob.raw.send(body);
  expect((await bob.raw.response(PATIENCE_MS)).status).toBe(404);
  const again = await send('POST', `${b.url}/sdk-streamable-http/mcp`, { ...alice, 'mcp-session-id': id }, ping);
  expect(again.status).toBe(200);
  await stopped;
});

/** Of the only session there is. */
async function ownerOf(): Promise<string> {
  const [key = ''] = (await redis.cli('KEYS', '*:session')).split('\n');
  return (await redis.cli('HGET', key, 'owner')).trim();
}

describe('a request that its session cannot take is refused at once at another replica', () => {
  test.each([
    ['an event that was never said', (client: BareSse) => `${client.sessionId}.999`],
    ['an event far in the future', (client: BareSse) => `${client.sessionId}.999999999999999`],
  ])('%s', async (_, eventOf) => {
    const [a, b] = await startPair();
    const client = kept(await openReady('sse', a, 'sdk-sse'));
    const resumed = SseStream.open(`${b.url}/sdk-sse/sse`, { lastEventId: eventOf(client) });
    expect((await within('an answer', resumed, SOON_MS)).status).toBe(404);
    expect(await b.forwarded('out')).toBeLessThan(5);
  });

  test('a session of the other transport', async () => {
    const [a, b] = await startPair();
    const sse = kept(await openReady('sse', a, 'sdk-sse'));
    const http = kept(await openReady('streamable-http', a, 'sdk-streamable-http'));
    const before = await b.forwarded('out');
    const asked = [
      send('POST', `${b.url}/sdk-sse/mcp`, { 'mcp-session-id': sse.sessionId }, ping),
      send('POST', `${b.url}/sdk-streamable-http/messages?sessionId=${http.sessionId}`, {}, ping),
      send('DELETE', `${b.url}/sdk-sse/mcp`, { 'mcp-session-id': sse.sessionId }),
    ];
    const answers = await within('answers', Promise.all(asked), SOON_MS);
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect((await b.forwarded('out')) - before).toBeLessThan(10);
    expect(textOf((await at(sse, b, 'sdk-sse').request('tools/call', echo('unharmed'))).result)).toBe('unharmed');
  });

  test('a stream of another session', async () => {
    const [a, b] = await startPair();
    const one = kept(await openReady('streamable-http', a, 'sdk-streamable-http'));
    const other = kept(await openReady('streamable-http', a, 'sdk-streamable-http'));
    const there = at(one, b, 'sdk-streamable-http').openGeneral(`${other.sessionId}.1`);
    expect((await within('an answer', there, SOON_MS)).status).toBe(404);
  });
});

describe('a request that cannot be passed on is refused at once', () => {
  test.each(['HEAD', 'PUT', 'PATCH', 'PURGE'])('%s', async (method) => {
    const [a, b] = await startPair();
    const { sessionId = '' } = kept(await openReady('streamable-http', a, 'sdk-streamable-http'));
    const before = await b.forwarded('out');
    const bytes = `${method} /sdk-streamable-http/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nmcp-session-id: ${sessionId}\r\nconnection: close\r\n\r\n`;
    const connection = kept(asClient(await RawConnection.open(b.gateway.port)));
    connection.raw.send(bytes);
    expect((await connection.raw.head(SOON_MS)).status).toBe(405);
    expect(await b.forwarded('out')).toBe(before);
  });

  test('a query that is no URL, and nothing waits for it', async () => {
    const [a, b] = await startPair(PATIENT);
    const client = kept(await openReady('sse', a, 'sdk-sse'));
    const body = JSON.stringify(ping);
    const head = `POST /sdk-sse/messages?sessionId=${client.sessionId}&x=\xff HTTP/1.1\r\nhost: 127.0.0.1\r\n`;
    const fields = `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
    const bytes = Buffer.from(head + fields + body, 'latin1');
    expect((await rawRequest(b.gateway.port, bytes, SOON_MS)).status).toBe(400);
    client.close();
    await within('the stop', b.shutDown(), PATIENCE_MS);
  });
});

describe('nothing is left in Redis', () => {
  test.each(['sse', 'streamable-http'] as const)('of a %s session that ends while it is used', async (kind) => {
    const [a] = await startPair({ server: { sessions: { resumeGrace: '1s' }, drain: { timeout: '0s' } } });
    const prefix = 'sdk-streamable-http';
    const client = kept(await openReady(kind, a, prefix));
    const slow = { name: 'slow', arguments: { steps: 100, delayMs: 50 }, _meta: { progressToken: 1 } };
    const call = { jsonrpc: '2.0', id: 'slow', method: 'tools/call', params: slow };
    if (kind === 'sse') await client.post(call);
    else kept(await (client as BareStreamable).open(call));
    if (kind === 'streamable-http') expect(await (client as BareStreamable).delete()).toBe(200);
    else client.close();
    await waitFor('the session to be over', async () => (await redis.cli('KEYS', '*:session')) === '', PATIENCE_MS);
    expect(await redis.cli('KEYS', '*:journal')).toBe('');
  });
});

describe('whoever can write to Redis and has no secret', () => {
  test('cannot keep replicas from learning what is new', async () => {
    const [a, b] = await startPair();
    const members = (await redis.cli('KEYS', '*:members')).trim();
    const facts = members.replace(':members', ':facts');
    for (const text of ['no JSON', 'null', '{}']) {
      await redis.cli('ZADD', members, String(Date.now() + 60_000), text);
      await redis.cli('HSET', facts, text, text);
    }
    const c = await startReplica();
    await acquainted([a, b, c]);
  });

  test('gets no request by calling itself a replica', async () => {
    const [a, b] = await startPair();
    const client = kept(await openReady('streamable-http', a, 'sdk-streamable-http'));
    const { replica: id } = await a.status();
    const facts = (await redis.cli('KEYS', '*:facts')).trim();
    const address = new URL(evil.mcpUrl).origin;
    const impostor = JSON.stringify({ id, hash: '', address, version: '1', isDraining: false });
    const there = at(client, b, 'sdk-streamable-http');
    const untilMs = performance.now() + 2 * HEARTBEAT_MS;
    while (performance.now() < untilMs) {
      await redis.cli('HSET', facts, id, impostor);
      await there.post(ping);
    }
    expect(evil.requests).toEqual([]);
  });
});

test('a replica at the address of one that is gone keeps its requests', async () => {
  const handled: (() => void)[] = [];
  const { peer } = await startPeer(
    ({ response }) => void handled.push(() => response.writeHead(200, ['content-length', '2']).end('{}')),
    { id: 'new', secrets: [SECRET] },
  );
  const peers = new Peers('edge', { keys: keysOf(SECRET), clock: systemClock }, new TimerWheel());
  try {
    const member = { ...peer, hash: '', version: '1', isDraining: false };
    const request = { method: 'POST', headers: {} } as IncomingMessage;
    const response = new ServerResponse(request);
    const exchange: HttpExchange = {
      request,
      response,
      query: '',
      caller: { principal: ALICE, ip: '', headers: {} },
      headers: [],
      publicPrefix: '/sumit',
      body: Buffer.from('{}'),
    };
    const endpoint = { kind: 'mcp', door: { prefix: 'sumit' } } as Endpoint;
    const outcome = new Promise((resolve) => peers.forward(member, { endpoint, exchange }, resolve));
    await waitFor('the request', () => handled.length === 1, PATIENCE_MS);
    peers.giveUp({ ...member, id: 'old' });
    handled[0]?.();
    expect(await within('the outcome', outcome, PATIENCE_MS)).toBe('answered');
  } finally {
    await peers.close();
  }
});

test('a rule about headers decides the same wherever the call lands', async () => {
  const policies = {
    proxied: {
      version: '2.0',
      name: 'Proxied',
      default: 'allow',
      tools: [
        { match: 'echo', when: '!("x-forwarded-host" in request.headers) && request.headers["host"] != "gone"' },
        { match: 'echo', when: '!request.headers.exists(name, name in ["cookie", "te", "content-length"])' },
      ],
    },
  };
  const upstreams = [{ url: upstream.urls.streamable, prefix: 'sdk-streamable-http', policy: 'proxied' }];
  const [a, b] = await startPair({ policies, upstreams });
  const { headers } = kept(await openReady('streamable-http', a, 'sdk-streamable-http'));
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: echo('hello') };
  const allowed = { result: { content: [{ text: 'hello' }] } };
  const denied = { result: { isError: true, _meta: { 'mcp-gateway/error': { code: 'policy_denied' } } } };
  for (const { gateway } of [a, b]) {
    const ask = (more: Record<string, string>) =>
      SseStream.open(`${gateway.url}/sdk-streamable-http/mcp`, {
        method: 'POST',
        body: JSON.stringify(call),
        headers: { ...headers, ...more },
      }).then((stream) => answerOn(stream, 1));
    expect(await ask({})).toMatchObject(allowed);
    expect(await ask({ cookie: 'a=b', te: 'trailers' })).toMatchObject(allowed);
    expect(await ask({ 'x-forwarded-host': 'inside' })).toMatchObject(denied);
  }
});
