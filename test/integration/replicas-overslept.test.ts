/** A replica that stood still, and cannot ask whose its sessions are: nobody waits for it for ever, and nothing is done that may be another's. */
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { type Replica, type Replicas, startReplicas } from '../helpers/replicas.js';
import { delay, waitFor } from '../helpers/wait.js';
import { BareStreamable, messagesOf, PATIENCE_MS } from './sessions-support.js';

/** Some wait for several leases and outages, one after the other. */
vi.setConfig({ testTimeout: 90_000 });
afterAll(() => vi.resetConfig());

let redis: TestRedis;
let evil: EvilUpstream;
let good: SdkUpstream;
let fleet: Replicas;
let startedAtMs: number;
const sinceStartMs = () => performance.now() - startedAtMs;
beforeEach(async () => {
  [redis, evil, good] = await Promise.all([startRedis(), EvilUpstream.start(), startSdkUpstream()]);
  const upstreams = [
    { url: evil.mcpUrl, prefix: 'evil' },
    { url: good.urls.streamable, prefix: 'good' },
  ];
  fleet = await startReplicas({ count: 3, redis, config: { upstreams } });
  startedAtMs = performance.now();
});
afterEach(async () => {
  redis.resume();
  await fleet.stop();
  await Promise.all([redis.stop(), evil.close(), good.close()]);
});

async function knowsTheOthers({ url }: Replica): Promise<boolean> {
  const { replicas } = (await (await fetch(`${url}/status`)).json()) as { replicas: string[] };
  return replicas.length === 3;
}

function acquainted(): Promise<boolean> {
  return waitFor(
    'all to be there',
    async () => (await Promise.all(fleet.replicas.map(knowsTheOthers))).every(Boolean),
    PATIENCE_MS,
  );
}

async function openAt(owner: Replica, prefix: string): Promise<BareStreamable> {
  const client = await BareStreamable.open(owner.url, prefix);
  await client.notify('notifications/initialized');
  return client;
}

