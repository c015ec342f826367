/** Replicas, sessions and journals in a real Redis: what several replicas do at once, and what a former owner still tries. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Member } from '../../src/cluster/fleet.js';
import type { StoredEntry } from '../../src/cluster/session-journal.js';
import { StoreAwayError } from '../../src/redis/errors.js';
import { RedisFleetStore } from '../../src/redis/fleet-store.js';
import { RedisJournalStore } from '../../src/redis/journal-store.js';
import type { RedisLink } from '../../src/redis/link.js';
import { RedisSessionDirectory } from '../../src/redis/session-directory.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { testSealer } from '../helpers/memory-replication.js';
import { makeLink } from '../helpers/redis-link.js';
import { waitFor } from '../helpers/wait.js';

const PATIENCE_MS = 15_000;
const LEASE_MS = 2000;
const TTL_MS = 60_000;
const KEY = '0123456789abcdef';

const sealer = testSealer();

let redis: TestRedis;
let link: RedisLink;
const links: RedisLink[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  await redis.cli('FLUSHALL');
  link = await connected();
});
afterEach(async () => {
  await Promise.all(links.splice(0).map((each) => each.close()));
});
afterAll(() => redis.stop());

async function connected(): Promise<RedisLink> {
  const { link: made } = makeLink(redis.url);
  links.push(made);
  await made.connect();
  await waitFor('Redis', () => made.isUp, PATIENCE_MS);
  return made;
}

/** Everything that was posted over this connection has been executed. */
async function settled(): Promise<void> {
  await link.run((commands) => commands.ping());
}

/** Lets a heartbeat be so much older. */
async function age(id: string, ms: number): Promise<void> {
  await redis.cli('ZINCRBY', link.keys.fleetMembers, String(-ms), id);
}

const member = (id: string, more: Partial<Member> = {}): Member => ({
  id,
  hash: `hash of ${id}`,
  address: `http://127.0.0.1:1/${id}`,
  version: '1',
  isDraining: false,
  ...more,
});

