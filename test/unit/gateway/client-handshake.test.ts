/** What a client may do before its handshake, and what is done for one that will not make it. */
import { beforeEach, describe, expect, test } from 'vitest';
import { ClientHandshake } from '../../../src/gateway/client-handshake.js';
import type { OtherSession } from '../../../src/gateway/returning-client.js';
import { SessionProtocolError } from '../../../src/protocol/session-errors.js';
import type { DownstreamKind } from '../../../src/protocol/transport.js';
import { SessionRecord } from '../../../src/session/session-record.js';
import type { UpstreamSessionRecord } from '../../../src/upstream/upstream-session.js';
import { ALICE, requestOf } from './support.js';

const PING = requestOf('ping');
const CALL = requestOf('tools/call', { id: 'call', params: { name: 'echo' } });
const INITIALIZE = requestOf('initialize', { params: { clientInfo: { name: 'test', version: '1' } } });

/** What happened, in order. */
let log: string[];
let server: {
  isInitialized: boolean;
  continued: UpstreamSessionRecord[];
  continue(record: UpstreamSessionRecord): void;
};
let others: OtherSession[];

beforeEach(() => {
  log = [];
  others = [];
  server = {
    isInitialized: false,
    continued: [],
    continue(record) {
      this.continued.push(record);
      this.isInitialized = true;
    },
  };
});

function handshakeOf(kind: DownstreamKind): ClientHandshake {
  const route = {
    upstream: { candidates: ['sse', 'streamable-http'] as const, fingerprint: 'this server' },
    sessions: { sessions: others },
    stateless: { doubt: () => void log.push('doubt') },
  };
  const session = {
    record: recordOf(kind),
    onInitialized: (version: string) => void log.push(`initialized ${version}`),
    close: (reason: string) => void log.push(`closed: ${reason}`),
  };
  return new ClientHandshake(route, session, server, undefined);
}

function recordOf(kind: DownstreamKind): SessionRecord {
  return new SessionRecord('id', kind, ALICE, 0, { openedAtMs: 0, epoch: 1 });
}

function refusalOf(act: () => void): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Closing waits until the answer is out. */
const theNextTurn = () => new Promise(setImmediate);

const NOT_INITIALIZED = { message: 'the session is not initialized' };
const INITIALIZED_ALREADY = { message: 'this session is initialized already' };
const NEVER_INITIALIZED = 'closed: it was never initialized';

describe('before the handshake', () => {
  test('a ping needs no server, and `initialize` goes on', () => {
    const handshake = handshakeOf('sse');
    expect(handshake.needsNoServer(PING)).toBe(true);
    expect(handshake.needsNoServer(INITIALIZE)).toBe(false);
    expect(refusalOf(() => handshake.expectFirst(INITIALIZE))).toBeUndefined();
  });

  test('everything else is refused, under its own id', () => {
    const handshake = handshakeOf('sse');
    const refusal = refusalOf(() => handshake.needsNoServer(CALL));
    expect(refusal).toBeInstanceOf(SessionProtocolError);
    expect(refusal).toMatchObject({ ...NOT_INITIALIZED, id: 'call' });
    expect(refusalOf(() => handshake.expectMade())).toMatchObject(NOT_INITIALIZED);
  });
});

describe('while it is under way', () => {
  test('nothing else may come, and no other handshake', () => {
    const handshake = handshakeOf('sse');
    handshake.began();
    expect(refusalOf(() => handshake.needsNoServer(CALL))).toMatchObject(NOT_INITIALIZED);
    expect(refusalOf(() => handshake.needsNoServer(INITIALIZE))).toMatchObject(NOT_INITIALIZED);
    expect(refusalOf(() => handshake.expectFirst(INITIALIZE))).toMatchObject(INITIALIZED_ALREADY);
    expect(handshake.needsNoServer(PING)).toBe(true);
  });

  test('a client that came back is not taken for one that makes none', () => {
    const handshake = handshakeOf('sse');
    handshake.returns('2025-06-18');
    handshake.began();
    expect(refusalOf(() => handshake.needsNoServer(CALL))).toMatchObject(NOT_INITIALIZED);
    expect(server.continued).toEqual([]);
  });
});