/** A call of the session at any replica. */
function post(client: BareStreamable, replica: Replica, nonce: string): Promise<Response> {
  return fetch(`${replica.url}/evil/mcp`, {
    method: 'POST',
    headers: {
      ...client.headers,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify(call(nonce)),
  });
}

/** A call that was lost is answered as well: `isDone` says whether it was executed, and that is known. */
async function outcomeOf(client: BareStreamable, replica: Replica, nonce: string) {
  const response = await post(client, replica, nonce);
  const { result } = (await response.json()) as { readonly result?: { readonly isError?: boolean } };
  return { status: response.status, isDone: result !== undefined && result.isError !== true };
}

async function isExecuted(client: BareStreamable, replica: Replica, nonce: string): Promise<boolean> {
  return (await outcomeOf(client, replica, nonce)).isDone;
}

async function redisGoesAway(owner: Replica): Promise<void> {
  redis.pause();
  await waitFor('its absence to be noticed', () => owner.output.includes('"store_away"'), PATIENCE_MS);
}

/** More than sockets hold. */
const SAID_BYTES = 40 * 1024 * 1024;
const MESSAGES = 4000;

const call = (nonce: string) => ({
  jsonrpc: '2.0',
  id: nonce,
  method: 'tools/call',
  params: { name: 'echo', arguments: { nonce } },
});

/** Longer than its lease. */
async function oversleeps(owner: Replica): Promise<void> {
  owner.pause();
  await delay(1500);
  owner.resume();
  await waitFor('it to notice', () => owner.output.includes('"overslept"'), PATIENCE_MS);
}

/** It cannot ask Redis when it goes on, nor the last of the other replicas, which could have taken something. */
async function oversleepsAlone(owner: Replica): Promise<void> {
  await redisGoesAway(owner);
  fleet.replicas[2]?.pause();
  await oversleeps(owner);
}

test('with Redis away, and a replica that cannot be asked, its requests are refused after a while, and served when Redis is back', async () => {
  const [owner, edge] = fleet.replicas as [Replica, Replica];
  await acquainted();
  const client = await openAt(owner, 'evil');
  await oversleepsAlone(owner);
  const refused = await Promise.all([post(client, owner, 'here'), post(client, edge, 'passed on')]);
  expect(refused.map(({ status }) => status)).toEqual([503, 503]);
  for (const { headers } of refused) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  expect([...evil.executions]).toEqual([]);
  redis.resume();
  for (const [replica, nonce] of [
    [owner, 'here'],
    [edge, 'passed on'],
  ] as const) {
    await waitFor('the session', () => isExecuted(client, replica, nonce), PATIENCE_MS);
  }
  expect(Object.fromEntries(evil.executions)).toEqual({ here: 1, 'passed on': 1 });
});

test('with Redis away, it goes on as soon as all others say that they took nothing, however often it stands still', async () => {
  const [owner, edge] = fleet.replicas as [Replica, Replica];
  await acquainted();
  const client = await openAt(owner, 'evil');
  await redisGoesAway(owner);
  for (const nap of ['first', 'second']) {
    await oversleeps(owner);
    expect(await isExecuted(client, owner, `${nap} here`)).toBe(true);
    expect(await isExecuted(client, edge, `${nap} passed on`)).toBe(true);
  }
  expect(owner.output.split('"reclaimed_without_store"').length - 1).toBe(2);
  expect([...evil.executions.values()]).toEqual([1, 1, 1, 1]);
});

test('with Redis away, it does not act for a session that another took while it stood still', async () => {
  const [owner, edge] = fleet.replicas as [Replica, Replica];
  await acquainted();
  const client = await openAt(owner, 'evil');
  expect(await isExecuted(client, owner, 'before')).toBe(true);
  // Nobody takes anything of a Redis that has just begun.
  await waitFor('the others to be sure of Redis', async () => sinceStartMs() > 6000, 2 * PATIENCE_MS);
  owner.pause();
  await waitFor('the session to be taken', () => isExecuted(client, edge, `try ${Math.random()}`), PATIENCE_MS);
  await redisGoesAway(edge);
  owner.resume();
  await waitFor('it to notice', () => owner.output.includes('"overslept"'), PATIENCE_MS);
  expect((await post(client, owner, 'stale')).status).toBe(503);
  expect(owner.output).not.toContain('"reclaimed_without_store"');
  expect(evil.executions.get('stale')).toBeUndefined();
  expect(await isExecuted(client, edge, 'by its owner')).toBe(true);
  redis.resume();
  await waitFor('it to be passed on', () => isExecuted(client, owner, 'passed on'), PATIENCE_MS);
  expect(evil.executions.get('passed on')).toBe(1);
  expect(owner.output).toContain('"sessions_lost"');
});

test('with Redis away, a request that was passed on to one that stands still is answered, and the next ones are not sent there', async () => {
  const [owner, edge] = fleet.replicas as [Replica, Replica];
  await acquainted();
  const client = await openAt(owner, 'evil');
  await redisGoesAway(edge);
  owner.pause();
  const lost = await post(client, edge, 'lost');
  expect(await lost.json()).toMatchObject({ result: { _meta: { 'mcp-gateway/error': { executed: 'unknown' } } } });
  expect(edge.output).toContain('"replica_silent"');
  expect((await post(client, edge, 'not sent')).status).toBe(503);
  owner.resume();
  await waitFor('the session', () => isExecuted(client, edge, `try ${performance.now()}`), PATIENCE_MS);
  expect(evil.executions.get('not sent')).toBeUndefined();
});

test('a request that is passed on before Redis has been there for long is answered, too, when the owner stands still', async () => {
  const [owner, edge] = fleet.replicas as [Replica, Replica];
  await acquainted();
  const client = await openAt(owner, 'evil');
  owner.pause();
  const statuses: number[] = [];
  await waitFor(
    'the session to be taken',
    async () => {
      const { status, isDone } = await outcomeOf(client, edge, `try ${performance.now()}`);
      statuses.push(status);
      return isDone;
    },
    4 * PATIENCE_MS,
  );
  expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
});

test('with Redis away, and nobody who can say whose a session is, it reads no more of what a server says than it can hold, and loses nothing of it', async () => {
  const [owner] = fleet.replicas as [Replica];
  await acquainted();
  const client = await openAt(owner, 'good');
  const stream = await client.openGeneral();
  await client.request('tools/list');
  await oversleepsAlone(owner);
  const [server] = good.servers;
  const data = 'x'.repeat(SAID_BYTES / MESSAGES);
  for (let index = 0; index < MESSAGES; index += 1) {
    await server?.server.sendLoggingMessage({ level: 'info', logger: String(index), data });
  }
  let sentBytes = 0;
  await waitFor(
    'the server to be kept waiting',
    async () => {
      sentBytes = good.sentBytes;
      await delay(500);
      return good.sentBytes === sentBytes;
    },
    PATIENCE_MS,
  );
  expect(sentBytes).toBeLessThan(SAID_BYTES / 2);
  expect(messagesOf(stream)).toEqual([]);
  redis.resume();
  const numbers = () => messagesOf(stream).map(({ params }) => Number(params?.['logger']));
  await waitFor('everything', () => numbers().length >= MESSAGES, 2 * PATIENCE_MS);
  expect(numbers()).toEqual(Array.from({ length: MESSAGES }, (_, index) => index));
  client.close();
});
