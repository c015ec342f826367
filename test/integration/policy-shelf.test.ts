/** The shelf of pushed policies on a real redis-server. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Sealer } from '../../src/cluster/sealer.js';
import { ClusterSecrets } from '../../src/cluster/secrets.js';
import { systemClock } from '../../src/core/clock.js';
import { PolicyConflictError, PolicyNotKeptError } from '../../src/redis/policy-errors.js';
import { RedisLink } from '../../src/redis/link.js';
import { redisSchema } from '../../src/redis/options.js';
import { type KeptText, type PolicyPush, PolicyShelf } from '../../src/redis/policy-shelf.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { RecordingLogger } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';

let redis: TestRedis;
const links: RedisLink[] = [];
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(() => redis.cli('FLUSHALL'));
afterAll(async () => {
  await Promise.all(links.map((link) => link.close()));
  await redis.stop();
});

async function open({ secrets = ['one-secret-of-the-fleet'], cap = 1000, url = redis.url } = {}): Promise<PolicyShelf> {
  const link = new RedisLink(redisSchema.parse({ url }), {
    logger: new RecordingLogger(),
    clock: systemClock,
  });
  links.push(link);
  await link.connect();
  return new PolicyShelf(link, new Sealer(new ClusterSecrets(secrets).keysFor('payload')), cap);
}

const hashOf = (letter: string): string => letter.repeat(64);
const push = (letter: string, text = `text of ${letter}`): PolicyPush => ({
  text,
  format: 'yaml',
  hash: hashOf(letter),
  author: `${letter}@test`,
  atMs: 1_000,
});

const accept = (): void => {};
const by = { author: 'x@test', atMs: 2_000 };

test('an empty shelf has nothing', async () => {
  const shelf = await open();
  expect(await shelf.current('p')).toBeUndefined();
  expect(await shelf.all()).toEqual([]);
  expect(await shelf.history('p')).toEqual([]);
  expect(await shelf.version()).toBe(0);
  await expect(shelf.rollback('p', { to: 'file' }, by, accept)).rejects.toThrow('was never pushed');
  await expect(shelf.rollback('p', { to: 'previous' }, by, accept)).rejects.toBeInstanceOf(PolicyNotKeptError);
});

test('what is pushed rules for everybody, and the version grows', async () => {
  const [one, other] = await Promise.all([open(), open()]);
  const { before, after } = await one.push('p', push('a'));
  expect(before).toBeUndefined();
  expect(after).toMatchObject({ name: 'p', source: 'pushed', hash: hashOf('a'), text: 'text of a', author: 'a@test' });
  expect(await other.current('p')).toEqual(after);
  const version = await other.version();
  expect(version).toBeGreaterThan(0);
  const second = await other.push('p', push('b'));
  expect(second.before).toEqual(after);
  expect(second.after.revision).toBeGreaterThan(after.revision);
  expect(await one.version()).toBeGreaterThan(version);
  expect(await one.all()).toMatchObject([{ name: 'p', revision: second.after.revision, state: second.after }]);
  expect((await one.history('p')).map(({ action, hash }) => [action, hash])).toEqual([
    ['push', hashOf('b')],
    ['push', hashOf('a')],
  ]);
});

test('a push of what rules already changes nothing and is announced again', async () => {
  const shelf = await open();
  const first = await shelf.push('p', push('a'));
  const version = await shelf.version();
  const again = await shelf.push('p', push('a'));
  expect(again).toEqual({ before: first.after, after: first.after });
  expect(await shelf.history('p')).toHaveLength(1);
  expect(await shelf.version()).toBeGreaterThan(version);
});

test('a push that expects another policy is refused', async () => {
  const shelf = await open();
  const file = { hash: hashOf('f').slice(0, 8), ofFile: hashOf('f') };
  await shelf.push('p', push('a'), file);
  const late = shelf.push('p', push('b'), file);
  await expect(late).rejects.toBeInstanceOf(PolicyConflictError);
  await expect(late).rejects.toThrow(hashOf('a'));
  expect(await shelf.current('p')).toMatchObject({ hash: hashOf('a') });
  await shelf.push('p', push('b'), { hash: hashOf('a'), ofFile: hashOf('f') });
  expect(await shelf.current('p')).toMatchObject({ hash: hashOf('b') });
});

test('of pushes at once that expect the same, one takes place', async () => {
  const shelves = await Promise.all([open(), open(), open(), open()]);
  await shelves[0]?.push('p', push('0'));
  const settled = await Promise.allSettled(
    shelves.map((shelf, index) => shelf.push('p', push(String(index + 1)), { hash: hashOf('0'), ofFile: undefined })),
  );
  expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(await shelves[0]?.history('p')).toHaveLength(2);
});

test('pushes at once that expect nothing all take place, one after the other', async () => {
  const shelves = await Promise.all([open(), open(), open(), open()]);
  await Promise.all(shelves.map((shelf, index) => shelf.push('p', push(String(index)))));
  const history = (await shelves[0]?.history('p')) ?? [];
  expect(new Set(history.map(({ hash }) => hash)).size).toBe(4);
  expect(history.map(({ revision }) => revision)).toEqual(
    history.map(({ revision }) => revision).toSorted((a, b) => b - a),
  );
  expect(await shelves[0]?.current('p')).toMatchObject({ hash: history[0]?.hash, revision: history[0]?.revision });
});

test('rolling back goes to the push before, and further back each time', async () => {
  const shelf = await open();
  for (const letter of ['a', 'b', 'a', 'c']) await shelf.push('p', push(letter));
  const back = async (): Promise<string> => {
    const { after } = await shelf.rollback('p', { to: 'previous' }, by, accept);
    return after.source === 'pushed' ? `${after.hash[0]} ${after.text} ${after.author}` : 'file';
  };
  expect([await back(), await back(), await back()]).toEqual([
    'a text of a x@test',
    'b text of b x@test',
    'a text of a x@test',
  ]);
  await expect(back()).rejects.toBeInstanceOf(PolicyNotKeptError);
  expect((await shelf.history('p')).slice(0, 4).map(({ action, hash }) => [action, hash?.[0]])).toEqual([
    ['rollback', 'a'],
    ['rollback', 'b'],
    ['rollback', 'a'],
    ['push', 'c'],
  ]);
});

test('rolling back to a hash, to the file, and from the file to what ruled last', async () => {
  const shelf = await open();
  for (const letter of ['a', 'b', 'c']) await shelf.push('p', push(letter));
  expect((await shelf.rollback('p', { to: 'hash', hash: 'bbbb' }, by, accept)).after).toMatchObject({
    hash: hashOf('b'),
  });
  await expect(shelf.rollback('p', { to: 'hash', hash: 'dddd' }, by, accept)).rejects.toThrow(
    'nothing with the hash dddd',
  );
  await expect(shelf.rollback('p', { to: 'hash', hash: '' }, by, accept)).rejects.toThrow('more than one');
  const { after } = await shelf.rollback('p', { to: 'file' }, by, accept);
  expect(after).toMatchObject({ source: 'file', author: 'x@test', atMs: 2_000 });
  expect(await shelf.all()).toMatchObject([{ name: 'p', state: after }]);
  expect((await shelf.history('p'))[0]).toMatchObject({ action: 'file', hash: undefined });
  const seen: KeptText[] = [];
  const refuse = (text: KeptText): void => {
    seen.push(text);
    throw new Error('refused');
  };
  await expect(shelf.rollback('p', { to: 'previous' }, by, refuse)).rejects.toThrow('refused');
  expect(seen).toEqual([{ text: 'text of b', format: 'yaml', hash: hashOf('b') }]);
  expect(await shelf.current('p')).toEqual(after);
  expect((await shelf.rollback('p', { to: 'previous' }, by, accept)).after).toMatchObject({ hash: hashOf('b') });
});

test('history is capped, and texts that it no longer names go', async () => {
  const shelf = await open({ cap: 3 });
  for (const letter of ['a', 'b', 'a', 'c', 'd']) await shelf.push('p', push(letter));
  const documents = async () =>
    (await redis.cli('KEYS', '*:doc:*'))
      .split('\n')
      .map((key) => key.at(-1) ?? '')
      .toSorted((one, other) => one.localeCompare(other));
  expect((await shelf.history('p')).map(({ hash }) => hash?.[0])).toEqual(['d', 'c', 'a']);
  expect(await documents()).toEqual(['a', 'c', 'd']);
  await shelf.rollback('p', { to: 'hash', hash: 'aaaa' }, by, accept);
  expect(await documents()).toEqual(['a', 'c', 'd']);
  await shelf.rollback('p', { to: 'file' }, by, accept);
  expect((await shelf.history('p')).map(({ hash }) => hash?.[0])).toEqual([undefined, 'a', 'd']);
  expect(await documents()).toEqual(['a', 'd']);
});

test('nothing of a text, an author or a hash can be read from what is stored', async () => {
  const shelf = await open();
  await shelf.push('p', push('a', 'canary-text'));
  const [key = ''] = (await redis.cli('KEYS', '*:doc:*')).split('\n');
  const stored = [await redis.cli('GET', key), await redis.cli('HGETALL', key.replace(/doc:.*/, 'state'))];
  stored.push(await redis.cli('LRANGE', key.replace(/doc:.*/, 'history'), '0', '-1'));
  expect(stored.every((text) => text.length > 20)).toBe(true);
  expect(stored.join('\n')).not.toMatch(/canary|a@test|aaaa/);
});

