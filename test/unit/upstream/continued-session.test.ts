/** An upstream session that another replica opened and that goes on here, or the other way round. */
import { beforeEach, describe, expect, test } from 'vitest';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import type { Message } from '../../../src/protocol/message.js';
import { scanUpstream } from '../../../src/protocol/scan.js';
import type { Delivery, UpstreamError, UpstreamKind } from '../../../src/protocol/transport.js';
import type { UpstreamCall, UpstreamListener, UpstreamTransport } from '../../../src/upstream/transport.js';
import type { Upstream } from '../../../src/upstream/upstream.js';
import { UpstreamSession, type UpstreamSessionRecord } from '../../../src/upstream/upstream-session.js';

/** Answers every request at once, as a server would. */
class FakeTransport implements UpstreamTransport {
  readonly kind: UpstreamKind;
  readonly listener: UpstreamListener;
  /** What became of it, and what it was told, in order. */
  readonly log: string[] = [];
  sessionId: string | undefined;
  isSilent = false;

  constructor(kind: UpstreamKind, listener: UpstreamListener) {
    this.kind = kind;
    this.listener = listener;
  }

  async start(): Promise<void> {
    this.log.push('start');
  }

  send(message: Message, delivery: Delivery): UpstreamCall {
    this.log.push(message.method ?? 'response');
    const { id, method } = message;
    if (method === 'initialize' && this.kind === 'streamable-http') this.sessionId = 'opened here';
    queueMicrotask(() => {
      delivery.accepted();
      if (id === undefined || this.isSilent) return;
      const result = method === 'initialize' ? { protocolVersion: '2025-06-18' } : {};
      this.listener.onMessage(read({ jsonrpc: '2.0', id, result }), delivery);
    });
    return { pause: () => {}, resume: () => {}, abort: () => {} };
  }

  setProtocolVersion(version: string): void {
    this.log.push(`version ${version}`);
  }

  async openGeneralStream(): Promise<void> {
    this.log.push('general stream');
  }

  continueSession(id: string, version: string): void {
    this.sessionId = id;
    this.log.push(`continue ${id} ${version}`);
  }

  pause(): void {}

  resume(): void {}

  async close(): Promise<void> {
    this.log.push('close');
  }

  abandon(): void {
    this.log.push('abandon');
  }
}

class FakeUpstream {
  fingerprint = 'this server';
  kind: UpstreamKind | undefined;
  openSessions = 0;
  readonly transports: FakeTransport[] = [];
  readonly dependencies: { timers: TimerWheel };
  readonly options = { timeouts: { connectMs: 1000 } };

  constructor(timers: TimerWheel) {
    this.dependencies = { timers };
  }

  get candidates(): readonly UpstreamKind[] {
    return this.kind === undefined ? ['streamable-http', 'sse'] : [this.kind];
  }

  learnKind(kind: UpstreamKind): void {
    this.kind = kind;
  }

  connect(kind: UpstreamKind, listener: UpstreamListener): FakeTransport {
    const transport = new FakeTransport(kind, listener);
    this.transports.push(transport);
    return transport;
  }
}

const read = (message: object): Message => scanUpstream(Buffer.from(JSON.stringify(message))) as Message;
const request = (method: string, id: number, params: object = {}) => read({ jsonrpc: '2.0', id, method, params });
const INITIALIZE = request('initialize', 1, { protocolVersion: '2025-06-18' });
const SUBSCRIBE = request('resources/subscribe', 2, { uri: 'test://one' });

let upstream: FakeUpstream;
let answered: unknown[];
let failed: UpstreamError[];
let told: string[];

beforeEach(() => {
  upstream = new FakeUpstream(new TimerWheel(100, 64, { now: () => 0, wallTimeMs: () => 0 }));
  answered = [];
  failed = [];
  told = [];
});

function open(record?: UpstreamSessionRecord): UpstreamSession {
  const listener = {
    onMessage: (message: Message) => answered.push(message.id),
    onHeard: () => {},
    onLost: () => told.push('lost'),
    onInitialized: () => told.push('initialized'),
    onReestablished: () => told.push('reestablished'),
    onRecordChanged: () => told.push('changed'),
  };
  return new UpstreamSession(upstream as unknown as Upstream, listener, record);
}

const delivery: Delivery = { accepted: () => {}, primed: () => {}, failed: (error) => failed.push(error) };

