/** What was let through, from its place among those under way to its last word, and who is told of it. */
import { beforeEach, describe, expect, test } from 'vitest';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { Admission } from '../../../src/gateway/admission.js';
import type { Exchange } from '../../../src/gateway/exchange.js';
import { ExchangeRunner } from '../../../src/gateway/exchange-runner.js';
import type { ClientRequest } from '../../../src/gateway/policies/gate.js';
import type { Grant } from '../../../src/gateway/policies/grant.js';
import type { Message, RequestId } from '../../../src/protocol/message.js';
import { scanUpstream } from '../../../src/protocol/scan.js';
import { OverloadedError, SessionUnknownError } from '../../../src/protocol/session-errors.js';
import type { ClientStream, Delivery } from '../../../src/protocol/transport.js';
import { UpstreamFailedError } from '../../../src/upstream/errors.js';
import type { Upstream } from '../../../src/upstream/upstream.js';
import { requestOf } from './support.js';

const LIST = requestOf('tools/list', { id: 'list' });
const INITIALIZE = requestOf('initialize', { id: 'hello' });
const LOST = new UpstreamFailedError('lost', 'unknown');
const IDLE_MS = 1000;
/** Of the whole gateway. */
const PLACES = 2;

let nowMs: number;
let timers: TimerWheel;
/** What happened, in order. */
let log: string[];
let record: { isClosed: boolean };
let isCircuitOpen: boolean;
/** The server cannot even be sent anything. */
let isUnreachable: boolean;
let questions: { size: number };
let admission: Admission;
let runner: ExchangeRunner;

beforeEach(() => {
  nowMs = 0;
  log = [];
  record = { isClosed: false };
  isCircuitOpen = false;
  isUnreachable = false;
  questions = { size: 0 };
  const clock = { now: () => nowMs, wallTimeMs: () => nowMs };
  timers = new TimerWheel(100, 64, clock);
  admission = new Admission({ inFlight: PLACES });
  const route = {
    admission,
    clock,
    timers,
    upstream: newUpstream(),
    requestAnsweredHere: (method: string, outcome: string) => void log.push(`${method} answered here: ${outcome}`),
    requestClosed: (method: string, outcome: string) => void log.push(`${method} closed: ${outcome}`),
  };
  const handshake = {
    began: () => void log.push('the handshake began'),
    settled: (outcome: string) => void log.push(`the handshake settled: ${outcome}`),
    closeUnopened: () => void log.push('the session is closed unless it is open'),
  };
  const tenure = {
    asked: (id: RequestId) => void log.push(`${id} is due`),
    cancelled: (id: RequestId) => void log.push(`${id} is not due any more`),
    departIfQuiet: () => {},
  };
  runner = new ExchangeRunner(route, { record, handshake, upstream: newUpstreamSession(), questions, tenure });
});

function newUpstream(): Upstream {
  const breaker = { retryAfterMs: 500, tryPass: () => !isCircuitOpen };
  const options = { timeouts: { idleMs: IDLE_MS, totalMs: 60_000 }, inFlight: 100, forwardHeaders: [] };
  const upstream = {
    breaker,
    options,
    inFlight: 0,
    succeeded: () => void log.push('the upstream is well'),
    failed: () => void log.push('the upstream is not well'),
  };
  return upstream as unknown as Upstream;
}

function newUpstreamSession() {
  return {
    isInitialized: true,
    pause: () => void log.push('the upstream session pauses'),
    resume: () => void log.push('the upstream session resumes'),
    send: (message: Message, delivery: Delivery) => {
      log.push(`sent ${message.method} ${message.id ?? cancelledBy(message)}`);
      if (isUnreachable) delivery.failed(LOST);
      return {
        pause: () => void log.push(`${message.id} pauses`),
        resume: () => void log.push(`${message.id} resumes`),
        abort: () => void log.push(`${message.id} aborted`),
      };
    },
  };
}

function cancelledBy(cancellation: Message): RequestId {
  return (JSON.parse(cancellation.raw.toString()) as { params: { requestId: RequestId } }).params.requestId;
}

const stream = {
  answer: ({ id, isError }) => void log.push(`told ${isError ? 'an error' : 'the answer'} to ${id}`),
  abandon: () => void log.push('told nothing'),
} as Partial<ClientStream> as ClientStream;

function start(request: ClientRequest): Exchange | undefined {
  const note = { write: (outcome: string) => void log.push(`noted: ${outcome}`) };
  const grant = { note, context: { era: 'legacy', caller: { headers: {} } } } as unknown as Grant;
  runner.start(request, stream, grant, { arrivedAtMs: 0, waitedMs: 0 });
  return runner.exchanges.newest;
}

function answer(exchange: Exchange | undefined): void {
  const message = { jsonrpc: '2.0', id: exchange?.clientId, result: {} };
  exchange?.answered(scanUpstream(Buffer.from(JSON.stringify(message))) as Message, nowMs);
}

/** Forgets what happened so far. */
function startQuietly(request: ClientRequest): Exchange | undefined {
  const exchange = start(request);
  log.length = 0;
  return exchange;
}

