import { beforeEach, expect, test } from 'vitest';
import type { Logger } from '../../../../src/core/logger.js';
import { TimerWheel } from '../../../../src/core/timer-wheel.js';
import { BufferBudget } from '../../../../src/downstream/buffer-budget.js';
import { SessionStreams } from '../../../../src/downstream/session-streams.js';
import { Fence } from '../../../../src/gateway/replicas/fence.js';
import { ServerQuestions } from '../../../../src/gateway/server-questions.js';
import { SessionCopies, sessionKey } from '../../../../src/gateway/replicas/session-copies.js';
import { type MovingSession, SessionTenure } from '../../../../src/gateway/replicas/session-tenure.js';
import type { Message, RequestId } from '../../../../src/protocol/message.js';
import { scanUpstream } from '../../../../src/protocol/scan.js';
import { SessionRecord } from '../../../../src/session/session-record.js';
import { UpstreamFailedError } from '../../../../src/upstream/errors.js';
import { MemoryDirectory, MemoryJournals, testSealer } from '../../../helpers/memory-replication.js';
import { ALICE } from '../support.js';

const OPTIONS = { resumeGraceMs: 60_000, idleTimeoutMs: 5000, ttlMs: 3_600_000 };
const STOPPING = new UpstreamFailedError('the gateway is stopping', 'unknown');

let nowMs: number;
let timers: TimerWheel;
let directory: MemoryDirectory;
let session: MovingSession;
let tenure: SessionTenure;
let isBusy: boolean;
let hasListener: boolean;
/** What happened, in order. */
let log: string[];
/** While the memory is asked again. */
let onPause: () => void;
let waitedMs: number;

beforeEach(() => {
  nowMs = 0;
  isBusy = false;
  hasListener = true;
  log = [];
  const clock = { now: () => nowMs, wallTimeMs: () => nowMs };
  timers = new TimerWheel(100, 64, clock);
  const journals = new MemoryJournals();
  directory = new MemoryDirectory('me', new Map(), journals);
  const sealer = testSealer();
  const copies = new SessionCopies({ directory, journals, sealer, clock, fence: new Fence(), options: OPTIONS });
  session = newSession();
  onPause = () => {};
  waitedMs = 0;
  const logger = { warn: (event: string) => log.push(event) } as unknown as Logger;
  tenure = new SessionTenure(session, copies, logger, async (ms) => {
    waitedMs += ms;
    onPause();
  });
  tenure.begin();
});

function newSession(): MovingSession {
  const record = new SessionRecord('id', 'streamable-http', ALICE, 0, { openedAtMs: 0, epoch: 1 });
  const listener = { detached: () => {}, attached: () => {}, pressed: () => {}, close: () => {} };
  const streamOptions = { timers, budget: new BufferBudget(1_000_000), bufferBytes: 10_000 };
  const questions = new ServerQuestions(
    {
      get hasListener() {
        return hasListener;
      },
      tellServer: (message, delivery) => {
        log.push(`told ${message.id} ${message.isError ? 'an error' : 'the answer'}, ${owner() || 'nobody'} has it`);
        delivery.accepted();
      },
      questionDropped: (id) => void log.push(`dropped ${id}`),
      questionsChanged: () => tenure.departIfQuiet(),
      questionOpened: () => {},
      questionClosed: () => {},
    },
    timers,
    60_000,
  );
  return {
    record,
    streams: new SessionStreams('id', streamOptions, listener),
    state: {
      kind: 'streamable-http',
      openedAtMs: 0,
      client: undefined,
      upstream: {
        handshake: { initialize: 'hello', state: [] },
        protocolVersion: '2025-06-18',
        kind: 'streamable-http',
        sessionId: 'theirs',
        server: 's',
      },
    },
    questions,
    logFields: {},
    get isBusy() {
      return isBusy;
    },
    forsake: () => tenure.forsake(),
    stopReading: () => void log.push('stops reading'),
    letGo: () => {
      record.isClosed = true;
      log.push('let go');
    },
    endExchanges: () => {
      isBusy = false;
      log.push('ended calls');
    },
  };
}

const owner = () => directory.sessions.get(sessionKey('id'))?.owner;
const message = (value: object) => scanUpstream(Buffer.from(JSON.stringify(value))) as Message;
const ask = (id: RequestId) =>
  session.questions.ask(message({ jsonrpc: '2.0', id, method: 'roots/list' }) as Message & { readonly id: RequestId });

