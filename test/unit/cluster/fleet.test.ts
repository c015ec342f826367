import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  Fleet,
  type FleetStore,
  type Heartbeat,
  type Lease,
  HEARTBEAT_MS,
  LEASE_MS,
  type Member,
} from '../../../src/cluster/fleet.js';
import { RecordingLogger } from '../../helpers/start-gateway.js';

const member = (id: string, isDraining = false): Member => ({
  id,
  hash: `hash of ${id}`,
  address: `http://${id}`,
  version: '1',
  isDraining,
});

class FakeStore implements FleetStore {
  readonly beats: Member[] = [];
  readonly left: string[] = [];
  others: Member[] = [];
  policyVersion = 0;
  generation = 'first';
  timeMs = 0;
  isAway = false;
  /** Until this is done, heartbeats are on their way. */
  hanging: Promise<void> | undefined;

  async beat(me: Member): Promise<Heartbeat> {
    this.beats.push(me);
    await this.hanging;
    if (this.isAway) throw new Error('away');
    return {
      members: [me, ...this.others],
      policyVersion: this.policyVersion,
      generation: this.generation,
      timeMs: this.timeMs,
    };
  }

  async leave(id: string): Promise<void> {
    if (this.isAway) throw new Error('away');
    this.left.push(id);
  }

  /** Not heard of by heartbeats, but not forgotten either. */
  silent: Member[] = [];

  async leaseOf(id: string, leaseMs: number): Promise<Lease> {
    expect(leaseMs).toBe(LEASE_MS);
    const isHeld = this.others.some((other) => other.id === id);
    return { isHeld, member: [...this.others, ...this.silent].find((other) => other.id === id) };
  }
}

let store: FakeStore;
let fleet: Fleet;
let told: string[];
/** How long ago all was well for certain, each time it was told that it is not. */
let doubtfulMs: number[];

beforeEach(() => {
  vi.useFakeTimers();
  store = new FakeStore();
  told = [];
  doubtfulMs = [];
  const clock = { now: () => Date.now(), wallTimeMs: () => Date.now() };
  fleet = new Fleet(member('me'), store, clock, new RecordingLogger(), {
    policyVersion: (version) => told.push(`policies ${version}`),
    vanished: (members) => told.push(`vanished ${members.map(({ id }) => id).join()}`),
    overslept: (sinceMs) => {
      told.push('overslept');
      doubtfulMs.push(clock.now() - sinceMs);
    },
    memoryLost: () => told.push('memory lost'),
  });
});
afterEach(async () => {
  await fleet.leave();
  vi.useRealTimers();
});

const beat = () => vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
const ids = (members: readonly Member[]) => members.map(({ id }) => id);

describe('who is there', () => {
  test('is known from the first heartbeat on, and before it a replica knows itself', async () => {
    expect(ids(fleet.members)).toEqual(['me']);
    store.others = [member('b')];
    await fleet.join();
    expect(ids(fleet.members)).toEqual(['me', 'b']);
    store.others = [member('b'), member('c')];
    await beat();
    expect(ids(fleet.peers)).toEqual(['b', 'c']);
    expect(fleet.findByHash('hash of c')).toEqual(member('c'));
    expect(fleet.findByHash('hash of d')).toBeUndefined();
  });

  test('who vanishes is told once, and still found', async () => {
    store.others = [member('b'), member('c')];
    await fleet.join();
    store.others = [member('c')];
    await beat();
    await beat();
    expect(told.filter((each) => each.startsWith('vanished'))).toEqual(['vanished b']);
    expect(fleet.isLive('b')).toBe(false);
    expect(fleet.find('b')).toEqual(member('b'));
    expect(fleet.findByHash('hash of b')).toEqual(member('b'));
    store.others = [member('b')];
    await beat();
    expect(fleet.isLive('b')).toBe(true);
  });

  test('who vanished lately counts as one that was there, and no longer than that', async () => {
    store.others = [member('b'), member('c')];
    await fleet.join();
    store.others = [member('c')];
    await beat();
    expect(ids(fleet.recentOthers)).toEqual(['c', 'b']);
    store.others = [];
    await vi.advanceTimersByTimeAsync(600_000);
    store.others = [member('d')];
    await beat();
    expect(ids(fleet.recentOthers)).toEqual(['d']);
  });

  test('who just vanished may be there when the memory goes away, and is counted among those that share', async () => {
    store.others = [member('b'), member('c')];
    await fleet.join();
    expect(fleet.mostMembers).toBe(3);
    store.others = [member('c')];
    await beat();
    expect(fleet.mostMembers).toBe(3);
    // However long the memory is away: nothing is heard meanwhile.
    store.isAway = true;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fleet.mostMembers).toBe(3);
    store.isAway = false;
    await beat();
    expect(fleet.mostMembers).toBe(2);
  });

  test('whose heartbeat was never heard is found once its lease was asked for', async () => {
    await fleet.join();
    store.silent = [member('b')];
    expect(fleet.find('b')).toBeUndefined();
    expect(await fleet.isLeased('b')).toBe(false);
    expect(fleet.find('b')).toEqual(member('b'));
    expect(fleet.isLive('b')).toBe(false);
    expect(await fleet.isLeased('c')).toBe(false);
    expect(fleet.find('c')).toBeUndefined();
  });

  test('who is about to stop gets nothing new, and is there all the same', async () => {
    store.others = [member('b', true), member('c')];
    await fleet.join();
    expect(ids(fleet.peers)).toEqual(['c']);
    expect(fleet.isLive('b')).toBe(true);
    await fleet.drain();
    expect(store.beats.at(-1)?.isDraining).toBe(true);
    expect(fleet.me.isDraining).toBe(true);
  });

  test('stays what was known last while the memory is away, and nobody is told anything', async () => {
    store.others = [member('b')];
    await fleet.join();
    told = [];
    store.isAway = true;
    for (let round = 0; round < 20; round += 1) await beat();
    expect(ids(fleet.members)).toEqual(['me', 'b']);
    expect(told).toEqual([]);
    await expect(fleet.leave()).resolves.toBeUndefined();
  });

  test('a replica that finds no memory is alone until there is one', async () => {
    store.isAway = true;
    await fleet.join();
    expect(ids(fleet.members)).toEqual(['me']);
    store.isAway = false;
    store.others = [member('b')];
    await beat();
    expect(ids(fleet.members)).toEqual(['me', 'b']);
  });
});