describe('RedisFleetStore', () => {
  test('a heartbeat tells of all that are alive, as they describe themselves now', async () => {
    const fleet = new RedisFleetStore(link, sealer);
    await fleet.beat(member('a'), LEASE_MS);
    const { members, policyVersion } = await fleet.beat(member('b'), LEASE_MS);
    expect(members).toEqual(expect.arrayContaining([member('a'), member('b')]));
    expect(members.length).toBe(2);
    expect(policyVersion).toBe(0);
    await redis.cli('INCR', link.keys.policyVersion);
    await fleet.beat(member('a', { isDraining: true }), LEASE_MS);
    const next = await fleet.beat(member('b'), LEASE_MS);
    expect(next.members).toContainEqual(member('a', { isDraining: true }));
    expect(next.policyVersion).toBe(1);
  });

  test('a lease ends with the heartbeat that is too old, by the time of Redis', async () => {
    const fleet = new RedisFleetStore(link, sealer);
    await fleet.beat(member('a'), LEASE_MS);
    expect((await fleet.leaseOf('a', LEASE_MS)).isHeld).toBe(true);
    expect((await fleet.leaseOf('nobody', LEASE_MS)).isHeld).toBe(false);
    await age('a', LEASE_MS);
    // Where it is reached is known all the same, until it leaves.
    expect(await fleet.leaseOf('a', LEASE_MS)).toEqual({ isHeld: false, member: member('a') });
    expect((await fleet.beat(member('b'), LEASE_MS)).members).toEqual([member('b')]);
    await fleet.beat(member('a'), LEASE_MS);
    expect((await fleet.leaseOf('a', LEASE_MS)).isHeld).toBe(true);
  });

  test('who leaves is gone at once', async () => {
    const fleet = new RedisFleetStore(link, sealer);
    await fleet.beat(member('a'), 60_000);
    await fleet.leave('a');
    expect(await fleet.leaseOf('a', 60_000)).toEqual({ isHeld: false, member: undefined });
    expect((await fleet.beat(member('b'), 60_000)).members).toEqual([member('b')]);
    expect(await redis.cli('HKEYS', link.keys.fleetFacts)).toBe('b');
  });

  test('what is long gone is forgotten', async () => {
    const fleet = new RedisFleetStore(link, sealer);
    await fleet.beat(member('old'), LEASE_MS);
    await fleet.beat(member('older'), LEASE_MS);
    await age('old', 660_000);
    await age('older', 700_000);
    await fleet.beat(member('b'), LEASE_MS);
    expect(await redis.cli('HKEYS', link.keys.fleetFacts)).toBe('b');
    expect(await redis.cli('ZCARD', link.keys.fleetMembers)).toBe('1');
  });

  test('all agree on the generation, and it is another one when the memory was emptied', async () => {
    const fleet = new RedisFleetStore(link, sealer);
    const [one, other] = await Promise.all([fleet.beat(member('a'), LEASE_MS), fleet.beat(member('b'), LEASE_MS)]);
    expect(one.generation).toBe(other.generation);
    expect((await fleet.beat(member('a'), LEASE_MS)).generation).toBe(one.generation);
    await redis.cli('FLUSHALL');
    const after = await Promise.all([fleet.beat(member('a'), LEASE_MS), fleet.beat(member('b'), LEASE_MS)]);
    expect(after[0].generation).toBe(after[1].generation);
    expect(after[0].generation).not.toBe(one.generation);
  });

  test('a replica that describes itself in a way nobody here knows is passed over', async () => {
    const fleet = new RedisFleetStore(link, sealer);
    await fleet.beat(member('a'), LEASE_MS);
    await fleet.beat(member('strange'), LEASE_MS);
    const facts = sealer.seal(Buffer.from('{"id":"strange","v":2}'), 'fleet member strange').toString('base64');
    await redis.cli('HSET', link.keys.fleetFacts, 'strange', facts);
    expect((await fleet.beat(member('a'), LEASE_MS)).members).toEqual([member('a')]);
  });

  test.each(['no JSON', 'null', '{}', JSON.stringify(member('b', { address: 'http://198.51.100.1' }))])(
    'what somebody without the secret says of a replica is passed over: %s',
    async (text) => {
      const fleet = new RedisFleetStore(link, sealer);
      await fleet.beat(member('a'), LEASE_MS);
      await fleet.beat(member('b'), LEASE_MS);
      await redis.cli('HSET', link.keys.fleetFacts, 'b', text);
      expect((await fleet.beat(member('a'), LEASE_MS)).members).toEqual([member('a')]);
    },
  );

  test('what one replica says of itself says nothing of another', async () => {
    const fleet = new RedisFleetStore(link, sealer);
    await fleet.beat(member('a'), LEASE_MS);
    await fleet.beat(member('b'), LEASE_MS);
    await redis.cli('HSET', link.keys.fleetFacts, 'b', await redis.cli('HGET', link.keys.fleetFacts, 'a'));
    expect((await fleet.beat(member('a'), LEASE_MS)).members).toEqual([member('a')]);
  });
});