function passTime(ms: number): void {
  nowMs += ms;
  timers.advance();
}

test('a session of which nothing is under way leaves at once', async () => {
  await tenure.depart();
  expect(log).toEqual(['stops reading', 'let go']);
  expect(owner()).toBe('');
});

test('the answer of a client that listens is waited for, as calls are', async () => {
  isBusy = true;
  ask(1);
  const departed = tenure.depart();
  isBusy = false;
  tenure.departIfQuiet();
  expect(log).toEqual([]);
  session.questions.answered(message({ jsonrpc: '2.0', id: 1, result: {} }));
  await departed;
  expect(log).toEqual(['told 1 the answer, me has it', 'stops reading', 'let go']);
});

test('without anybody who listens the server is told so before the session leaves', async () => {
  hasListener = false;
  ask(1);
  await tenure.depart();
  expect(log).toEqual(['dropped 1', 'told 1 an error, me has it', 'stops reading', 'let go']);
  expect(owner()).toBe('');
});

test('a client that goes away meanwhile is not waited for any longer', async () => {
  ask(1);
  const departed = tenure.depart();
  hasListener = false;
  tenure.departIfQuiet();
  await departed;
  expect(log).toEqual(['dropped 1', 'told 1 an error, me has it', 'stops reading', 'let go']);
});

test('an answer that does not come keeps no session for long', async () => {
  ask(1);
  const departed = tenure.depart();
  passTime(1900);
  expect(log).toEqual([]);
  passTime(300);
  await departed;
  expect(log).toEqual(['dropped 1', 'told 1 an error, me has it', 'stops reading', 'let go']);
  expect(owner()).toBe('');
});

test('when the time is up nobody is waited for', async () => {
  isBusy = true;
  ask(1);
  const departed = tenure.depart();
  await tenure.departNow(STOPPING);
  await departed;
  expect(log).toEqual(['ended calls', 'dropped 1', 'told 1 an error, me has it', 'stops reading', 'let go']);
});

test('what the server asks while the session is being let go is refused too', async () => {
  const departed = tenure.depart();
  ask(1);
  await departed;
  expect(log).toEqual(['told 1 an error, me has it', 'stops reading', 'let go']);
});

test('with the memory away the server is told as well', async () => {
  directory.isAway = true;
  hasListener = false;
  ask(1);
  await tenure.depart();
  expect(log).toEqual(['dropped 1', 'told 1 an error, me has it', 'stops reading', 'hand_over_failed', 'let go']);
});

test('a memory that stumbles is asked again before the session goes', async () => {
  directory.isAway = true;
  onPause = () => {
    if (waitedMs >= 500) directory.isAway = false;
  };
  await tenure.depart();
  expect(log).toEqual(['stops reading', 'let go']);
  expect(owner()).toBe('');
  expect(waitedMs).toBe(500);
});

test('a memory that stays away is not waited for longer than 2 s', async () => {
  directory.isAway = true;
  await tenure.depart();
  expect(log).toEqual(['stops reading', 'hand_over_failed', 'let go']);
  expect(waitedMs).toBe(2000);
});

test('when the time is up the memory is asked once', async () => {
  directory.isAway = true;
  await tenure.departNow(STOPPING);
  expect(log).toEqual(['ended calls', 'stops reading', 'hand_over_failed', 'let go']);
  expect(waitedMs).toBe(0);
});

test('when the time is up while the memory is asked again, that ends', async () => {
  directory.isAway = true;
  onPause = () => {
    if (waitedMs === 100) void tenure.departNow(STOPPING);
  };
  await tenure.depart();
  expect(log).toEqual(['stops reading', 'ended calls', 'hand_over_failed', 'let go']);
  expect(waitedMs).toBe(100);
});

test('a session that ends while it waits to leave is not handed over', async () => {
  ask(1);
  const departed = tenure.depart();
  session.record.isClosed = true;
  tenure.remove();
  session.questions.clear();
  tenure.over();
  await departed;
  passTime(5000);
  tenure.departIfQuiet();
  expect(log).toEqual([]);
  expect(owner()).toBeUndefined();
});

test('a session that is over already has left', async () => {
  session.record.isClosed = true;
  await tenure.depart();
  expect(log).toEqual([]);
});