test('a record that was moved, cut or sealed by somebody else is there and cannot be read', async () => {
  const shelf = await open();
  await shelf.push('p', push('a'));
  const stranger = await open({ secrets: ['another-secret-altogether'] });
  expect(await stranger.all()).toMatchObject([{ name: 'p', state: undefined }]);
  expect(await stranger.history('p')).toEqual([]);
  await expect(stranger.push('p', push('b'), { hash: hashOf('f'), ofFile: hashOf('f') })).rejects.toThrow(
    'cannot be read',
  );
  const state = (await redis.cli('KEYS', '*:state')).trim();
  await redis.cli('COPY', state, state.replace('policy:p', 'policy:q'));
  await redis.cli('SADD', state.replace('{policy:p}:state', '{fleet}:policy-names'), 'q');
  expect((await shelf.all()).find(({ name }) => name === 'q')).toMatchObject({ state: undefined });
  await redis.cli('DEL', (await redis.cli('KEYS', '*:doc:*')).trim());
  expect(await shelf.all()).toContainEqual(expect.objectContaining({ name: 'p', state: undefined }));
  await expect(shelf.rollback('p', { to: 'hash', hash: 'aaaa' }, by, accept)).rejects.toThrow('not kept any more');
});

test('a new secret reads what the one before sealed, and keeping seals it anew', async () => {
  const { after } = await (await open({ secrets: ['old-secret-old-secret'] })).push('p', push('a'));
  const both = await open({ secrets: ['new-secret-new-secret', 'old-secret-old-secret'] });
  const onlyNew = await open({ secrets: ['new-secret-new-secret'] });
  expect(await both.current('p')).toEqual(after);
  expect(await onlyNew.current('p')).toBeUndefined();
  expect(await both.keep(after)).toBe(false);
  expect(await onlyNew.current('p')).toEqual(after);
});