describe('once the server has accepted it', () => {
  test('everything passes but another one, and the session stays', async () => {
    const handshake = handshakeOf('streamable-http');
    handshake.began();
    server.isInitialized = true;
    handshake.settled('ok');
    await theNextTurn();
    expect(handshake.needsNoServer(PING)).toBe(false);
    expect(handshake.needsNoServer(CALL)).toBe(false);
    expect(refusalOf(() => handshake.expectMade())).toBeUndefined();
    expect(refusalOf(() => handshake.expectFirst(INITIALIZE))).toMatchObject(INITIALIZED_ALREADY);
    expect(log).toEqual([]);
  });
});

describe('refused by the server, it', () => {
  test('casts doubt on what is known of the server, and ends a session whose id nobody has', async () => {
    const handshake = handshakeOf('streamable-http');
    handshake.began();
    handshake.settled('error');
    expect(log).toEqual(['doubt']);
    await theNextTurn();
    expect(log).toEqual(['doubt', NEVER_INITIALIZED]);
  });

  test('casts no doubt when the server could not be asked', async () => {
    const handshake = handshakeOf('streamable-http');
    handshake.began();
    handshake.settled('upstream_failed');
    await theNextTurn();
    expect(log).toEqual([NEVER_INITIALIZED]);
  });

  test('may be tried again over HTTP+SSE, where the client has the id', async () => {
    const handshake = handshakeOf('sse');
    handshake.began();
    handshake.settled('timeout');
    await theNextTurn();
    expect(log).toEqual([]);
    expect(handshake.needsNoServer(INITIALIZE)).toBe(false);
    expect(refusalOf(() => handshake.expectFirst(INITIALIZE))).toBeUndefined();
  });
});

describe('for a client that came back', () => {
  test('it is made before its first request, once, in the revision it speaks', () => {
    const handshake = handshakeOf('sse');
    handshake.returns('2025-06-18');
    expect(handshake.needsNoServer(CALL)).toBe(false);
    expect(handshake.needsNoServer(CALL)).toBe(false);
    expect(server.continued).toMatchObject([
      { kind: 'sse', protocolVersion: '2025-06-18', sessionId: undefined, server: 'this server' },
    ]);
    const { initialize = '', state } = server.continued[0]?.handshake ?? {};
    expect(JSON.parse(initialize)).toMatchObject({ method: 'initialize', params: { protocolVersion: '2025-06-18' } });
    expect(state).toEqual([]);
    expect(log).toEqual(['initialized 2025-06-18']);
  });

  test('it is made before its first notification too', () => {
    const handshake = handshakeOf('sse');
    handshake.returns('2025-06-18');
    handshake.expectMade();
    expect(log).toEqual(['initialized 2025-06-18']);
  });

  test('it is the one of the session that this caller lost', () => {
    const upstream = {
      handshake: { initialize: 'as the client said it', state: ['set in that session'] },
      protocolVersion: '2025-03-26',
      kind: 'sse',
      sessionId: undefined,
      server: 'this server',
    } as const;
    others.push({
      record: recordOf('sse'),
      streams: { hasGeneralConnection: false },
      state: { kind: 'sse', openedAtMs: 0, client: undefined, upstream },
    });
    const handshake = handshakeOf('sse');
    handshake.returns('2025-06-18');
    handshake.expectMade();
    expect(server.continued[0]?.handshake).toEqual({ initialize: 'as the client said it', state: [] });
  });

  test('it is its own where it makes one after all', () => {
    const handshake = handshakeOf('sse');
    handshake.returns('2025-06-18');
    expect(handshake.needsNoServer(INITIALIZE)).toBe(false);
    expect(refusalOf(() => handshake.expectFirst(INITIALIZE))).toBeUndefined();
    expect(server.continued).toEqual([]);
  });
});

test('what a client says of itself is known once it was asked for', () => {
  const handshake = handshakeOf('sse');
  expect(handshake.client).toBeUndefined();
  handshake.introduced(INITIALIZE);
  expect(handshake.client).toEqual({ name: 'test', version: '1' });
});
