import { beforeEach, expect, test } from 'vitest';
import type { Principal } from '../../../src/auth/principal.js';
import type { Clock } from '../../../src/core/clock.js';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { SessionUnknownError, TooManySessionsError } from '../../../src/protocol/session-errors.js';
import { generateSealingKey, SessionIds } from '../../../src/session/session-id.js';
import { type ManagedSession, SessionManager } from '../../../src/session/session-manager.js';
import { SessionQuota } from '../../../src/session/session-quota.js';
import type { SessionRecord } from '../../../src/session/session-record.js';

class FakeSession implements ManagedSession {
  readonly record: SessionRecord;
  readonly endedFor: string[] = [];

  constructor(record: SessionRecord) {
    this.record = record;
  }

  idle(): void {}

  ended(reason: string): void {
    this.endedFor.push(reason);
  }
}

/** The wall clock starts anywhere; it is not the clock of durations. */
const WALL_START_MS = 1_700_000_000_000;
const OPTIONS = { resumeGraceMs: 1_000_000, idleTimeoutMs: 1_000_000, ttlMs: 1_000_000 };

let nowMs: number;
let timers: TimerWheel;
let manager: SessionManager<FakeSession>;

beforeEach(() => {
  nowMs = 0;
  const clock: Clock = { now: () => nowMs, wallTimeMs: () => WALL_START_MS + nowMs };
  timers = new TimerWheel(100, 64, clock);
  manager = new SessionManager('sms', OPTIONS, {
    ids: new SessionIds([generateSealingKey()], 'r'),
    timers,
    clock,
    quota: new SessionQuota({ sessions: 10, sessionsPerPrincipal: 2, bindsAnonymous: true }),
  });
});

/** Alice with a token that ends at `endMs` on the clock of the test. */
function alice(endMs: number | undefined, role?: string): Principal {
  const expiresAtMs = endMs === undefined ? undefined : WALL_START_MS + endMs;
  return { id: 'idp|alice', kind: 'jwt', role, tenant: undefined, claims: {}, expiresAtMs };
}

function open(principal: Principal): FakeSession {
  return manager.open('streamable-http', principal, (record) => new FakeSession(record));
}

function use(session: FakeSession, principal: Principal): void {
  manager.resolve(session.record.id, 'streamable-http', principal);
}

function pass(ms: number): void {
  for (const end = nowMs + ms; nowMs < end; ) {
    nowMs += 100;
    timers.advance();
  }
}

test('a session ends with the token it was opened with', () => {
  const session = open(alice(5000));
  pass(4900);
  expect(session.endedFor).toEqual([]);
  pass(300);
  expect(session.endedFor).toEqual(['the credential of the caller ended']);
  expect(() => use(session, alice(60_000))).toThrow(SessionUnknownError);
  expect(timers.size).toBe(0);
});

test('a newer token takes over, and an older one that is still used takes nothing away', () => {
  const session = open(alice(5000));
  pass(3000);
  use(session, alice(9000));
  use(session, alice(5000));
  pass(5500);
  expect(session.endedFor).toEqual([]);
  pass(800);
  expect(session.endedFor.length).toBe(1);
});

test('the role is that of the token used last', () => {
  const session = open(alice(5000, 'user'));
  use(session, alice(9000, 'admin'));
  expect(session.record.principal.role).toBe('admin');
});

test('a credential without an end ends nothing', () => {
  const session = open(alice(undefined));
  pass(100_000);
  expect(session.endedFor).toEqual([]);
});

test('a token that is over already ends the session at once', () => {
  const session = open(alice(-5000));
  pass(200);
  expect(session.endedFor.length).toBe(1);
});

test('anonymous callers share one allowance where callers can say who they are', () => {
  const anonymous: Principal = { ...alice(undefined), id: 'anonymous', kind: 'anonymous' };
  const first = open(anonymous);
  open(anonymous);
  expect(() => open(anonymous)).toThrow(TooManySessionsError);
  manager.close(first, 'done');
  expect(() => open(anonymous)).not.toThrow();
});