function recordOf(kind: UpstreamKind, sessionId?: string): UpstreamSessionRecord {
  const handshake = { initialize: INITIALIZE.raw.toString(), state: [SUBSCRIBE.raw.toString()] };
  return { handshake, protocolVersion: '2025-06-18', kind, sessionId, server: 'this server' };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('a session that another replica opened', () => {
  test('goes on by its name, where it has one: nothing is said again', async () => {
    const session = open(recordOf('streamable-http', 'theirs'));
    expect(session.isInitialized).toBe(true);
    session.send(request('tools/list', 7), delivery);
    await settle();
    const [transport] = upstream.transports;
    expect(upstream.transports.length).toBe(1);
    expect(transport?.log[0]).toBe('continue theirs 2025-06-18');
    expect(transport?.log).toContain('tools/list');
    expect(transport?.log).toContain('general stream');
    expect(transport?.log).not.toContain('initialize');
    expect(answered).toEqual([7]);
    expect(told).not.toContain('reestablished');
    expect(session.record).toEqual(recordOf('streamable-http', 'theirs'));
  });

  test.each([
    ['HTTP+SSE', recordOf('sse')],
    ['Streamable HTTP without a name', recordOf('streamable-http')],
    ['HTTP+SSE, whatever it is named', recordOf('sse', 'a name')],
  ])('is opened anew with the first message, with all that was said: %s', async (_what, record) => {
    const session = open(record);
    expect(session.isInitialized).toBe(true);
    expect(upstream.transports).toEqual([]);
    session.send(request('tools/list', 7), delivery);
    await settle();
    const steps = ['initialize', 'notifications/initialized', 'resources/subscribe', 'tools/list'];
    expect(upstream.transports[0]?.log.filter((each) => steps.includes(each))).toEqual(steps);
    expect(answered).toEqual([7]);
    expect(told).toContain('reestablished');
    expect(told).toContain('changed');
    expect(upstream.kind).toBe(record.kind);
  });

  test('is opened anew where the route leads to another server now, and its name is told to nobody', async () => {
    upstream.fingerprint = 'another server';
    const session = open(recordOf('streamable-http', 'theirs'));
    expect(session.isInitialized).toBe(true);
    // How the former server was spoken to says nothing about this one.
    expect(upstream.kind).toBeUndefined();
    session.send(request('tools/list', 7), delivery);
    await settle();
    expect(upstream.transports.flatMap(({ log }) => log).join()).not.toContain('theirs');
    expect(upstream.transports.flatMap(({ log }) => log)).toContain('initialize');
    expect(answered).toEqual([7]);
    expect(told).toContain('reestablished');
    expect(session.record).toMatchObject({ sessionId: 'opened here', server: 'another server' });
  });

  test('is opened anew once for all messages that wait', async () => {
    const session = open(recordOf('sse'));
    for (const id of [7, 8, 9]) session.send(request('tools/list', id), delivery);
    await settle();
    expect(upstream.transports.length).toBe(1);
    expect(answered).toEqual([7, 8, 9]);
  });

  test('its server has forgotten is opened anew with the next message', async () => {
    const session = open(recordOf('streamable-http', 'theirs'));
    const [first] = upstream.transports;
    const error = Object.assign(new Error('gone'), { executed: 'no', code: 'X' });
    session.onLost(error as unknown as UpstreamError);
    session.send(request('tools/list', 7), delivery);
    await settle();
    expect(upstream.transports.length).toBe(2);
    expect(first?.log).not.toContain('tools/list');
    expect(session.record?.sessionId).toBe('opened here');
    expect(answered).toEqual([7]);
  });
});

describe('the record of a session', () => {
  async function opened(): Promise<UpstreamSession> {
    const session = open();
    session.send(INITIALIZE, delivery);
    await settle();
    session.send(read({ jsonrpc: '2.0', method: 'notifications/initialized' }), delivery);
    await settle();
    return session;
  }

  test('does not exist before the server has accepted it', async () => {
    const session = open();
    expect(session.record).toBeUndefined();
    session.send(INITIALIZE, delivery);
    expect(session.record).toBeUndefined();
    await settle();
    expect(session.record).toMatchObject({ kind: 'streamable-http', sessionId: 'opened here' });
  });

  test('is told to be another one when the client changes what has to be said again', async () => {
    const session = await opened();
    told = [];
    session.send(SUBSCRIBE, delivery);
    session.send(request('tools/list', 8), delivery);
    await settle();
    expect(told).toEqual(['changed']);
    expect(session.record?.handshake.state).toEqual([SUBSCRIBE.raw.toString()]);
  });

  test('names no session that was parked: whoever goes on opens a new one', async () => {
    const session = await opened();
    told = [];
    await session.park();
    expect(told).toEqual(['changed']);
    expect(session.record).toMatchObject({ kind: 'streamable-http', sessionId: undefined });
  });
});

describe('a session that another replica goes on with', () => {
  test('is let go of and not ended', async () => {
    const session = open(recordOf('streamable-http', 'theirs'));
    session.abandon();
    session.abandon();
    await session.close();
    expect(upstream.transports[0]?.log.filter((each) => each === 'abandon' || each === 'close')).toEqual(['abandon']);
    expect(upstream.openSessions).toBe(0);
    expect(session.isInitialized).toBe(false);
  });

  test('sends nothing more: what still waited and what comes later was not executed', async () => {
    const session = open(recordOf('sse'));
    session.send(request('tools/list', 7), delivery);
    session.abandon();
    session.send(request('tools/list', 8), delivery);
    await settle();
    expect(failed.map(({ executed }) => executed)).toEqual(['no', 'no']);
    expect(upstream.transports[0]?.log).not.toContain('tools/list');
    expect(told).not.toContain('lost');
  });
});