describe('RedisSessionDirectory', () => {
  const state = Buffer.from([0, 255, 10, 13, 128]);

  test('keeps a state byte for byte, with its owner and for its time', async () => {
    const directory = new RedisSessionDirectory(link, 'a');
    expect(await directory.load(KEY)).toBeUndefined();
    expect(directory.save({ key: KEY, epoch: 1 }, state, TTL_MS)).toBe(true);
    expect(await directory.load(KEY)).toEqual({ owner: 'a', epoch: 1, state });
    const ttlMs = Number(await redis.cli('PTTL', link.keys.session(KEY)));
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(TTL_MS);
  });

  test('of twenty that want a session at once exactly one gets it, again and again', async () => {
    const takers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        return new RedisSessionDirectory(index < 4 ? await connected() : link, `taker ${index}`);
      }),
    );
    new RedisSessionDirectory(link, 'a').save({ key: KEY, epoch: 1 }, state, TTL_MS);
    await settled();
    for (let epoch = 1; epoch <= 10; epoch += 1) {
      const results = await Promise.all(takers.map((taker) => taker.take(KEY, epoch)));
      expect(results.filter(Boolean).length).toBe(1);
      const owner = `taker ${results.indexOf(true)}`;
      expect(await takers[0]?.load(KEY)).toEqual({ owner, epoch: epoch + 1, state });
    }
  });

  test('nobody takes a session that does not exist, or under an epoch that is over', async () => {
    const directory = new RedisSessionDirectory(link, 'a');
    expect(await directory.take(KEY, 1)).toBe(false);
    expect(await redis.cli('DBSIZE')).toBe('0');
    directory.save({ key: KEY, epoch: 3 }, state, TTL_MS);
    expect(await directory.take(KEY, 2)).toBe(false);
    expect(await directory.take(KEY, 4)).toBe(false);
    expect(await directory.load(KEY)).toMatchObject({ owner: 'a', epoch: 3 });
  });

  test('a former owner saves, releases and removes nothing', async () => {
    const former = new RedisSessionDirectory(link, 'former');
    const owner = new RedisSessionDirectory(link, 'owner');
    former.save({ key: KEY, epoch: 1 }, Buffer.from('old'), TTL_MS);
    expect(await owner.take(KEY, 1)).toBe(true);
    owner.save({ key: KEY, epoch: 2 }, Buffer.from('new'), TTL_MS);
    former.save({ key: KEY, epoch: 1 }, Buffer.from('old'), TTL_MS);
    former.remove({ key: KEY, epoch: 1 });
    expect(await former.release({ key: KEY, epoch: 1 })).toBe(false);
    expect(await owner.load(KEY)).toEqual({ owner: 'owner', epoch: 2, state: Buffer.from('new') });
    expect(await redis.cli('EXISTS', link.keys.journal(KEY))).toBe('1');
  });

  test('what was let go of is anybody’s, and once taken it cannot be let go of again', async () => {
    const former = new RedisSessionDirectory(link, 'former');
    const owner = new RedisSessionDirectory(link, 'owner');
    former.save({ key: KEY, epoch: 1 }, state, TTL_MS);
    expect(await former.release({ key: KEY, epoch: 1 })).toBe(true);
    expect(await owner.load(KEY)).toEqual({ owner: '', epoch: 1, state });
    expect(await former.release({ key: KEY, epoch: 1 })).toBe(false);
    expect(await owner.take(KEY, 1)).toBe(true);
    expect(await former.release({ key: KEY, epoch: 1 })).toBe(false);
    expect(await owner.load(KEY)).toMatchObject({ owner: 'owner', epoch: 2 });
  });

  test('a session that is over leaves nothing', async () => {
    const directory = new RedisSessionDirectory(link, 'a');
    const journals = new RedisJournalStore(link, () => {});
    directory.save({ key: KEY, epoch: 1 }, state, TTL_MS);
    journals.append({ key: KEY, epoch: 1 }, { sequence: 0, sealed: state }, undefined);
    directory.remove({ key: KEY, epoch: 1 });
    await settled();
    expect(await redis.cli('DBSIZE')).toBe('0');
  });

  test('says of each session whether it is still this replica’s; one that nobody has written down is', async () => {
    const me = new RedisSessionDirectory(link, 'me');
    const other = new RedisSessionDirectory(link, 'other');
    for (const key of ['kept', 'taken', 'released', 'retaken']) me.save({ key, epoch: 1 }, state, TTL_MS);
    await me.release({ key: 'released', epoch: 1 });
    await other.take('taken', 1);
    await other.take('retaken', 1);
    await me.take('retaken', 2);
    const asked = ['kept', 'taken', 'released', 'retaken', 'unwritten'].map((key) => ({ key, epoch: 1 }));
    expect(await me.areOwned(asked)).toEqual([true, false, false, false, undefined]);
    expect(await me.areOwned([{ key: 'retaken', epoch: 3 }])).toEqual([true]);
  });

  test('touching lets both live on, and brings nothing back', async () => {
    const directory = new RedisSessionDirectory(link, 'a');
    const journals = new RedisJournalStore(link, () => {});
    directory.save({ key: KEY, epoch: 1 }, state, 10_000);
    journals.rewrite({ key: KEY, epoch: 1 }, [], 10_000);
    directory.touch(KEY, 500_000);
    directory.touch('unknown', 500_000);
    await settled();
    for (const name of [link.keys.session(KEY), link.keys.journal(KEY)]) {
      expect(Number(await redis.cli('PTTL', name))).toBeGreaterThan(400_000);
    }
    expect(await redis.cli('DBSIZE')).toBe('2');
  });
});