describe('a heartbeat', () => {
  test('is not sent before the last one is answered', async () => {
    await fleet.join();
    let answer = (): void => {};
    store.hanging = new Promise((resolve) => {
      answer = resolve;
    });
    const before = store.beats.length;
    for (let round = 0; round < 3; round += 1) await beat();
    expect(store.beats.length).toBe(before + 1);
    store.hanging = undefined;
    answer();
    await beat();
    expect(store.beats.length).toBe(before + 2);
  });

  test('ends with the replica', async () => {
    await fleet.join();
    await fleet.leave();
    const { length } = store.beats;
    await beat();
    expect(store.beats.length).toBe(length);
    expect(store.left).toEqual(['me']);
  });

  test('tells of policies, and of a memory that was emptied, but not the first time', async () => {
    store.policyVersion = 7;
    await fleet.join();
    expect(told).toEqual(['policies 7']);
    store.generation = 'second';
    await beat();
    expect(told).toEqual(['policies 7', 'memory lost', 'policies 7']);
    await beat();
    expect(told.filter((each) => each === 'memory lost').length).toBe(1);
  });
});

describe('a process that stood still', () => {
  test('for nearly as long as its lease asks whose its sessions are, once, before it does anything', async () => {
    await fleet.join();
    vi.setSystemTime(Date.now() + LEASE_MS - 100);
    fleet.checkAwake();
    fleet.checkAwake();
    expect(told.filter((each) => each === 'overslept')).toEqual(['overslept']);
    expect(doubtfulMs).toEqual([LEASE_MS - 100]);
  });

  test('for a moment has lost nothing', async () => {
    await fleet.join();
    vi.setSystemTime(Date.now() + HEARTBEAT_MS * 2);
    fleet.checkAwake();
    await beat();
    expect(told).not.toContain('overslept');
  });

  test('notices by its own clock, even when nobody asks', async () => {
    await fleet.join();
    vi.setSystemTime(Date.now() + LEASE_MS * 3);
    await beat();
    expect(told).toContain('overslept');
  });

  test('and one whose heartbeats did not arrive for the length of its lease has to ask as well', async () => {
    await fleet.join();
    store.isAway = true;
    for (let passed = 0; passed <= LEASE_MS; passed += HEARTBEAT_MS) await beat();
    expect(told).not.toContain('overslept');
    store.isAway = false;
    await beat();
    expect(told.filter((each) => each === 'overslept')).toEqual(['overslept']);
    expect(doubtfulMs[0]).toBeGreaterThan(LEASE_MS);
  });

  test('before it has joined, there is nothing to lose', () => {
    vi.setSystemTime(Date.now() + LEASE_MS * 3);
    fleet.checkAwake();
    expect(told).toEqual([]);
  });
});
