/** A replica that stood still, and cannot ask whose its sessions are: nobody waits for it for ever, and nothing is done that may be another's. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { type Replica, type Replicas, startReplicas } from '../helpers/replicas.js';
import { delay, waitFor } from '../helpers/wait.js';
import { BareStreamable, messagesOf, PATIENCE_MS } from './sessions-support.js';

let redis: TestRedis;
let evil: EvilUpstream;
let good: SdkUpstream;
let fleet: Replicas;
beforeEach(async () => {
  [redis, evil, good] = await Promise.all([startRedis(), EvilUpstream.start(), startSdkUpstream()]);
  const upstreams = [
    { url: evil.mcpUrl, prefix: 'evil' },
    { url: good.urls.streamable, prefix: 'good' },
  ];
  fleet = await startReplicas({ count: 2, redis, config: { upstreams } });
});
afterEach(async () => {
  redis.resume();
  await fleet.stop();
  await Promise.all([redis.stop(), evil.close(), good.close()]);
});

async function knowsTheOther({ url }: Replica): Promise<boolean> {
  const { replicas } = (await (await fetch(`${url}/status`)).json()) as { replicas: string[] };
  return replicas.length === 2;
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

/** It stands still for longer than its lease, and cannot ask Redis when it goes on. */
async function oversleeps(owner: Replica): Promise<void> {
  redis.pause();
  await waitFor('its absence to be noticed', () => owner.output.includes('"store_away"'), PATIENCE_MS);
  owner.pause();
  // Longer than its lease.
  await delay(1500);
  owner.resume();
  await waitFor('it to notice', () => owner.output.includes('"overslept"'), PATIENCE_MS);
}

test('with Redis away, its requests are refused after a while, and served when Redis is back', async () => {
  const [owner, edge] = fleet.replicas as [Replica, Replica];
  await waitFor('both to be there', async () => (await knowsTheOther(owner)) && knowsTheOther(edge), PATIENCE_MS);
  const client = await BareStreamable.open(owner.url, 'evil');
  await client.notify('notifications/initialized');
  const post = (replica: Replica, nonce: string): Promise<Response> =>
    fetch(`${replica.url}/evil/mcp`, {
      method: 'POST',
      headers: {
        ...client.headers,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify(call(nonce)),
    });
  await oversleeps(owner);
  const refused = await Promise.all([post(owner, 'here'), post(edge, 'passed on')]);
  expect(refused.map(({ status }) => status)).toEqual([503, 503]);
  for (const { headers } of refused) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  expect([...evil.executions]).toEqual([]);
  redis.resume();
  for (const [replica, nonce] of [
    [owner, 'here'],
    [edge, 'passed on'],
  ] as const) {
    await waitFor('the session', async () => (await post(replica, nonce)).status === 200, PATIENCE_MS);
  }
  expect(Object.fromEntries(evil.executions)).toEqual({ here: 1, 'passed on': 1 });
});

test('with Redis away, it reads no more of what a server says than it can hold, and loses nothing of it', async () => {
  const [owner] = fleet.replicas as [Replica];
  const client = await BareStreamable.open(owner.url, 'good');
  await client.notify('notifications/initialized');
  const stream = await client.openGeneral();
  await client.request('tools/list');
  await oversleeps(owner);
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
