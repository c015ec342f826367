import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Fleet, type Heartbeat, type Member } from '../../../../src/cluster/fleet.js';
import { TimerWheel } from '../../../../src/core/timer-wheel.js';
import type { Endpoint, EndpointKind } from '../../../../src/downstream/endpoints.js';
import type { HttpExchange } from '../../../../src/downstream/http-exchange.js';
import { Fence } from '../../../../src/gateway/replicas/fence.js';
import type { ForwardOutcome, Passage, Peers } from '../../../../src/gateway/replicas/peers.js';
import { sessionKey } from '../../../../src/gateway/replicas/session-copies.js';
import { Flag, SessionFinder } from '../../../../src/gateway/replicas/session-finder.js';
import { encodeState } from '../../../../src/gateway/replicas/session-state.js';
import { Takeover } from '../../../../src/gateway/replicas/takeover.js';
import { generateSealingKey, replicaHash, SessionIds } from '../../../../src/session/session-id.js';
import { MemoryDirectory, MemoryJournals, testSealer } from '../../../helpers/memory-replication.js';
import { RecordingLogger } from '../../../helpers/start-gateway.js';
import { ALICE, FakeResponse } from '../support.js';

/** Pauses take one turn here, and the clock goes on by them. */
const time = { nowMs: 0 };
async function pause(ms: number): Promise<void> {
  time.nowMs += ms;
  await new Promise((resolve) => setImmediate(resolve));
}

const PREFIX = 'sumit';
const CALL = { jsonrpc: '2.0', id: 'call', method: 'tools/call', params: { name: 'a' } };
const sealer = testSealer();
const sealingKey = generateSealingKey();
const clock = { now: () => time.nowMs, wallTimeMs: () => time.nowMs };

const member = (id: string): Member => ({
  id,
  hash: replicaHash(id),
  address: `http://${id}`,
  version: '1',
  isDraining: false,
});

let held: Set<string>;
let live: Member[];
let fleet: Fleet;
let directory: MemoryDirectory;
let timers: TimerWheel;
let fence: Fence;
let forwards: { to: string; flags: Readonly<Record<string, string>> }[];
let outcomes: Map<string, ForwardOutcome[]>;
let served: HttpExchange[];
let answering: Set<string>;
/** Whose last heartbeat is younger than the lease, though `me` has not heard of it. */
let leased: Set<string>;
/** Were asked, and did not answer. */
let silent: Set<string>;
let awayMs: number;
let isYoung: boolean;
let isDraining: boolean;
let isUnsendable: boolean;
let finder: SessionFinder;

beforeEach(async () => {
  time.nowMs = 100_000;
  held = new Set();
  live = [member('b'), member('c')];
  forwards = [];
  outcomes = new Map();
  served = [];
  answering = new Set();
  leased = new Set();
  silent = new Set();
  awayMs = 0;
  isYoung = false;
  isDraining = false;
  isUnsendable = false;
  timers = new TimerWheel(100, 64, clock);
  fence = new Fence(() => {}, timers);
  const logger = new RecordingLogger();
  const journals = new MemoryJournals();
  directory = new MemoryDirectory('me', new Map(), journals);
  const heartbeats = {
    beat: async (me: Member): Promise<Heartbeat> => ({
      members: [me, ...live],
      policyVersion: 0,
      generation: '',
      timeMs: 0,
    }),
    leave: async () => {},
    leaseOf: async (id: string) => ({
      isHeld: leased.has(id) || live.some((each) => each.id === id),
      member: undefined,
    }),
  };
  const deaf = { policyVersion: () => {}, vanished: () => {}, overslept: () => {}, memoryLost: () => {} };
  fleet = new Fleet(member('me'), heartbeats, clock, logger, deaf);
  await fleet.join();
  const takeover = new Takeover({
    directory,
    journals,
    sealer,
    fleet,
    clock,
    logger,
    mayTake: () => !isYoung,
    isThere: async (id) => answering.has(id),
    serves: () => true,
    goOn: (_prefix, id) => held.add(id),
    onTaken: () => {},
  });
  const peers = {
    forward: ({ id }: Member, { flags = {} }: Passage, onOutcome: (outcome: ForwardOutcome) => void) => {
      if (isUnsendable) throw new TypeError('illegal request path');
      forwards.push({ to: id, flags });
      const outcome = outcomes.get(id)?.shift() ?? 'answered';
      queueMicrotask(() => onOutcome(outcome));
    },
  };
  finder = new SessionFinder({
    ids: new SessionIds([sealingKey], 'me'),
    fleet,
    directory,
    takeover,
    peers: peers as unknown as Peers,
    fence,
    clock,
    pause,
    logger,
    maxBodyBytes: () => 1000,
    memoryAwayMs: () => awayMs,
    isMemoryYoung: () => isYoung,
    isDraining: () => isDraining,
    isSilent: (id) => silent.has(id),
    serveHere: (_endpoint, exchange) => served.push(exchange),
    onForwarded: () => {},
  });
});
afterEach(() => fleet.leave());

