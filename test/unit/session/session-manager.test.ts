import { beforeEach, describe, expect, test } from 'vitest';
import type { Principal } from '../../../src/auth/principal.js';
import type { Clock } from '../../../src/core/clock.js';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { OverloadedError, SessionUnknownError, TooManySessionsError } from '../../../src/protocol/session-errors.js';
import type { DownstreamKind } from '../../../src/protocol/transport.js';
import { generateSealingKey, SessionIds } from '../../../src/session/session-id.js';
import { type ManagedSession, SessionManager } from '../../../src/session/session-manager.js';
import { SessionQuota } from '../../../src/session/session-quota.js';
import type { SessionRecord } from '../../../src/session/session-record.js';

class FakeSession implements ManagedSession {
  readonly record: SessionRecord;
  idleCount = 0;
  readonly endedFor: string[] = [];

  constructor(record: SessionRecord) {
    this.record = record;
  }

  idle(): void {
    this.idleCount += 1;
  }

  ended(reason: string): void {
    this.endedFor.push(reason);
  }
}

const OPTIONS = { resumeGraceMs: 1000, idleTimeoutMs: 5000, ttlMs: 60_000 };
const ALICE: Principal = {
  id: 'alice',
  kind: 'api-key',
  role: undefined,
  tenant: undefined,
  claims: {},
  expiresAtMs: undefined,
};
const BOB: Principal = { ...ALICE, id: 'bob' };
const ANONYMOUS: Principal = { ...ALICE, id: 'anonymous', kind: 'anonymous' };

let nowMs: number;
let timers: TimerWheel;
let manager: SessionManager<FakeSession>;

beforeEach(() => {
  nowMs = 0;
  const clock: Clock = { now: () => nowMs, wallTimeMs: () => nowMs };
  timers = new TimerWheel(100, 64, clock);
  const quota = new SessionQuota({ sessions: 3, sessionsPerPrincipal: 2 });
  manager = new SessionManager('sms', OPTIONS, {
    ids: new SessionIds([generateSealingKey()], 'r'),
    timers,
    clock,
    quota,
  });
});

function open(kind: DownstreamKind = 'streamable-http', principal = ALICE): FakeSession {
  return manager.open(kind, principal, (record) => new FakeSession(record));
}

function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 100) {
    nowMs += 100;
    timers.advance();
  }
}

describe('a session is found', () => {
  test('by its own caller, on its own transport', () => {
    const session = open();
    expect(manager.resolve(session.record.id, 'streamable-http', ALICE)).toBe(session);
  });

  test('by nobody else, and the refusal is the same for all', () => {
    const { id } = open().record;
    expect(() => manager.resolve(id, 'sse', ALICE)).toThrow(SessionUnknownError);
    expect(() => manager.resolve(id, 'streamable-http', BOB)).toThrow(SessionUnknownError);
    expect(() => manager.resolve(`${id}x`, 'streamable-http', ALICE)).toThrow(SessionUnknownError);
    expect(() => manager.resolve('__proto__', 'streamable-http', ALICE)).toThrow(SessionUnknownError);
  });
});

describe('a session ends', () => {
  test('at its greatest age, used or not', () => {
    const session = open();
    for (let minute = 0; minute < 59; minute += 1) {
      pass(1000);
      manager.resolve(session.record.id, 'streamable-http', ALICE);
    }
    expect(session.endedFor).toEqual([]);
    pass(1200);
    expect(session.endedFor.length).toBe(1);
    expect(manager.size).toBe(0);
    expect(() => manager.resolve(session.record.id, 'streamable-http', ALICE)).toThrow(SessionUnknownError);
  });

  test('when its client never comes, or does not come back', () => {
    const never = open('sse');
    pass(1200);
    expect(never.endedFor.length).toBe(1);
    const gone = open('sse');
    manager.attached(gone);
    pass(5000);
    expect(gone.endedFor).toEqual([]);
    manager.detached(gone);
    pass(800);
    manager.attached(gone);
    pass(5000);
    expect(gone.endedFor).toEqual([]);
    manager.detached(gone);
    pass(1200);
    expect(gone.endedFor.length).toBe(1);
  });

  test('once, and leaves no timer behind', () => {
    const session = open();
    manager.close(session, 'first');
    manager.close(session, 'second');
    manager.detached(session);
    expect(session.endedFor).toEqual(['first']);
    expect(timers.size).toBe(0);
  });
});

test('an idle Streamable HTTP session is told so, again and again while it stays idle, and an HTTP+SSE one never', () => {
  const session = open();
  const sse = open('sse');
  manager.attached(sse);
  pass(4000);
  manager.resolve(session.record.id, 'streamable-http', ALICE);
  pass(4000);
  expect(session.idleCount).toBe(0);
  pass(1200);
  expect(session.idleCount).toBe(1);
  pass(5200);
  expect(session.idleCount).toBe(2);
  expect(sse.idleCount).toBe(0);
});

describe('the quota', () => {
  test('bounds all sessions, and one that ends makes room', () => {
    const first = open('sse', ALICE);
    open('sse', ALICE);
    open('sse', BOB);
    expect(() => open('sse', BOB)).toThrow(OverloadedError);
    manager.close(first, 'done');
    expect(() => open('sse', BOB)).not.toThrow();
  });

  test('bounds the sessions of one caller, but not of those nobody can tell apart', () => {
    open('sse', ALICE);
    const second = open('sse', ALICE);
    expect(() => open('sse', ALICE)).toThrow(TooManySessionsError);
    manager.close(second, 'done');
    expect(() => open('sse', ALICE)).not.toThrow();
    manager.closeAll('all');
    expect(manager.size).toBe(0);
    expect(() => [open('sse', ANONYMOUS), open('sse', ANONYMOUS), open('sse', ANONYMOUS)]).not.toThrow();
  });
});

test('the label of a session tells them apart and is no part of the id', () => {
  const [one, two] = [open().record, open().record];
  expect(one.label).toMatch(/^[0-9a-f]{12}$/);
  expect(one.label).not.toBe(two.label);
  expect(one.id).not.toContain(one.label);
});