test('what Redis lost is put back, never over something newer', async () => {
  const shelf = await open();
  const old = (await shelf.push('p', push('a'))).after;
  const file = (await shelf.rollback('p', { to: 'file' }, by, accept)).after;
  const version = await shelf.version();
  await redis.cli('FLUSHALL');
  expect(await shelf.keep(old)).toBe(true);
  expect(await shelf.current('p')).toEqual(old);
  expect(await shelf.history('p')).toMatchObject([{ action: 'push', hash: hashOf('a') }]);
  expect(await shelf.version()).toBeGreaterThan(version);
  expect(await shelf.keep(file)).toBe(true);
  expect(await shelf.keep(old)).toBe(false);
  expect(await shelf.current('p')).toEqual(file);
  const newer = (await shelf.push('p', push('b'))).after;
  expect(newer.revision).toBeGreaterThan(file.revision);
  expect(await shelf.keep(file)).toBe(false);
  expect(await shelf.current('p')).toEqual(newer);
});

test('a push after a loss counts as newer than all that was before', async () => {
  const shelf = await open();
  for (const letter of ['a', 'b', 'c']) await shelf.push('p', push(letter));
  const lost = (await shelf.push('p', push('d'))).after;
  const version = await shelf.version();
  await redis.cli('FLUSHALL');
  const fresh = (await (await open()).push('p', push('e'))).after;
  expect(fresh.revision).toBeGreaterThan(lost.revision);
  expect(await shelf.version()).toBeGreaterThan(version);
  expect(await shelf.keep(lost)).toBe(false);
});

test('a damaged key ends in an error, not in a policy', async () => {
  const shelf = await open();
  await shelf.push('p', push('a'));
  const state = (await redis.cli('KEYS', '*:state')).trim();
  await redis.cli('HSET', state, 'revision', 'many');
  expect((await shelf.push('p', push('b'))).after).toMatchObject({ hash: hashOf('b') });
  await redis.cli('DEL', state);
  await redis.cli('SET', state, 'x');
  await expect(shelf.all()).rejects.toThrow('WRONGTYPE');
  await expect(shelf.push('p', push('c'))).rejects.toThrow('WRONGTYPE');
});

test('works on Redis Cluster, where one script may not touch keys of two slots', async () => {
  const node = await startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'] });
  try {
    await node.cli('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await waitFor('the cluster', async () => (await node.cli('CLUSTER', 'INFO')).includes('cluster_state:ok'));
    const shelf = await open({ url: node.url.replace('redis:', 'redis+cluster:'), cap: 2 });
    for (const letter of ['a', 'b', 'c']) await shelf.push('p', push(letter));
    const { after } = await shelf.rollback('p', { to: 'previous' }, by, accept);
    expect(after).toMatchObject({ hash: hashOf('b') });
    expect(await shelf.all()).toMatchObject([{ name: 'p', state: after }]);
    await shelf.push('q', push('a'));
    expect((await shelf.all()).map(({ name }) => name).toSorted((one, other) => one.localeCompare(other))).toEqual([
      'p',
      'q',
    ]);
    expect(await shelf.version()).toBeGreaterThan(0);
    await node.cli('FLUSHALL');
    expect(await shelf.keep(after)).toBe(true);
    expect(await shelf.current('p')).toEqual(after);
  } finally {
    await node.stop();
  }
});
