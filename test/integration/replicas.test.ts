/** Several replicas look like one: wherever a request lands, whoever stops, and whoever is gone. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ClusterSecrets } from '../../src/cluster/secrets.js';
import { SessionIds } from '../../src/session/session-id.js';
import { startNode } from '../helpers/child.js';
import type { EvilUpstream } from '../helpers/evil-upstream.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import type { SdkUpstream } from '../helpers/sdk-upstream.js';
import { SseStream } from '../helpers/sse-client.js';
import { startGatewayProcess } from '../helpers/start-gateway.js';
import { delay, waitFor, within } from '../helpers/wait.js';
import { requestOf, send as forwardTo, startForwarder } from './cluster-support.js';
import { apiKey, bearer, openSession, send } from './identity-support.js';
import {
  acquainted,
  at,
  openReady,
  PATIENT,
  replicaFixture,
  requestWhenReachable,
  SECRET,
  type TestReplica,
} from './replicas-support.js';
import {
  answerOn,
  BareSse,
  BareStreamable,
  CLIENT_KINDS,
  type ClientKind,
  messagesOf,
  PATIENCE_MS,
  type Reply,
  textOf,
} from './sessions-support.js';

const UPSTREAM_KINDS = ['sse', 'streamable-http'] as const;
const PAIRS = CLIENT_KINDS.flatMap((client) => UPSTREAM_KINDS.map((upstream) => [client, upstream] as const));

let redis: TestRedis;
let upstream: SdkUpstream;
let evil: EvilUpstream;
const { configuration, startReplica, startPair, stopReplicas, kept } = replicaFixture((started) => {
  ({ redis, upstream, evil } = started);
});

const echo = (message: string) => ({ name: 'echo', arguments: { message, nonce: message } });
const log = (data: number) => ({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data } });
const dataOf = (stream: SseStream) =>
  messagesOf(stream).flatMap(({ method, params }) => (method === 'notifications/message' ? [params?.['data']] : []));
const count = (length: number, from = 0) => Array.from({ length }, (_, index) => from + index);
/** What the replica that was lost may have done. */
const UNKNOWN = { isError: true, _meta: { 'mcp-gateway/error': { code: 'upstream_failed', executed: 'unknown' } } };

describe.each(PAIRS)('a session of a %s client with a %s upstream, opened at one replica', (kind, upstreamKind) => {
  const prefix = `sdk-${upstreamKind}`;

  test('is used at another: calls, what is said meanwhile, and what the server asks', async () => {
    const [a, b] = await startPair();
    const client = kept(await openReady(kind, a, prefix));
    const there = at(client, b, prefix);
    const heardThere = await play(kind, client, there);
    expect(heardThere.slow.map(({ params }) => params?.['progress'])).toEqual([1, 2, 3]);
    expect(heardThere.slow.at(-1)?.params).toMatchObject({ progressToken: 'token' });
    expect(textOf(heardThere.sampled)).toContain('the answer');
    expect(upstream.state.executions.get('once')).toBe(1);
    expect(await b.forwarded('out')).toBeGreaterThan(0);
    expect(await a.forwarded('in')).toBe(await b.forwarded('out'));
    expect(await a.forwarded('out')).toBe(0);
    expect(upstream.opened).toBe(1);
  });
});

/** Every call goes to the other replica, every answer of the client to the one that has the stream. */
async function play(
  kind: ClientKind,
  client: BareSse | BareStreamable,
  there: BareSse | BareStreamable,
): Promise<{ slow: Reply[]; sampled: unknown }> {
  expect(textOf((await there.request('tools/call', echo('once'))).result)).toBe('once');
  const _meta = { progressToken: 'token' };
  const slow = { name: 'slow', arguments: { steps: 3, delayMs: 20 }, _meta };
  const sample = { name: 'sample', arguments: { prompt: 'what' } };
  const result = { role: 'assistant', model: 'm', content: { type: 'text', text: 'the answer' } };
  if (kind === 'sse' && client instanceof BareSse) {
    await there.request('tools/call', slow);
    const progress = client.heard.filter(({ method }) => method === 'notifications/progress');
    await there.post({ jsonrpc: '2.0', id: 'asks', method: 'tools/call', params: sample });
    const isAsked = ({ method }: Reply) => method === 'sampling/createMessage';
    const asked = await waitFor('the question', () => client.heard.find(isAsked), PATIENCE_MS);
    expect(await there.post({ jsonrpc: '2.0', id: asked.id, result })).toBe(202);
    return { slow: progress, sampled: (await client.answer('asks')).result };
  }
  const open = async (id: string, params: object) =>
    (there as BareStreamable).open({ jsonrpc: '2.0', id, method: 'tools/call', params });
  const slowly = await open('slow', slow);
  await answerOn(slowly, 'slow');
  const progress = messagesOf(slowly).filter(({ method }) => method === 'notifications/progress');
  const asking = await open('asks', sample);
  const isAsked = ({ method }: Reply) => method === 'sampling/createMessage';
  const asked = await waitFor('the question', () => messagesOf(asking).find(isAsked), PATIENCE_MS);
  expect(await client.post({ jsonrpc: '2.0', id: asked.id, result })).toBe(202);
  return { slow: progress, sampled: (await answerOn(asking, 'asks')).result };
}

