/** The programs that tests of replicas run do what their helpers say, and never outlive a test. */
import { createServer } from 'node:http';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { printed, startNode } from '../helpers/child.js';
import { listenOnLoopback, type Loopback } from '../helpers/loopback.js';
import { startNginx } from '../helpers/nginx.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { type Replicas, startReplicas } from '../helpers/replicas.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { waitFor, within } from '../helpers/wait.js';
import { CLIENT_KINDS, sdkTransport, textOf } from './sessions-support.js';

describe('redis', () => {
  let redis: TestRedis;
  afterEach(async () => {
    await redis.stop();
  });

  test('answers, forgets everything when killed, and comes back on its port', async () => {
    redis = await startRedis();
    await redis.cli('SET', 'key', 'value');
    expect(await redis.cli('GET', 'key')).toBe('value');
    await redis.kill();
    await expect(redis.cli('PING')).rejects.toThrow('refused');
    await redis.restart();
    expect(await redis.cli('EXISTS', 'key')).toBe('0');
  });

  test('is silent while paused, and goes on afterwards', async () => {
    redis = await startRedis();
    redis.pause();
    const answer = redis.cli('PING');
    await expect(within('an answer', answer, 300)).rejects.toThrow('timed out');
    redis.resume();
    expect(await answer).toBe('PONG');
  });

  test('takes more of the command line', async () => {
    redis = await startRedis({ args: ['--requirepass', 'secret'] });
    expect(await redis.cli('--no-auth-warning', '-a', 'secret', 'PING')).toBe('PONG');
  });
});

test.each(['SIGKILL', 'SIGTERM'] as const)('a redis-server ends when its starter gets %s', async (signal) => {
  const script = `const { startRedis } = await import('./test/helpers/redis.ts');
    const redis = await startRedis();
    process.on('SIGTERM', () => process.exit(0));
    console.log('pid ' + (await redis.cli('INFO', 'server')).match(/process_id:(\\d+)/)[1]);
    setInterval(() => {}, 1000);`;
  const starter = startNode(['--import', 'tsx', '--input-type=module', '-e', script]);
  const pid = Number(await printed(starter, /pid (\d+)/));
  expect(isAlive(pid)).toBe(true);
  await starter.stop(signal);
  await waitFor('its end', () => !isAlive(pid));
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('nginx', () => {
  test('spreads requests evenly, leaves out who is gone, and takes new ports while streams go on', async () => {
    const servers = await Promise.all([startNamed('a'), startNamed('b'), startNamed('c')]);
    const nginx = await startNginx({ ports: servers.slice(0, 2).map(({ port }) => port) });
    const ask = async (method = 'GET') => (await fetch(`${nginx.url}/name`, { method })).text();
    expect([await ask(), await ask(), await ask(), await ask()].toSorted()).toEqual(['a', 'a', 'b', 'b']);
    const stream = await fetch(`${nginx.url}/stream`);
    await servers[1]?.close();
    expect([await ask('POST'), await ask('POST'), await ask('POST')]).toEqual(['a', 'a', 'a']);
    await nginx.setPorts([servers[0]?.port ?? 0, servers[2]?.port ?? 0]);
    expect([await ask(), await ask()].toSorted()).toEqual(['a', 'c']);
    const first = await within('an event', stream.body?.getReader().read() ?? Promise.reject(new Error('no body')));
    expect(Buffer.from(first.value ?? []).toString()).toContain('data: ');
    expect(stream.headers.get('content-type')).toBe('text/event-stream');
    await nginx.stop();
    await Promise.all(servers.map((each) => each.close()));
  });

  test('sends no request twice that may have been read', async () => {
    let posted = 0;
    const breaker = createServer((request) => {
      posted += request.method === 'POST' ? 1 : 0;
      request.socket.destroy();
    });
    const listeners = [await listenOnLoopback(breaker), await startNamed('a')];
    const nginx = await startNginx({ ports: listeners.map(({ port }) => port) });
    const statuses = await Promise.all([1, 2].map(async () => (await fetch(nginx.url, { method: 'POST' })).status));
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 502]);
    expect(posted).toBe(1);
    await nginx.stop();
    await Promise.all(listeners.map((each) => each.close()));
  });
});

describe('replicas', () => {
  let upstream: SdkUpstream;
  let fleet: Replicas;
  beforeEach(async () => {
    upstream = await startSdkUpstream();
    fleet = await startReplicas({ count: 1, config: { upstreams: [{ url: upstream.urls.sse, prefix: 'up' }] } });
  });
  afterEach(async () => {
    await fleet.stop();
    await upstream.close();
  });

  test.each(CLIENT_KINDS)('serve through the load balancer (%s client)', async (kind) => {
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(sdkTransport(kind, fleet.url, 'up'));
    expect(textOf(await client.callTool({ name: 'echo', arguments: { message: 'hello' } }))).toBe('hello');
    await client.close();
  });

  test('end as they are told, and are replaced', async () => {
    const [replica] = fleet.replicas;
    if (replica === undefined) throw new Error('no replica');
    const { url, id } = replica;
    expect(await replica.terminate()).toBe(0);
    expect((await fetch(`${fleet.url}/livez`)).status).toBe(502);
    await replica.restart();
    expect(replica.url).not.toBe(url);
    expect(replica.id).not.toBe(id);
    expect((await fetch(`${fleet.url}/livez`)).status).toBe(200);
    await replica.kill();
    expect((await fetch(`${fleet.url}/livez`)).status).toBe(502);
  });

  test('are silent while paused', async () => {
    const [replica] = fleet.replicas;
    replica?.pause();
    const answer = fetch(`${fleet.url}/livez`);
    await expect(within('an answer', answer, 500)).rejects.toThrow('timed out');
    replica?.resume();
    expect((await answer).status).toBe(200);
  });
});

/** Says its name, or a stream of events that does not end. */
async function startNamed(name: string): Promise<Loopback> {
  const server = createServer((request, response) => {
    if (request.url !== '/stream') response.end(name);
    else response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${name}\n\n`);
  });
  return listenOnLoopback(server);
}
