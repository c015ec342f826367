/** Sessions that come from another replica, or go to one. */
import { beforeEach, describe, expect, test } from 'vitest';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { SessionUnknownError, TooManySessionsError } from '../../../src/protocol/session-errors.js';
import type { DownstreamKind } from '../../../src/protocol/transport.js';
import { generateSealingKey, SessionIds } from '../../../src/session/session-id.js';
import { type ManagedSession, SessionManager } from '../../../src/session/session-manager.js';
import { SessionQuota } from '../../../src/session/session-quota.js';
import type { SessionRecord } from '../../../src/session/session-record.js';
import { ALICE } from '../gateway/support.js';

interface Fake extends ManagedSession {
  readonly endedFor: string[];
}

const TTL_MS = 60_000;
const OPTIONS = { resumeGraceMs: 1000, idleTimeoutMs: 5000, ttlMs: TTL_MS };

let nowMs: number;
let timers: TimerWheel;
let quota: SessionQuota;
let manager: SessionManager<Fake>;

beforeEach(() => {
  nowMs = 1_000_000;
  const clock = { now: () => nowMs, wallTimeMs: () => nowMs };
  timers = new TimerWheel(100, 64, clock);
  quota = new SessionQuota({ sessions: 3, sessionsPerPrincipal: 2 });
  manager = new SessionManager('sms', OPTIONS, {
    ids: new SessionIds([generateSealingKey()], 'r'),
    timers,
    clock,
    quota,
  });
});

function fake(record: SessionRecord): Fake {
  const endedFor: string[] = [];
  return { record, endedFor, idle: () => {}, ended: (reason) => endedFor.push(reason) };
}

const open = () => manager.open('streamable-http', ALICE, fake);
const adopt = (id: string, kind: DownstreamKind = 'streamable-http', openedAtMs = nowMs, epoch = 2) =>
  manager.adopt(id, kind, ALICE, { openedAtMs, epoch }, fake);

function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 100) {
    nowMs += 100;
    timers.advance();
  }
}

describe('a session that comes from another replica', () => {
  test('keeps its id, its beginning and its epoch', () => {
    const session = adopt('from elsewhere', 'streamable-http', nowMs - 500, 7);
    expect(manager.resolve('from elsewhere', 'streamable-http', ALICE)).toBe(session);
    expect(manager.holds('from elsewhere')).toBe(true);
    expect(session.record).toMatchObject({ openedAtMs: nowMs - 500, epoch: 7 });
  });

  test('one that begins here has the first epoch', () => {
    expect(open().record).toMatchObject({ epoch: 1, openedAtMs: nowMs });
  });

  test('lives as long as it would have lived there', () => {
    const session = adopt('a', 'streamable-http', nowMs - TTL_MS + 2000);
    pass(1800);
    expect(session.endedFor).toEqual([]);
    pass(400);
    expect(session.endedFor).toEqual(['it reached its greatest age']);
    expect(() => adopt('b', 'streamable-http', nowMs - TTL_MS)).toThrow(SessionUnknownError);
    expect(manager.size).toBe(0);
  });

  test('whose time is up takes no place', () => {
    expect(() => adopt('b', 'streamable-http', nowMs - TTL_MS)).toThrow(SessionUnknownError);
    open();
    open();
    expect(open).toThrow(TooManySessionsError);
  });

  test('is never refused for want of room, and takes its place all the same', () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) adopt(id);
    expect(manager.size).toBe(5);
    expect(open).toThrow();
    for (const session of [...manager.sessions].slice(0, 4)) manager.close(session, 'over');
    expect(open().record.id).not.toBe('e');
  });

  test('waits for its client for as long as one that was cut', () => {
    const session = adopt('a', 'sse');
    pass(OPTIONS.resumeGraceMs + 200);
    expect(session.endedFor).toEqual(['the client did not come back']);
  });
});

describe('a session that goes to another replica', () => {
  test('is forgotten, is not closed, and gives its place back, once', () => {
    const session = open();
    open();
    manager.handOver(session);
    manager.handOver(session);
    expect(session.endedFor).toEqual([]);
    expect(session.record.isClosed).toBe(true);
    expect(manager.holds(session.record.id)).toBe(false);
    open();
    expect(open).toThrow(TooManySessionsError);
    pass(TTL_MS + 1000);
    expect(session.endedFor).toEqual([]);
  });

  test('may come back', () => {
    const session = open();
    manager.handOver(session);
    const again = adopt(session.record.id);
    expect(manager.resolve(session.record.id, 'streamable-http', ALICE)).toBe(again);
    manager.close(session, 'late');
    expect(manager.holds(session.record.id)).toBe(true);
  });
});