describe('wherever a client comes back', () => {
  test.each(UPSTREAM_KINDS)('an HTTP+SSE stream goes on, nothing lost and nothing twice (%s)', async (upstreamKind) => {
    const [a, b] = await startPair();
    const client = kept(await openReady('sse', a, `evil-${upstreamKind}`));
    await waitFor('a stream to push on', () => evil.sseStreams.size + evil.getStreams.size === 1, PATIENCE_MS);
    const streams = [client.stream];
    for (let round = 0; round < 4; round += 1) {
      for (const data of count(20, round * 30)) evil.push(log(data));
      const stream = client.stream;
      await waitFor('some messages', () => dataOf(stream).length > 4, PATIENCE_MS);
      stream.close();
      const { lastEventId } = stream;
      const cutAt = dataOf(stream).length;
      for (const data of count(10, round * 30 + 20)) evil.push(log(data));
      const next = at(client, round % 2 === 0 ? b : a, `evil-${upstreamKind}`);
      client.stream = kept(await next.resume(lastEventId));
      expect(client.stream.status).toBe(200);
      expect(cutAt).toBe(dataOf(stream).length);
      streams.push(client.stream);
    }
    await waitFor('the last message', () => streams.flatMap(dataOf).at(-1) === 119, PATIENCE_MS);
    expect(streams.flatMap(dataOf)).toEqual(count(120));
    expect((await at(client, b, `evil-${upstreamKind}`).request('tools/list')).result).toHaveProperty('tools');
  });

  test('the general stream of Streamable HTTP goes on, nothing lost and nothing twice', async () => {
    const [a, b] = await startPair();
    const client = kept(await openReady('streamable-http', a, 'evil-streamable-http'));
    const there = kept(at(client, b, 'evil-streamable-http'));
    const first = await there.openGeneral();
    await waitFor('a stream to push on', () => evil.getStreams.size === 1, PATIENCE_MS);
    for (const data of count(20)) evil.push(log(data));
    await waitFor('some messages', () => dataOf(first).length > 4, PATIENCE_MS);
    first.close();
    const { lastEventId } = first;
    for (const data of count(20, 20)) evil.push(log(data));
    const second = await client.openGeneral(lastEventId);
    await waitFor('the last message', () => dataOf(second).at(-1) === 39, PATIENCE_MS);
    expect([...dataOf(first), ...dataOf(second)]).toEqual(count(40));
  });

  test('the stream of one answer goes on', async () => {
    const [a, b] = await startPair();
    const client = await openReady('streamable-http', a, 'sdk-streamable-http');
    const params = {
      name: 'slow',
      arguments: { steps: 6, delayMs: 50, nonce: 'cut' },
      _meta: { progressToken: 1 },
    };
    const cut = await at(client, b, 'sdk-streamable-http').open({
      jsonrpc: '2.0',
      id: 'slow',
      method: 'tools/call',
      params,
    });
    await waitFor('some progress', () => messagesOf(cut).length >= 2, PATIENCE_MS);
    cut.close();
    const rest = await SseStream.open(`${a.url}/sdk-streamable-http/mcp`, {
      headers: client.headers,
      lastEventId: cut.lastEventId ?? '',
    });
    await rest.end(PATIENCE_MS);
    const all = [...messagesOf(cut), ...messagesOf(rest)];
    expect(all.flatMap(({ params: said }) => said?.['progress'] ?? [])).toEqual([1, 2, 3, 4, 5, 6]);
    expect(textOf(all.at(-1)?.result)).toBe('did 6 steps');
    expect(upstream.state.executions.get('cut')).toBe(1);
  });

  test('goodbye is said for all', async () => {
    const [a, b] = await startPair();
    const client = await openReady('streamable-http', a, 'sdk-streamable-http');
    const there = at(client, b, 'sdk-streamable-http');
    expect(await there.delete()).toBe(200);
    expect(await client.post({ jsonrpc: '2.0', id: 1, method: 'ping' })).toBe(404);
    expect(await there.post({ jsonrpc: '2.0', id: 1, method: 'ping' })).toBe(404);
    await waitFor('the upstream to hear of it', () => upstream.closed === 1, PATIENCE_MS);
    expect(await redis.cli('KEYS', '*:session')).toBe('');
    expect(await redis.cli('KEYS', '*:journal')).toBe('');
  });

  test('all replicas are in the status of each, and a policy counts once', async () => {
    const [a, b] = await startPair();
    const statuses = await Promise.all([a.status(), b.status()]);
    const ids = statuses.map(({ replica }) => replica).toSorted();
    expect(statuses.map(({ replicas: all }) => [...all])).toEqual([ids, ids]);
  });
});