/** @param replica Who minted it. */
function mint(replica: string, principal = 'alice', prefix = PREFIX): string {
  return new SessionIds([sealingKey], replica).mint(prefix, principal);
}

function endpoint(kind: EndpointKind = 'mcp'): Endpoint {
  return { kind, door: { prefix: PREFIX, holds: (id: string) => held.has(id) } } as unknown as Endpoint;
}

interface Asked {
  readonly isTaken: boolean;
  readonly response: FakeResponse;
}

function ask(id: string | undefined, method = 'POST', kind: EndpointKind = 'mcp'): Asked {
  const response = new FakeResponse();
  const headers = kind === 'sse' ? { 'last-event-id': `${id}.7` } : { 'mcp-session-id': id };
  const exchange: HttpExchange = {
    request: { method, headers: id === undefined ? {} : headers } as unknown as IncomingMessage,
    response: response as unknown as ServerResponse,
    query: '',
    caller: { principal: ALICE, ip: '', headers: {} },
    headers: [],
    publicPrefix: `/${PREFIX}`,
    ...(method === 'POST' ? { body: Buffer.from(JSON.stringify(CALL)) } : {}),
  };
  return { isTaken: finder.takes(endpoint(kind), exchange), response };
}

/** Until everything that can happen by itself has happened. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Also what takes many pauses. */
async function settleLong(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await settle();
}

async function vanish(id: string): Promise<void> {
  live = live.filter((each) => each.id !== id);
  // A heartbeat, without waiting for one.
  await fleet.join();
}

function store(id: string, owner: string): void {
  const upstream = {
    handshake: { initialize: '', state: [] },
    protocolVersion: '',
    kind: 'sse',
    sessionId: undefined,
    server: 's',
  } as const;
  const state = encodeState({ kind: 'streamable-http', openedAtMs: 0, client: undefined, upstream });
  const key = sessionKey(id);
  directory.sessions.set(key, { owner, epoch: 1, state: sealer.seal(state, key) });
}

const to = () => forwards.map((forward) => forward.to);
const asked = () => directory.log.filter((each) => each.startsWith('load')).length;

describe('a session that is here', () => {
  test('is served here, and nobody is asked', () => {
    const id = mint('b');
    held.add(id);
    expect(ask(id).isTaken).toBe(true);
    expect(served.length).toBe(1);
    expect(forwards).toEqual([]);
    expect(directory.log).toEqual([]);
  });

  test('waits for the fence, and is looked for when it was lost meanwhile', async () => {
    const [stays, goes] = [mint('me'), mint('me')];
    held.add(stays).add(goes);
    store(goes, 'b');
    fence.shut();
    ask(stays);
    ask(goes);
    await settle();
    expect(served).toEqual([]);
    held.delete(goes);
    fence.open();
    await settle();
    expect(served.length).toBe(1);
    expect(to()).toEqual(['b']);
  });

  test('is not waited for when the fence stays shut: a message is refused after 5 s', async () => {
    const id = mint('me');
    held.add(id);
    fence.shut();
    const { response } = ask(id);
    time.nowMs += 4900;
    timers.advance();
    expect(response.status).toBeUndefined();
    time.nowMs += 300;
    timers.advance();
    expect(response.status).toBe(503);
    expect(JSON.parse(response.body)).toMatchObject({ error: { code: 1503 } });
    fence.open();
    await settle();
    expect(served).toEqual([]);
  });

  test('is waited for on its stream, which begins at once, and ends when that takes too long', async () => {
    const id = mint('me');
    held.add(id);
    fence.shut();
    const [resumed, listening] = [ask(id, 'GET', 'sse'), ask(id, 'GET')];
    await settle();
    expect([resumed.response.status, listening.response.status]).toEqual([200, 200]);
    expect(resumed.response.body).toContain('event: endpoint');
    await settleLong();
    expect(served).toEqual([]);
    expect([resumed.response.isEnded, listening.response.isEnded]).toEqual([true, true]);
  });

  test('of another caller is unknown also while the fence is shut', () => {
    const id = mint('me', 'bob');
    held.add(id);
    fence.shut();
    expect(ask(id).isTaken).toBe(false);
  });

  test('and leaves while the request is read: the request follows it, once it may', async () => {
    const id = mint('me');
    held.add(id);
    ask(id);
    let leave = (): void => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    served[0]?.onMoved?.(Buffer.from(JSON.stringify(CALL)), left);
    await settle();
    expect(forwards).toEqual([]);
    held.delete(id);
    store(id, 'c');
    leave();
    await settle();
    expect(to()).toEqual(['c']);
    expect(served.length).toBe(1);
  });

  test('and does not leave: it is not looked for again and again', async () => {
    const id = mint('me');
    held.add(id);
    ask(id);
    served[0]?.onMoved?.(Buffer.from(JSON.stringify(CALL)), Promise.resolve());
    await settle();
    expect(served.length).toBe(2);
    expect(served[1]?.onMoved).toBeUndefined();
  });
});