describe('RedisJournalStore', () => {
  const first = { key: KEY, epoch: 1 };
  const second = { key: KEY, epoch: 2 };
  const entry = (sequence: number, text = `entry ${sequence}`): StoredEntry => ({
    sequence,
    sealed: Buffer.from(text),
  });
  let journals: RedisJournalStore;
  /** Epochs that were told to be over. */
  let overtaken: number[];

  beforeEach(() => {
    overtaken = [];
    journals = new RedisJournalStore(link, ({ key, epoch }) => {
      expect(key).toBe(KEY);
      overtaken.push(epoch);
    });
  });

  async function take(epoch: number): Promise<void> {
    const directory = new RedisSessionDirectory(link, `owner ${epoch + 1}`);
    if (epoch === 1) directory.save({ key: KEY, epoch }, Buffer.from('state'), TTL_MS);
    expect(await directory.take(KEY, epoch)).toBe(true);
  }

  test('keeps entries byte for byte and in order, the first number too', async () => {
    journals.rewrite(first, [], TTL_MS);
    const bytes = { sequence: 0, sealed: Buffer.from([0, 255, 13, 10, 128]) };
    expect(journals.append(first, bytes, undefined)).toBe(true);
    for (const sequence of [1, 5, 1000]) journals.append(first, entry(sequence), undefined);
    expect(await journals.read(KEY)).toEqual([bytes, entry(1), entry(5), entry(1000)]);
    expect(await journals.read('unknown')).toEqual([]);
  });

  test('takes nothing of a former owner once another has taken the session', async () => {
    journals.rewrite(first, [], TTL_MS);
    journals.append(first, entry(1), undefined);
    await take(1);
    journals.append(first, entry(2), undefined);
    journals.append(first, entry(3), 3);
    expect(await journals.read(KEY)).toEqual([entry(1)]);
    journals.append(second, entry(1001), undefined);
    journals.append(first, entry(4), 4);
    expect(await journals.read(KEY)).toEqual([entry(1), entry(1001)]);
    expect(overtaken).toEqual([1, 1, 1]);
    expect(link.isUp).toBe(true);
  });

  test('is not written anew by a former owner either, before or after the next one has', async () => {
    journals.rewrite(first, [], TTL_MS);
    journals.append(first, entry(1), undefined);
    await take(1);
    journals.rewrite(first, [entry(1, 'stale'), entry(2, 'stale')], TTL_MS);
    expect(await journals.read(KEY)).toEqual([entry(1)]);
    journals.rewrite(second, [entry(1), entry(1001)], TTL_MS);
    journals.append(second, entry(1002), undefined);
    journals.rewrite(first, [entry(1, 'stale')], TTL_MS);
    journals.append(second, entry(1003), undefined);
    expect(await journals.read(KEY)).toEqual([entry(1), entry(1001), entry(1002), entry(1003)]);
    expect(overtaken).toEqual([1, 1]);
  });

  test('journals of one turn are written by one command, and what is refused of one concerns no other', async () => {
    const taken: string[] = [];
    journals = new RedisJournalStore(link, ({ key }) => void taken.push(key));
    const keys = ['one', 'two', 'three', 'four'];
    for (const key of keys) journals.rewrite({ key, epoch: 1 }, [], TTL_MS);
    journals.rewrite({ key: 'two', epoch: 2 }, [], TTL_MS);
    await settled();
    await redis.cli('SET', link.keys.journal('three'), 'no journal');
    await redis.cli('CONFIG', 'RESETSTAT');
    for (const key of keys) journals.append({ key, epoch: 1 }, entry(1), undefined);
    journals.append({ key: 'one', epoch: 1 }, entry(2), 2);
    const sent: string[] = [];
    journals.whenSent(() => sent.push('sent'));
    expect(sent).toEqual([]);
    journals.sendNow();
    expect(sent).toEqual(['sent']);
    expect(await journals.read('one')).toEqual([entry(2)]);
    expect(await journals.read('two')).toEqual([]);
    expect(await journals.read('four')).toEqual([entry(1)]);
    expect(await redis.cli('INFO', 'commandstats')).toMatch(/cmdstat_eval:calls=1,/);
    expect(link.isUp).toBe(true);
    journals.append({ key: 'two', epoch: 1 }, entry(2), undefined);
    await settled();
    expect(taken).toEqual(['two']);
  });

  test('entries keep their order when the server forgot all scripts', async () => {
    journals.rewrite(first, [], TTL_MS);
    await settled();
    await redis.cli('SCRIPT', 'FLUSH');
    for (let sequence = 0; sequence < 600; sequence += 1) {
      journals.append(first, entry(sequence), undefined);
      if (sequence % 50 === 0) journals.sendNow();
    }
    const sequences = (await journals.read(KEY)).map(({ sequence }) => sequence);
    expect(sequences).toEqual(Array.from({ length: 600 }, (_, index) => index));
    expect(overtaken).toEqual([]);
  });

  test('is not begun by an entry: who ended the session may have removed it', async () => {
    journals.append(first, entry(1), undefined);
    journals.append(first, entry(2), 1);
    expect(await journals.read(KEY)).toEqual([]);
  });

  test('drops what is below the number it is told, exactly', async () => {
    journals.rewrite(first, [], TTL_MS);
    for (let sequence = 0; sequence < 200; sequence += 1) journals.append(first, entry(sequence), undefined);
    journals.append(first, entry(200), 150);
    const kept = (await journals.read(KEY)).map(({ sequence }) => sequence);
    expect(kept).toEqual(Array.from({ length: 51 }, (_, index) => 150 + index));
    journals.append(first, entry(201), 201);
    expect(await journals.read(KEY)).toEqual([entry(201)]);
  });

  test('written anew, it is what was written, and goes on from there', async () => {
    for (let sequence = 0; sequence < 20; sequence += 1) journals.append(first, entry(sequence), undefined);
    journals.rewrite(first, [entry(3), entry(7, 'seven')], TTL_MS);
    expect(await journals.read(KEY)).toEqual([entry(3), entry(7, 'seven')]);
    journals.append(first, entry(8), undefined);
    expect((await journals.read(KEY)).length).toBe(3);
    const ttlMs = Number(await redis.cli('PTTL', link.keys.journal(KEY)));
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(TTL_MS);
  });

  test('written anew with nothing, it has a life of its own and still refuses former owners', async () => {
    journals.rewrite(second, [], TTL_MS);
    journals.append(first, entry(1), undefined);
    expect(await journals.read(KEY)).toEqual([]);
    expect(Number(await redis.cli('PTTL', link.keys.journal(KEY)))).toBeGreaterThan(0);
  });

  test('thousands of entries are written anew at once', async () => {
    const entries = Array.from({ length: 9000 }, (_, sequence) => entry(sequence));
    journals.rewrite(first, entries, TTL_MS);
    await waitFor('all of them', async () => (await redis.cli('XLEN', link.keys.journal(KEY))) === '9001', PATIENCE_MS);
    expect(overtaken).toEqual([]);
  });

  test('is refused at once while Redis is away, and nobody waits', async () => {
    const { link: away } = makeLink('redis://127.0.0.1:1');
    links.push(away);
    await away.connect();
    const nowhere = new RedisJournalStore(away, () => {});
    expect(nowhere.append(first, entry(1), undefined)).toBe(false);
    expect(nowhere.rewrite(first, [entry(1)], TTL_MS)).toBe(false);
    await expect(nowhere.read(KEY)).rejects.toThrow(StoreAwayError);
    const directory = new RedisSessionDirectory(away, 'me');
    expect(directory.save(first, Buffer.from('state'), TTL_MS)).toBe(false);
    await expect(directory.take(KEY, 1)).rejects.toThrow(StoreAwayError);
    await expect(directory.areOwned([first])).rejects.toThrow(StoreAwayError);
  });
});
