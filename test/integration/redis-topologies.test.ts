/** Redis behind sentinels, as a cluster, and over TLS. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { MemoryPinStore } from '../../src/policy/tool-pins.js';
import { StoreAwayError } from '../../src/redis/errors.js';
import { RedisJournalStore } from '../../src/redis/journal-store.js';
import { RedisLimitStore } from '../../src/redis/limit-store.js';
import { RedisPinStore } from '../../src/redis/pin-store.js';
import { UpstreamVerdicts } from '../../src/redis/verdicts.js';
import { freePort } from '../helpers/free-port.js';
import { admitted, take } from '../helpers/limit-store-contract.js';
import { startRedis } from '../helpers/redis.js';
import { makeLink } from '../helpers/redis-link.js';
import { startClusteredRedis, startWatchedRedis } from '../helpers/redis-topologies.js';
import { waitFor, within } from '../helpers/wait.js';

const FIXTURES = 'test/fixtures/tls';

test('behind a sentinel, the new master is found by itself', async () => {
  const watched = await startWatchedRedis();
  const { link, events } = makeLink(watched.url);
  try {
    await within('the first attempt', link.connect());
    expect(link.isUp).toBe(true);
    expect(await link.run((redis) => redis.set('a', '1'))).toBe('OK');
    expect(await watched.master.cli('GET', 'a')).toBe('1');
    await waitFor('the replica to have it', async () => (await watched.replica.cli('GET', 'a')) === '1');

    await watched.master.kill();
    await waitFor('the link to notice', () => !link.isUp);
    await waitFor('the new master', () => link.isUp, 20_000);
    expect(await link.run((redis) => redis.incr('a'))).toBe(2);
    expect(await watched.replica.cli('GET', 'a')).toBe('2');
    // A machine that stands still may make it miss Redis once more.
    expect(events().slice(0, 3)).toEqual(['store_connected', 'store_away', 'store_back']);
  } finally {
    await link.close();
    await watched.stop();
  }
});

test('a sentinel that wants a password gets its own, which is in no log', async () => {
  const password = 'canary-of-the-sentinel';
  const watched = await startWatchedRedis(password);
  const stranger = makeLink(watched.url);
  const wrong = makeLink(watched.url, 'test', { sentinelPassword: `${password}-not` });
  const known = makeLink(watched.url, 'test', { sentinelPassword: password });
  const named = makeLink(watched.url, 'test', { sentinelUsername: 'default', sentinelPassword: password });
  const links = [stranger, wrong, known, named];
  try {
    for (const { link } of links) await within('the first attempt', link.connect());
    expect(links.map(({ link }) => link.isUp)).toEqual([false, false, true, true]);
    expect(await known.link.run((redis) => redis.set('a', '1'))).toBe('OK');
    expect(await watched.master.cli('GET', 'a')).toBe('1');
    expect(links.map(({ log }) => log()).join('')).not.toContain('canary');
  } finally {
    await Promise.all(links.map(({ link }) => link.close()));
    await watched.stop();
  }
});

test('in a cluster, everything has its slot, and a node that was gone is found again', async () => {
  const cluster = await startClusteredRedis();
  const { link } = makeLink(cluster.url);
  try {
    await within('the first attempt', link.connect());
    expect(link.isUp).toBe(true);
    const limits = new RedisLimitStore(link);
    expect(await admitted(limits, [take('a', 'k', 50), take('b', 'l', 40)], 100)).toBe(40);
    const journals = new RedisJournalStore(link, () => {});
    const entry = { sequence: 1, sealed: Buffer.from('entry') };
    const sessions = ['a', 'b', 'c', 'd', 'e'].map((key) => ({ key, epoch: 1 }));
    for (const session of sessions) journals.rewrite(session, [], 60_000);
    for (const session of sessions) journals.append(session, entry, undefined);
    for (const { key } of sessions) expect(await journals.read(key)).toEqual([entry]);
    await Promise.all(sessions.map(({ key }) => link.run((redis) => redis.del(link.keys.journal(key)))));
    const pins = new RedisPinStore(link, new MemoryPinStore());
    const verdicts = new UpstreamVerdicts(link);
    for (const route of ['r', 's', 't', 'u']) {
      expect((await pins.pinNew(route, [{ name: 'a', digest: '1' }])).get('a')).toBe('1');
      verdicts.remember(route, { kind: 'sse' });
      await waitFor('the verdict', async () => (await verdicts.recall(route)).kind === 'sse');
    }
    const sizes = await Promise.all(cluster.nodes.map((node) => node.cli('DBSIZE')));
    expect(sizes.reduce((total, size) => total + Number(size), 0)).toBe(2 + 4 + 4);
    expect(sizes.filter((size) => size !== '0').length).toBeGreaterThan(1);

    const last = cluster.nodes.at(-1);
    await last?.kill();
    const keys = Array.from({ length: 30 }, (_, index) => `key${index}`);
    const read = () => Promise.allSettled(keys.map((key) => link.run((redis) => redis.get(key))));
    await waitFor('it to be missed', async () => (await read()).some(({ status }) => status === 'rejected'));
    for (const result of await read()) {
      if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(StoreAwayError);
    }
    await last?.restart();
    await waitFor('all keys', async () => (await read()).every(({ status }) => status === 'fulfilled'), 15_000);
  } finally {
    await link.close();
    await cluster.stop();
  }
});

test('over TLS, a server that is trusted is served and one that is not is away', async () => {
  const port = await freePort();
  const files = ['--tls-cert-file', `${process.cwd()}/${FIXTURES}/server.pem`];
  files.push('--tls-key-file', `${process.cwd()}/${FIXTURES}/server.key`);
  files.push('--tls-ca-cert-file', `${process.cwd()}/${FIXTURES}/ca.pem`);
  const redis = await startRedis({ args: ['--tls-port', String(port), '--tls-auth-clients', 'no', ...files] });
  const url = `rediss://127.0.0.1:${port}`;
  const stranger = makeLink(url);
  try {
    await within('the first attempt', stranger.link.connect());
    expect(stranger.link.isUp).toBe(false);
    expect(stranger.log()).toContain('certificate');

    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', fileURLToPath(new URL('../helpers/ping-redis.ts', import.meta.url)), url],
      { env: { ...process.env, NODE_EXTRA_CA_CERTS: `${FIXTURES}/ca.pem` } },
    );
    expect(JSON.parse(stdout)).toMatchObject({ answer: 'PONG' });
  } finally {
    await stranger.link.close();
    await redis.stop();
  }
});