describe('nobody is asked about', () => {
  test('an id that is forged, another caller’s or another route’s', async () => {
    for (const id of ['forged', mint('b', 'bob'), mint('b', 'alice', 'other'), `${mint('b').slice(0, -3)}AAA`]) {
      expect(ask(id).isTaken).toBe(false);
    }
    await settle();
    expect(forwards).toEqual([]);
    expect(directory.log).toEqual([]);
  });

  test('a request that names no session', () => {
    expect(ask(undefined).isTaken).toBe(false);
  });
});

describe('a session of another replica', () => {
  test('is found by its id alone', async () => {
    ask(mint('b'));
    await settle();
    expect(to()).toEqual(['b']);
    expect(directory.log).toEqual([]);
  });

  test('at one that is about to stop is looked up: it may have left already', async () => {
    const id = mint('b');
    live = [{ ...member('b'), isDraining: true }, member('c')];
    await fleet.join();
    store(id, 'c');
    ask(id);
    await settle();
    expect(to()).toEqual(['c']);
    const staying = mint('b');
    store(staying, 'b');
    ask(staying);
    await settle();
    expect(to()).toEqual(['c', 'b']);
  });

  test('that went on elsewhere is looked up once, and found at once from then on', async () => {
    const id = mint('b');
    store(id, 'c');
    outcomes.set('b', ['not-owner']);
    ask(id);
    await settle();
    expect(to()).toEqual(['b', 'c']);
    ask(id);
    await settle();
    expect(to()).toEqual(['b', 'c', 'c']);
    expect(asked()).toBe(1);
  });

  test('that nobody has written down does not exist, and the answer to that is given here', async () => {
    const id = mint('b');
    outcomes.set('b', ['not-owner']);
    ask(id);
    await settle();
    expect(served.length).toBe(1);
  });

  test('is not passed on twice to one that says it is not there, without a pause', async () => {
    const id = mint('b');
    store(id, 'b');
    outcomes.set('b', ['not-owner', 'not-owner', 'not-owner']);
    ask(id);
    await settle();
    await settle();
    expect(to()).toEqual(['b', 'b', 'b', 'b']);
    expect(time.nowMs).toBeGreaterThanOrEqual(100_000 + 3 * 40);
  });

  test('whose request was lost on the way: answered once, never sent again', async () => {
    const id = mint('b');
    outcomes.set('b', ['lost']);
    const { response } = ask(id);
    await settleLong();
    expect(to()).toEqual(['b']);
    expect(response.status).toBe(200);
    expect(JSON.parse(response.body)).toMatchObject({
      id: 'call',
      result: { isError: true, _meta: { 'mcp-gateway/error': { executed: 'unknown' } } },
    });
  });

  test('whose stream was lost before it began: that can be asked for again', async () => {
    const id = mint('b');
    store(id, 'c');
    outcomes.set('b', ['lost']);
    ask(id, 'GET');
    await settle();
    expect(to()).toEqual(['b', 'c']);
  });
});

