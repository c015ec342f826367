/** Streams that a GET opens count as requests of their caller; those that go on do not. */
import { afterEach, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { SseStream } from '../helpers/sse-client.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { BareSse, BareStreamable } from './sessions-support.js';

let upstream: SdkUpstream;
let gateway: InProcessGateway;
let redis: TestRedis | undefined;
const streams: { close(): void }[] = [];
afterEach(async () => {
  for (const each of streams.splice(0)) each.close();
  await gateway.stop();
  await upstream.close();
  await redis?.stop();
  redis = undefined;
});

async function start(limit: Record<string, unknown>, more: Record<string, unknown> = {}): Promise<string> {
  upstream = await startSdkUpstream();
  gateway = await startTestGateway({
    upstreams: [{ url: upstream.urls.streamable, prefix: 'up' }],
    rateLimits: { limits: [{ name: 'few', per: ['principal'], ...limit }] },
    ...more,
  });
  return gateway.url;
}

async function expectLimited(url: string, headers: Record<string, string> = {}): Promise<void> {
  const response = await fetch(url, { headers: { accept: 'text/event-stream', ...headers } });
  const { error } = (await response.json()) as { error: unknown };
  expect({ status: response.status, error }).toEqual({
    status: 429,
    error: { code: 1429, message: 'too many requests' },
  });
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(3000);
}

test.each(['in memory', 'in Redis'])('GET /sse is 429 when the limit is exceeded, counted %s', async (where) => {
  redis = where === 'in Redis' ? await startRedis() : undefined;
  const shared = {
    redis: { url: redis?.url },
    cluster: { listen: '127.0.0.1:0', secret: ['a secret that all replicas of a test share'] },
  };
  const url = await start({ limit: '2/h' }, redis === undefined ? {} : shared);
  for (const _ of [1, 2]) streams.push(await BareSse.connect(url, 'up'));
  await expectLimited(`${url}/up/sse`);
});

test('a stream that goes on behind an event is not counted', async () => {
  const url = await start({ limit: '2/h' });
  const client = await BareSse.open(url, 'up');
  streams.push(client);
  for (const _ of [1, 2]) {
    client.stream.close();
    await client.resume();
    expect(client.stream.status).toBe(200);
  }
  await expectLimited(`${url}/up/sse`);
});

test('GET of Streamable HTTP is 429 when the limit is exceeded', async () => {
  const url = await start({ limit: '2/h' });
  const client = await BareStreamable.open(url, 'up');
  streams.push(client);
  const general = await client.openGeneral();
  expect(general.status).toBe(200);
  general.close();
  await expectLimited(client.url, client.headers);
});

test('limits on tools, roles or methods do not count streams', async () => {
  const url = await start({ match: { method: 'tools/call' }, limit: '1/h' });
  for (const _ of [1, 2, 3]) {
    const stream = await SseStream.open(`${url}/up/sse`);
    streams.push(stream);
    expect(stream.status).toBe(200);
  }
});