describe('a request', () => {
  test('is sent, and gives its place back with its answer', () => {
    const exchange = start(LIST);
    expect(log).toEqual(['list is due', 'sent tools/list list']);
    expect([runner.inFlight, admission.inFlight]).toEqual([1, 1]);
    log.length = 0;
    answer(exchange);
    expect(log).toEqual(['noted: ok', 'the upstream is well', 'told the answer to list', 'tools/list closed: ok']);
    expect([runner.inFlight, admission.inFlight, timers.size]).toEqual([0, 0, 0]);
  });

  test('is refused when every place is taken, and nothing is sent', () => {
    for (let taken = 0; taken < PLACES; taken += 1) startQuietly(LIST);
    expect(() => start(LIST)).toThrow(OverloadedError);
    expect(log).toEqual(['noted: error']);
    expect(admission.inFlight).toBe(PLACES);
  });

  test('is refused when the session ended while it was judged', () => {
    record.isClosed = true;
    expect(() => start(LIST)).toThrow(SessionUnknownError);
    expect(log).toEqual(['noted: error']);
    expect(admission.inFlight).toBe(0);
  });

  test('is answered at once while the circuit is open', () => {
    isCircuitOpen = true;
    start(LIST);
    expect(log).toEqual([
      'noted: upstream_failed',
      'told an error to list',
      'tools/list answered here: upstream_failed',
    ]);
    expect([runner.inFlight, admission.inFlight]).toEqual([0, 0]);
  });

  test('is let go of when it failed before anything was sent', () => {
    isUnreachable = true;
    start(LIST);
    expect(log.slice(1)).toEqual([
      'sent tools/list list',
      'noted: upstream_failed',
      'the upstream is not well',
      'told an error to list',
      'tools/list closed: upstream_failed',
      'list aborted',
    ]);
  });

  test('that the server does not answer in time is cancelled there', () => {
    startQuietly(LIST);
    nowMs += IDLE_MS + 100;
    timers.advance();
    expect(log.slice(0, 4)).toEqual([
      'sent notifications/cancelled list',
      'list aborted',
      'noted: timeout',
      'the upstream is not well',
    ]);
  });

  test('waits on while the client has a question of the server to answer', () => {
    startQuietly(LIST);
    questions.size = 1;
    nowMs += IDLE_MS + 100;
    timers.advance();
    expect(log).toEqual([]);
  });
});

describe('the handshake', () => {
  test('begins when it has a place, and settles with its answer', () => {
    const exchange = start(INITIALIZE);
    expect(log[0]).toBe('the handshake began');
    answer(exchange);
    expect(log).toContain('the handshake settled: ok');
  });

  test('does not begin while the circuit is open, and may have opened nothing', () => {
    isCircuitOpen = true;
    start(INITIALIZE);
    expect(log).not.toContain('the handshake began');
    expect(log).toContain('the session is closed unless it is open');
  });
});

describe('a failure', () => {
  test('says nothing about the upstream when its session was lost, and does afterwards', () => {
    startQuietly(LIST);
    runner.fail(LOST);
    expect(log).toEqual(['noted: upstream_failed', 'told an error to list', 'tools/list closed: upstream_failed']);
    startQuietly(LIST)?.failed(LOST);
    expect(log).toContain('the upstream is not well');
  });

  test('says nothing about the upstream when the session ended', () => {
    startQuietly(LIST);
    runner.end(LOST);
    expect(log).toEqual([
      'list aborted',
      'noted: upstream_failed',
      'told an error to list',
      'tools/list closed: upstream_failed',
    ]);
  });
});

describe('a cancellation', () => {
  const cancellationOf = (requestId: string) =>
    scanUpstream(
      Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } })),
    ) as Message;

  test('reaches the newest of several with one id, under the id the server knows', () => {
    start(LIST);
    startQuietly(LIST);
    runner.cancel(cancellationOf('list'));
    expect(log).toEqual(['sent notifications/cancelled gw:r1']);
  });

  test('leaves no answer due once the server has been given time for one', () => {
    startQuietly(LIST);
    runner.cancel(cancellationOf('list'));
    nowMs += 6000;
    timers.advance();
    expect(log).toEqual([
      'sent notifications/cancelled list',
      'noted: cancelled',
      'list is not due any more',
      'list aborted',
      'told nothing',
      'tools/list closed: cancelled',
    ]);
  });

  test('of the handshake, or of nothing, goes nowhere', () => {
    startQuietly(INITIALIZE);
    runner.cancel(cancellationOf('hello'));
    runner.cancel(cancellationOf('nothing'));
    expect(log).toEqual([]);
  });
});

test('nothing is read for as long as there is any reason not to', () => {
  runner.held(true);
  runner.held(true);
  expect(log).toEqual(['the upstream session pauses']);
  start(LIST);
  expect(log.at(-1)).toBe('list pauses');
  runner.pressed(true);
  log.length = 0;
  runner.held(false);
  expect(log).not.toContain('the upstream session resumes');
  runner.pressed(false);
  expect(log.slice(-2)).toEqual(['the upstream session resumes', 'list resumes']);
});

test('nothing more is read for a client that does not read', () => {
  startQuietly(LIST);
  runner.pressed(true);
  expect(log).toEqual(['the upstream session pauses', 'list pauses']);
  log.length = 0;
  start(requestOf('tools/list', { id: 'later' }));
  expect(log.at(-1)).toBe('later pauses');
  log.length = 0;
  runner.pressed(false);
  expect(log).toEqual(['the upstream session resumes', 'list resumes', 'later resumes']);
});