describe('a message that is still being read', () => {
  /** Sends the head alone. @returns what the client goes on with */
  function askSlowly(id: string): { readonly body: EventEmitter; readonly response: FakeResponse } {
    const body = Object.assign(new EventEmitter(), { method: 'POST', headers: { 'mcp-session-id': id } });
    const response = new FakeResponse();
    const exchange: HttpExchange = {
      request: Object.assign(body, { resume: () => {} }) as unknown as IncomingMessage,
      response: response as unknown as ServerResponse,
      query: '',
      caller: { principal: ALICE, ip: '', headers: {} },
      headers: [],
      publicPrefix: `/${PREFIX}`,
    };
    expect(finder.takes(endpoint(), exchange)).toBe(true);
    return { body, response };
  }

  test('counts as one that looks for its session, and is passed on when it is whole', async () => {
    const { body } = askSlowly(mint('b'));
    await settle();
    expect(finder.searching).toBe(1);
    expect(to()).toEqual([]);
    body.emit('data', Buffer.from('{}'));
    body.emit('end');
    await settle();
    expect(finder.searching).toBe(0);
    expect(to()).toEqual(['b']);
  });

  test('of a client that goes away before its end is forgotten', async () => {
    const { response } = askSlowly(mint('b'));
    response.destroy();
    await settle();
    expect(finder.searching).toBe(0);
    expect(to()).toEqual([]);
  });

  test('and is larger than it may be is refused, once', async () => {
    const { body, response } = askSlowly(mint('b'));
    body.emit('data', Buffer.alloc(1001));
    body.emit('end');
    response.emit('close');
    await settle();
    expect(response.status).toBe(413);
    expect(finder.searching).toBe(0);
    expect(to()).toEqual([]);
  });
});

test('a message that cannot be passed on is refused', async () => {
  isUnsendable = true;
  const { response } = ask(mint('b'));
  await settle();
  expect(response.status).toBe(500);
  expect(finder.searching).toBe(0);
});

describe('a session whose owner is gone', () => {
  test('is taken, once for all who wait, and served here', async () => {
    await vanish('b');
    const id = mint('b');
    store(id, 'b');
    for (let index = 0; index < 10; index += 1) ask(id);
    await settle();
    expect(served.length).toBe(10);
    expect(forwards).toEqual([]);
    expect(directory.log.filter((each) => each.startsWith('take')).length).toBe(1);
    expect(asked()).toBe(1);
  });

  test('is taken as soon as its lease is over, although its heartbeats were heard until just now', async () => {
    const id = mint('b');
    store(id, 'b');
    outcomes.set('b', ['not-sent']);
    live = [member('c')];
    ask(id);
    await settle();
    expect(to()).toEqual(['b']);
    expect(served.length).toBe(1);
  });

  test('is not taken while its listener answers, however long its heartbeats are missing: it gets the request', async () => {
    await vanish('b');
    answering.add('b');
    const id = mint('b');
    store(id, 'b');
    ask(id);
    await settle();
    expect(to()).toEqual(['b']);
    expect(served).toEqual([]);
    expect(directory.sessions.get(sessionKey(id))?.owner).toBe('b');
  });

  test('is taken at once when it was let go of', async () => {
    const id = mint('b');
    store(id, '');
    outcomes.set('b', ['not-owner']);
    ask(id);
    await settle();
    expect(served.length).toBe(1);
  });

  test('is not taken while its lease holds: a message waits 5 s and is told to come back', async () => {
    await vanish('b');
    leased.add('b');
    const id = mint('b');
    store(id, 'b');
    const { response } = ask(id);
    await settleLong();
    expect(response.status).toBe(503);
    expect(time.nowMs - 100_000).toBeGreaterThan(5000);
    expect(time.nowMs - 100_000).toBeLessThan(6000);
    expect(served).toEqual([]);
    expect(directory.sessions.get(sessionKey(id))?.owner).toBe('b');
  });

  test.each(['mcp', 'sse'] as const)('lets a stream begin at once, and wait (%s)', async (kind) => {
    await vanish('b');
    leased.add('b');
    const id = mint('b');
    store(id, 'b');
    const { response } = ask(id, 'GET', kind);
    await settle();
    expect(response.status).toBe(200);
    expect(response.isEnded).toBe(false);
    if (kind === 'sse') expect(response.body).toContain(`event: endpoint\ndata: /sumit/messages?sessionId=${id}\n`);
    leased.delete('b');
    await settleLong();
    expect(served.length).toBe(1);
    expect(served[0]?.isAnswerOpen).toBe(true);
  });

  test('is no longer looked for when the client is gone', async () => {
    await vanish('b');
    leased.add('b');
    const id = mint('b');
    store(id, 'b');
    const { response } = ask(id, 'GET');
    await settle();
    response.destroy();
    await settle();
    const before = asked();
    await settleLong();
    expect(asked()).toBe(before);
  });
});