describe('refused at another replica, and passed on to nobody, is', () => {
  const keys = [apiKey('alice', 'a-secret-of-alice'), apiKey('bob', 'a-secret-of-bob')];
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  const missing = {
    jsonrpc: '2.0',
    error: { code: expect.any(Number) as number, message: expect.any(String) as string },
  };

  test('the session of another caller or route, and an id that nobody has minted', async () => {
    const auth = { apiKeys: [...keys, apiKey('root', 'a-secret-of-root', { role: 'admin' })] };
    const [a, b] = await startPair({ auth }, bearer('a-secret-of-root'));
    const alice = bearer('a-secret-of-alice');
    const id = await openSession(`${a.url}/sdk-streamable-http/mcp`, alice);
    const ask = (prefix: string, session: string, headers = alice) =>
      send('POST', `${b.url}/${prefix}/mcp`, { ...headers, 'mcp-session-id': session }, ping);
    await redis.cli('CONFIG', 'SET', 'slowlog-log-slower-than', '0');
    await redis.cli('CONFIG', 'SET', 'slowlog-max-len', '5000');
    await redis.cli('SLOWLOG', 'RESET');
    const forged = `${id.slice(0, -2)}${id.endsWith('AA') ? 'BB' : 'AA'}`;
    const answers = [
      await ask('sdk-streamable-http', id, bearer('a-secret-of-bob')),
      await ask('sdk-sse', id),
      await ask('sdk-streamable-http', forged),
      await ask('sdk-streamable-http', 'x'.repeat(id.length)),
    ];
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
    for (const { body } of answers) expect(body).toEqual(answers[0]?.body);
    expect(answers[0]?.body).toMatchObject(missing);
    const messages = await send('POST', `${b.url}/sdk-sse/messages?sessionId=${id}`, alice, ping);
    expect(messages.status).toBe(404);
    expect(await redis.cli('SLOWLOG', 'GET', '5000')).not.toContain(':session');
    await redis.cli('CONFIG', 'SET', 'slowlog-log-slower-than', '-1');
    expect(b.gateway.log.lines.filter(({ event }) => event === 'forward_failed')).toEqual([]);
    expect((await ask('sdk-streamable-http', id)).status).toBe(200);
  });

  test('nothing of it is counted as forwarded', async () => {
    const [a, b] = await startPair();
    const client = await openReady('streamable-http', a, 'sdk-streamable-http');
    expect(await at(client, b, 'sdk-sse').post(ping)).toBe(404);
    const forged = at(client, b, 'sdk-streamable-http');
    forged.sessionId = `${client.sessionId?.slice(0, -4)}AAAA`;
    expect(await forged.post(ping)).toBe(404);
    expect(await b.forwarded('out')).toBe(0);
    expect(await a.forwarded('in')).toBe(0);
  });

  test('an id of a replica that nobody has ever met', async () => {
    const [, b] = await startPair();
    const keysOfIds = new ClusterSecrets([SECRET]).keysFor('session-id');
    const stranger = BareStreamable.at(b.url, 'sdk-streamable-http');
    stranger.sessionId = new SessionIds(keysOfIds, 'a stranger').mint('sdk-streamable-http', 'anonymous');
    expect(await stranger.post(ping)).toBe(404);
    expect(await b.forwarded('out')).toBe(0);
  });

  test('what is passed on to one that does not own the session: it says so and does nothing', async () => {
    const [a, b] = await startPair();
    const client = await openReady('streamable-http', a, 'sdk-streamable-http');
    const forwarder = startForwarder({ secrets: [SECRET] });
    const { replica: id } = await b.status();
    const body = Buffer.from(
      JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: echo('misdirected') }),
    );
    const headers = { ...client.headers, 'content-type': 'application/json', accept: '*/*' };
    const request = requestOf({ path: '/sdk-streamable-http/mcp', headers, body });
    const taken = await forwardTo(forwarder, { id, address: `http://127.0.0.1:${b.peerPort}` }, request);
    expect(taken.outcome).toEqual({ kind: 'not-owner' });
    expect(upstream.state.executions.get('misdirected')).toBeUndefined();
    expect(await b.forwarded('out')).toBe(0);
    expect((await client.request('tools/call', echo('directed'))).result).toBeDefined();
  });
});