describe('while the shared memory is away', () => {
  test('sessions are found by their ids, also of replicas that were not heard of lately', async () => {
    await vanish('b');
    awayMs = 10_000;
    ask(mint('b'));
    await settle();
    expect(to()).toEqual(['b']);
  });

  test('nothing is passed on to a replica that was asked and did not answer', async () => {
    awayMs = 10_000;
    silent.add('b');
    const { response } = ask(mint('b'));
    await settle();
    expect(response.status).toBe(503);
    expect(to()).toEqual([]);
    silent.clear();
    ask(mint('b'));
    await settle();
    expect(to()).toEqual(['b']);
  });

  test('nobody waits for what only it could tell', async () => {
    awayMs = 10_000;
    outcomes.set('b', ['not-owner']);
    const { response } = ask(mint('b'));
    await settle();
    expect(response.status).toBe(503);
    expect(directory.log).toEqual([]);
  });

  test('a hiccup of it is waited for', async () => {
    awayMs = 100;
    const id = mint('b');
    store(id, 'c');
    outcomes.set(
      'b',
      Array.from({ length: 100 }, () => 'not-owner' as const),
    );
    ask(id);
    await settle();
    expect(new Set(to())).toEqual(new Set(['b']));
    expect(directory.log).toEqual([]);
    awayMs = 0;
    await settle();
    expect(to().at(-1)).toBe('c');
    expect(served).toEqual([]);
  });

  test('a question that fails is put again', async () => {
    const id = mint('me');
    store(id, 'c');
    directory.isAway = true;
    ask(id);
    await settle();
    expect(forwards).toEqual([]);
    directory.isAway = false;
    await settleLong();
    expect(to()).toEqual(['c']);
  });
});

describe('a replica that is about to stop', () => {
  beforeEach(() => {
    isDraining = true;
  });

  test('has new sessions opened by others, in turn', async () => {
    for (let index = 0; index < 4; index += 1) expect(ask(undefined).isTaken).toBe(true);
    await settle();
    expect(to().toSorted()).toEqual(['b', 'b', 'c', 'c']);
    expect(forwards.every(({ flags }) => flags[Flag.open] === '1')).toBe(true);
  });

  test('answers itself when no other will', async () => {
    outcomes.set('b', ['not-owner']).set('c', ['not-sent']);
    ask(undefined);
    await settle();
    expect(to().toSorted()).toEqual(['b', 'c']);
    expect(served.length).toBe(1);
  });

  test('takes no session, but has another take it', async () => {
    const id = mint('me');
    store(id, '');
    ask(id);
    await settle();
    expect(forwards.length).toBe(1);
    expect(forwards[0]?.flags[Flag.take]).toBe('1');
    expect(directory.log.some((each) => each.startsWith('take'))).toBe(false);
  });

  test('without others, it answers itself', async () => {
    await vanish('b');
    await vanish('c');
    expect(ask(undefined).isTaken).toBe(false);
  });
});

describe('for a request that was passed on', () => {
  const passedOn = (id: string): HttpExchange =>
    ({
      request: { method: 'POST', headers: { 'mcp-session-id': id } },
      response: new FakeResponse(),
      caller: { principal: ALICE },
    }) as unknown as HttpExchange;

  test('a session is taken only when it was let go of', async () => {
    const [free, owned, unknown] = [mint('b'), mint('b'), mint('b')];
    store(free, '');
    store(owned, 'b');
    expect(await finder.takeFor(endpoint(), passedOn(free))).toBe(true);
    expect(await finder.takeFor(endpoint(), passedOn(owned))).toBe(false);
    expect(await finder.takeFor(endpoint(), passedOn(unknown))).toBe(false);
    expect(await finder.takeFor(endpoint(), passedOn('forged'))).toBe(false);
    expect(held).toEqual(new Set([free]));
    expect(forwards).toEqual([]);
  });
});