test('limits, policies and the audit trail see each forwarded call once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'replicas-audit-'));
  try {
    const policies = {
      strict: {
        version: '2.0',
        name: 'strict',
        default: 'allow',
        tools: [
          { match: 'echo', limit: '3/m' },
          { match: 'fail', effect: 'deny', reason: 'no' },
        ],
      },
    };
    const upstreams = [{ url: upstream.urls.streamable, prefix: 'ruled', policy: 'strict' }];
    const start = (name: string) =>
      startReplica({
        upstreams,
        policies,
        audit: { file: join(folder, name), key: 'a key that is long enough for it' },
      });
    const a = await start('a.jsonl');
    const b = await start('b.jsonl');
    await acquainted([a, b]);
    const there = at(await openReady('streamable-http', a, 'ruled'), b, 'ruled');
    const answers = [];
    for (const index of count(5)) answers.push(await there.request('tools/call', echo(`limited ${index}`)));
    expect(answers.map(({ result }) => result?.['isError'] === true)).toEqual([false, false, false, true, true]);
    const denied = await there.request('tools/call', { name: 'fail', arguments: { message: 'x' } });
    expect(denied.error?.code ?? denied.result?.['isError']).toBeTruthy();
    expect([...upstream.state.executions.keys()]).toEqual(['limited 0', 'limited 1', 'limited 2']);
    await Promise.all([a.shutDown(), b.shutDown()]);
    const decisions = async (name: string) =>
      (await readFile(join(folder, name), 'utf8'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter(({ event, method }) => event === 'decision' && method === 'tools/call')
        .map(({ outcome }) => outcome);
    expect(await decisions('a.jsonl')).toEqual(['ok', 'ok', 'ok', 'limited', 'limited', 'denied']);
    expect(await decisions('b.jsonl')).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

describe('a replica that stops', () => {
  const slow = (nonce: string, delayMs = 800) => ({ name: 'slow', arguments: { steps: 1, delayMs, nonce } });

  test.each(UPSTREAM_KINDS)(
    'lets a call finish, and an HTTP+SSE session goes on elsewhere (%s)',
    async (upstreamKind) => {
      const [a, b] = await startPair(PATIENT);
      const prefix = `sdk-${upstreamKind}`;
      const client = kept(await openReady('sse', a, prefix));
      const { stream, sessionId } = client;
      await client.post({ jsonrpc: '2.0', id: 'slow', method: 'tools/call', params: slow('stop') });
      await waitFor('the call to start', () => upstream.state.executions.get('stop'), PATIENCE_MS);
      const stopped = a.shutDown();
      expect(textOf((await client.answer('slow')).result)).toBe('did 1 steps');
      await stream.end(PATIENCE_MS);
      const there = at(client, b, prefix);
      const resumed = kept(await there.resume(stream.lastEventId));
      expect(resumed.status).toBe(200);
      expect(resumed.events[0]?.data).toContain(sessionId);
      const answer = await there.request('tools/call', echo('after'));
      expect(textOf(answer.result)).toBe('after');
      expect(messagesOf(resumed).filter(({ id }) => id === 'slow')).toEqual([]);
      await within('the replica to stop', stopped, PATIENCE_MS);
      expect(upstream.state.executions.get('stop')).toBe(1);
      expect(upstream.opened).toBe(upstreamKind === 'sse' ? 2 : 1);
      expect(await b.counted('session_takeovers_total')).toBe(1);
    },
  );

  test('lets a call finish that came through another', async () => {
    const [a, b] = await startPair(PATIENT);
    const client = await openReady('streamable-http', a, 'sdk-streamable-http');
    const there = at(client, b, 'sdk-streamable-http');
    const calling = there.request('tools/call', slow('through'));
    await waitFor('the call to start', () => upstream.state.executions.get('through'), PATIENCE_MS);
    const stopped = a.shutDown();
    expect(textOf((await calling).result)).toBe('did 1 steps');
    expect(textOf((await there.request('tools/call', echo('after'))).result)).toBe('after');
    await within('the replica to stop', stopped, PATIENCE_MS);
    expect(upstream.opened).toBe(1);
  });

  test('makes a request wait that comes while the session leaves, and answers it', async () => {
    const [a] = await startPair(PATIENT);
    const client = kept(await openReady('streamable-http', a, 'sdk-streamable-http'));
    const calling = client.request('tools/call', slow('first'));
    await waitFor('the call to start', () => upstream.state.executions.get('first'), PATIENCE_MS);
    const stopped = a.shutDown();
    const waiting = client.request('tools/call', echo('second'));
    expect(textOf((await calling).result)).toBe('did 1 steps');
    expect(textOf((await waiting).result)).toBe('second');
    await within('the replica to stop', stopped, PATIENCE_MS);
    expect(upstream.state.executions.get('second')).toBe(1);
  });

  test('cuts a call that takes longer than it may wait, and hands the session over all the same', async () => {
    const [a, b] = await startPair({ server: { drain: { timeout: '500ms' } } });
    const client = kept(await openReady('sse', a, 'sdk-streamable-http'));
    const { lastEventId } = client.stream;
    const params = { name: 'slow', arguments: { steps: 1, delayMs: 20_000, nonce: 'cut' } };
    await client.post({ jsonrpc: '2.0', id: 'cut', method: 'tools/call', params });
    await waitFor('the call to start', () => upstream.state.executions.get('cut'), PATIENCE_MS);
    await within('the replica to stop', a.shutDown(), PATIENCE_MS);
    const there = at(client, b, 'sdk-streamable-http');
    kept(await there.resume(lastEventId));
    const { result } = await there.answer('cut');
    expect(result?.['_meta']).toMatchObject({ 'mcp-gateway/error': { executed: 'unknown' } });
    expect(textOf((await there.request('tools/call', echo('after'))).result)).toBe('after');
    expect(upstream.state.executions.get('cut')).toBe(1);
  });

  test('opens new sessions elsewhere while it waits', async () => {
    const [a, b] = await startPair(PATIENT);
    const client = await openReady('streamable-http', a, 'sdk-streamable-http');
    const calling = client.request('tools/call', slow('busy'));
    await waitFor('the call to start', () => upstream.state.executions.get('busy'), PATIENCE_MS);
    const stopped = a.shutDown();
    const fresh = await openReady('streamable-http', a, 'sdk-streamable-http');
    expect(await b.forwarded('in')).toBeGreaterThan(0);
    await calling;
    await within('the replica to stop', stopped, PATIENCE_MS);
    expect(textOf((await at(fresh, b, 'sdk-streamable-http').request('tools/call', echo('fresh'))).result)).toBe(
      'fresh',
    );
    expect(await b.counted('session_takeovers_total')).toBe(0);
  });

  test('leaves what a client that is away has not heard', async () => {
    const [a, b] = await startPair(PATIENT);
    const client = kept(await openReady('sse', a, 'evil-sse'));
    await waitFor('a stream to push on', () => evil.sseStreams.size === 1, PATIENCE_MS);
    evil.push(log(0));
    await waitFor('a message', () => dataOf(client.stream).length === 1, PATIENCE_MS);
    client.stream.close();
    const { lastEventId } = client.stream;
    for (const data of count(50, 1)) evil.push(log(data));
    // It has read them once it has answered what was asked behind them.
    await client.post({ jsonrpc: '2.0', id: 'behind', method: 'tools/list' });
    await waitFor('the question to arrive', () => evil.requestsOf('tools/list').length === 1, PATIENCE_MS);
    await within('the replica to stop', a.shutDown(), PATIENCE_MS);
    const there = at(client, b, 'evil-sse');
    const resumed = kept(await there.resume(lastEventId));
    await there.answer('behind');
    expect(dataOf(resumed)).toEqual(count(50, 1));
  });
});

describe('a replica that stops, for an HTTP+SSE client that is away', () => {
  test('leaves an answer also when it is a large one', async () => {
    const [a, b] = await startPair(PATIENT);
    const client = kept(await openReady('sse', a, 'sdk-streamable-http'));
    const { lastEventId } = client.stream;
    client.stream.close();
    const params = { name: 'big', arguments: { bytes: 100_000 } };
    await client.post({ jsonrpc: '2.0', id: 'big', method: 'tools/call', params });
    await within('the replica to stop', a.shutDown(), PATIENCE_MS);
    const there = at(client, b, 'sdk-streamable-http');
    kept(await there.resume(lastEventId));
    expect(textOf((await there.answer('big')).result).length).toBe(100_000);
  });
});

describe('a replica that is gone', () => {
  /** Without a fault that is over, an answer would come. */
  const HANGING = { kind: 'hang', at: 'headers' } as const;

  test.each([
    ['sse', 'streamable-http'],
    ['streamable-http', 'sse'],
  ] as const)('leaves a session that goes on under its id: %s client, %s upstream', async (kind, upstreamKind) => {
    const [a, b] = await startPair();
    const prefix = `evil-${upstreamKind}`;
    const client = kept(await openReady(kind, a, prefix));
    await client.request('logging/setLevel', { level: 'debug' });
    await client.request('resources/subscribe', { uri: 'test://one' });
    await client.request('resources/subscribe', { uri: 'test://two' });
    await client.request('resources/unsubscribe', { uri: 'test://one' });
    const before = evil.requestsOf('tools/list').length;
    a.cutOff();
    const there = kept(at(client, b, prefix));
    if (there instanceof BareSse) kept(await there.resume(client instanceof BareSse ? client.stream.lastEventId : ''));
    expect((await requestWhenReachable(there, 'tools/list')).result).toHaveProperty('tools');
    expect(evil.requestsOf('tools/list').length).toBe(before + 1);
    expect(await b.counted('session_takeovers_total')).toBe(1);
    const uris = evil.requestsOf('resources/subscribe').map(({ body }) => JSON.parse(body.toString()).params.uri);
    if (upstreamKind === 'sse') {
      expect(evil.requestsOf('initialize').length).toBe(2);
      expect(evil.requestsOf('logging/setLevel').length).toBe(2);
      expect(uris).toEqual(['test://one', 'test://two', 'test://two']);
    } else {
      expect(evil.requestsOf('initialize').length).toBe(1);
      expect(uris).toEqual(['test://one', 'test://two']);
      const ids = ['resources/unsubscribe', 'tools/list'].map(
        (method) => evil.requestsOf(method).at(-1)?.headers['mcp-session-id'],
      );
      expect(ids[0]).toBeDefined();
      expect(ids[1]).toBe(ids[0]);
    }
    // Back on the network, it finds out that the session is another's, and passes on.
    a.heal();
    await waitFor('the former owner to let go', async () => (await a.connections(prefix)) === 0, PATIENCE_MS);
    if (client instanceof BareSse && there instanceof BareSse) client.stream = there.stream;
    expect((await requestWhenReachable(at(client, a, prefix), 'tools/list')).result).toHaveProperty('tools');
    expect(evil.requestsOf('initialize').length).toBe(upstreamKind === 'sse' ? 2 : 1);
    expect(await a.forwarded('out')).toBeGreaterThan(0);
  });

  test('leaves calls of an HTTP+SSE client that are answered once: nobody knows', async () => {
    const [a, b] = await startPair();
    const client = kept(await openReady('sse', a, 'evil-streamable-http'));
    evil.inject('tools/call', HANGING);
    const params = { name: 'echo', arguments: { nonce: 'lost' } };
    await client.post({ jsonrpc: '2.0', id: 'lost', method: 'tools/call', params });
    await client.post({ jsonrpc: '2.0', id: 'lost too', method: 'tools/call', params: { name: 'echo' } });
    await waitFor('the calls to start', () => evil.requestsOf('tools/call').length === 2, PATIENCE_MS);
    evil.heal();
    const { lastEventId } = client.stream;
    a.cutOff();
    const there = at(client, b, 'evil-streamable-http');
    const resumed = kept(await there.resume(lastEventId));
    expect((await there.answer('lost')).result).toMatchObject(UNKNOWN);
    expect((await there.answer('lost too')).result).toMatchObject(UNKNOWN);
    expect((await there.request('tools/call', { name: 'echo', arguments: { nonce: 'next' } })).result).toBeDefined();
    expect(messagesOf(resumed).filter(({ id }) => id === 'lost').length).toBe(1);
    expect(Object.fromEntries(evil.executions)).toEqual({ lost: 1, next: 1 });
    // Heard once is heard: who comes back behind it does not hear it again.
    resumed.close();
    const again = kept(await there.resume(resumed.lastEventId));
    await there.request('ping');
    expect(messagesOf(again).filter(({ id }) => id === 'lost' || id === 'lost too')).toEqual([]);
  });

  test('leaves a call that came through another, which is answered once: nobody knows', async () => {
    const [a, b] = await startPair();
    const client = await openReady('streamable-http', a, 'evil-streamable-http');
    const there = at(client, b, 'evil-streamable-http');
    evil.inject('tools/call', HANGING, 1);
    const calling = there.request('tools/call', { name: 'echo', arguments: { nonce: 'lost' } });
    await waitFor('the call to start', () => evil.executions.get('lost'), PATIENCE_MS);
    a.cutOff();
    expect((await calling).result).toMatchObject(UNKNOWN);
    expect((await requestWhenReachable(there, 'tools/list')).result).toHaveProperty('tools');
    expect(Object.fromEntries(evil.executions)).toEqual({ lost: 1 });
  });

  test('leaves the stream of a call, which ends with an answer: nobody knows', async () => {
    const [a, b] = await startPair();
    const client = await openReady('streamable-http', a, 'sdk-streamable-http');
    const params = {
      name: 'slow',
      arguments: { steps: 2, delayMs: 60_000, nonce: 'lost' },
      _meta: { progressToken: 1 },
    };
    const cut = await client.open({ jsonrpc: '2.0', id: 'lost', method: 'tools/call', params });
    await waitFor('progress', () => messagesOf(cut).length === 1, PATIENCE_MS);
    a.cutOff();
    await cut.end(PATIENCE_MS);
    const rest = await SseStream.open(`${b.url}/sdk-streamable-http/mcp`, {
      headers: client.headers,
      lastEventId: cut.lastEventId ?? '',
    });
    await rest.end(2 * PATIENCE_MS);
    expect(messagesOf(rest)).toMatchObject([{ id: 'lost', result: UNKNOWN }]);
    expect(upstream.state.executions.get('lost')).toBe(1);
  });

  test('killed as a process: its clients go on with another', async () => {
    const secret = { secret: SECRET };
    const config = configuration({ redis: { url: redis.url }, cluster: { listen: '127.0.0.1:0', ...secret } });
    const a = await startGatewayProcess({ version: 1, ...config });
    try {
      const b = await startReplica();
      await waitFor('both to be there', async () => (await b.status()).replicas.length === 2, PATIENCE_MS);
      const client = kept(await BareSse.open(a.url, 'sdk-sse'));
      await client.notify('notifications/initialized');
      const params = { name: 'slow', arguments: { steps: 1, delayMs: 60_000, nonce: 'killed' } };
      await client.post({ jsonrpc: '2.0', id: 'killed', method: 'tools/call', params });
      await waitFor('the call to start', () => upstream.state.executions.get('killed'), PATIENCE_MS);
      const { lastEventId } = client.stream;
      await a.child.stop('SIGKILL');
      const there = at(client, b, 'sdk-sse');
      kept(await there.resume(lastEventId));
      expect((await there.answer('killed')).result).toMatchObject(UNKNOWN);
      expect(textOf((await there.request('tools/call', echo('after the kill'))).result)).toBe('after the kill');
      expect(upstream.state.executions.get('killed')).toBe(1);
    } finally {
      await a.stop();
    }
  });
});

describe('Redis', () => {
  let own: TestRedis;

  beforeEach(async () => {
    own = await startRedis();
  });
  afterEach(async () => {
    // Before it goes, so that replicas need not wait for it.
    await stopReplicas();
    await own.stop();
  });

  async function startOwnPair(): Promise<[TestReplica, TestReplica]> {
    const pair: [TestReplica, TestReplica] = [await startReplica({}, {}, own), await startReplica({}, {}, own)];
    await acquainted(pair);
    return pair;
  }

  test('killed: sessions go on where they are, and elsewhere by their ids; back, all is written anew', async () => {
    const [a, b] = await startOwnPair();
    const client = kept(await openReady('sse', a, 'sdk-sse'));
    const there = at(client, b, 'sdk-sse');
    await own.kill();
    expect(textOf((await client.request('tools/call', echo('here'))).result)).toBe('here');
    expect(textOf((await there.request('tools/call', echo('there'))).result)).toBe('there');
    const fresh = await openReady('streamable-http', b, 'sdk-sse');
    expect(textOf((await at(fresh, a, 'sdk-sse').request('tools/call', echo('fresh'))).result)).toBe('fresh');
    await own.restart();
    await waitFor(
      'both sessions to be written down',
      async () => (await own.cli('KEYS', '*:session')).split('\n').filter(Boolean).length === 2,
      2 * PATIENCE_MS,
    );
    expect(textOf((await there.request('tools/call', echo('still there'))).result)).toBe('still there');
    expect(await b.counted('session_takeovers_total')).toBe(0);
  });

  test.each(CLIENT_KINDS)(
    'lost by one replica only: what it has stays there, and is found there (%s)',
    async (kind) => {
      const [a, b] = await startOwnPair();
      const client = kept(await openReady(kind, a, 'sdk-sse'));
      a.loseRedis();
      await waitFor('its heartbeats to be missed', async () => (await b.status()).replicas.length === 1, PATIENCE_MS);
      const there = at(client, b, 'sdk-sse');
      expect(textOf((await there.request('tools/call', echo('there'))).result)).toBe('there');
      expect(textOf((await client.request('tools/call', echo('here'))).result)).toBe('here');
      a.heal();
      await acquainted([a, b]);
      expect(textOf((await there.request('tools/call', echo('still there'))).result)).toBe('still there');
      expect(await b.counted('session_takeovers_total')).toBe(0);
    },
  );

  test('away for a while: nobody takes a session until 5 s after it is back', async () => {
    const [a, b] = await startOwnPair();
    const client = await openReady('streamable-http', a, 'sdk-streamable-http');
    own.pause();
    await waitFor('its absence to be noticed', () => logged(b, 'store_away'), PATIENCE_MS);
    a.cutOff();
    // Longer than a hiccup.
    await delay(1500);
    own.resume();
    await waitFor('it to be back', () => logged(b, 'store_back'), PATIENCE_MS);
    const backAtMs = performance.now();
    const there = at(client, b, 'sdk-streamable-http');
    expect((await requestWhenReachable(there, 'tools/list')).result).toHaveProperty('tools');
    // It was back a moment before it was seen to be.
    expect(performance.now() - backAtMs).toBeGreaterThan(4500);
    expect(await b.counted('session_takeovers_total')).toBe(1);
  });

  test('emptied: owners write their sessions anew, and they can be taken afterwards', async () => {
    const [a, b] = await startOwnPair();
    const client = kept(await openReady('sse', a, 'evil-sse'));
    await waitFor('a stream to push on', () => evil.sseStreams.size === 1, PATIENCE_MS);
    evil.push(log(1));
    await waitFor('a message', () => dataOf(client.stream).length === 1, PATIENCE_MS);
    await own.cli('FLUSHALL');
    await waitFor(
      'the session to be written anew',
      async () => (await own.cli('KEYS', '*:session')) !== '',
      PATIENCE_MS,
    );
    const { lastEventId } = client.stream;
    a.cutOff();
    const there = at(client, b, 'evil-sse');
    kept(await there.resume(lastEventId));
    expect((await requestWhenReachable(there, 'tools/list')).result).toHaveProperty('tools');
    expect(await b.counted('session_takeovers_total')).toBe(1);
    const gone = BareStreamable.at(b.url, 'evil-sse');
    const { replica } = await a.status();
    const ids = new SessionIds(new ClusterSecrets([SECRET]).keysFor('session-id'), replica);
    gone.sessionId = ids.mint('evil-sse', 'anonymous');
    expect(await gone.post({ jsonrpc: '2.0', id: 1, method: 'ping' })).toBe(404);
  });

  test('required and not there: the gateway does not start, and says why by its exit code', async () => {
    const yaml = [
      'version: 1',
      `upstreams: [{ url: "${evil.mcpUrl}", prefix: evil }]`,
      'redis: { url: "redis://127.0.0.1:1", required: true }',
      'cluster: { listen: "127.0.0.1:0", secret: a secret that is long enough for it }',
    ].join('\n');
    const child = startNode(['dist/cli/main.js', '--config', '-'], {
      input: yaml,
      env: { MCP_GATEWAY_SERVER_PORT: '0' },
    });
    await waitFor('it to end', () => child.process.exitCode !== null, PATIENCE_MS);
    expect(child.process.exitCode).toBe(69);
    expect(child.output).toContain('Redis');
  });
});

describe('a replica with another secret', () => {
  test('serves its own sessions and nobody else’s, and is no replica to the others', async () => {
    const [a, b] = await startPair(PATIENT);
    const stranger = await startReplica(PATIENT, { secret: 'another secret that is as long as the first' });
    await acquainted([a, b]);
    expect((await stranger.status()).replicas.length).toBe(1);
    const ours = await openReady('streamable-http', a, 'sdk-streamable-http');
    const theirs = await openReady('streamable-http', stranger, 'sdk-streamable-http');
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    expect(await at(ours, stranger, 'sdk-streamable-http').post(ping)).toBe(404);
    expect(await at(theirs, a, 'sdk-streamable-http').post(ping)).toBe(404);
    expect(textOf((await ours.request('tools/call', echo('ours'))).result)).toBe('ours');
    expect(textOf((await theirs.request('tools/call', echo('theirs'))).result)).toBe('theirs');
    // About to stop, it knows nobody who could open new sessions.
    const calling = theirs.request('tools/call', { name: 'slow', arguments: { steps: 1, delayMs: 800, nonce: 's' } });
    await waitFor('the call to start', () => upstream.state.executions.get('s'), PATIENCE_MS);
    const stopped = stranger.shutDown();
    const refused = await send(
      'POST',
      `${stranger.url}/sdk-streamable-http/mcp`,
      {},
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
      },
    );
    expect(refused.status).toBe(503);
    expect(await a.forwarded('in')).toBe(0);
    expect(await b.forwarded('in')).toBe(0);
    expect(textOf((await calling).result)).toBe('did 1 steps');
    await within('it to stop', stopped, 2 * PATIENCE_MS);
    expect(textOf((await at(ours, b, 'sdk-streamable-http').request('tools/call', echo('still ours'))).result)).toBe(
      'still ours',
    );
  });
});

function logged(replica: TestReplica, name: string): boolean {
  return replica.gateway.log.lines.some(({ event }) => event === name);
}
