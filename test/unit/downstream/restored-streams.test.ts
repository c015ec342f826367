/** Event streams that another replica left, and that go on here. */
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { beforeEach, describe, expect, test } from 'vitest';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { BufferBudget } from '../../../src/downstream/buffer-budget.js';
import type { EventStream } from '../../../src/downstream/event-stream.js';
import { ReplayLog } from '../../../src/downstream/replay-log.js';
import { SessionStreams } from '../../../src/downstream/session-streams.js';
import { encodeMessageEvent } from '../../../src/downstream/sse-encode.js';
import { errorResponse, ownNotification } from '../../../src/protocol/json-rpc.js';
import type { StreamEvent, StreamJournal, StreamSnapshot } from '../../../src/protocol/stream-journal.js';

class FakeResponse extends EventEmitter {
  writableNeedDrain = false;
  written = '';
  isEnded = false;

  write(bytes: Buffer | string): boolean {
    this.written += bytes.toString();
    return true;
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    this.emit('close');
  }

  get sequences(): number[] {
    return [...this.written.matchAll(/^id: session\.(\d+)$/gm)].map(([, sequence]) => Number(sequence));
  }
}

let nowMs: number;
let timers: TimerWheel;
let budget: BufferBudget;
let streams: SessionStreams;

beforeEach(() => {
  nowMs = 0;
  timers = new TimerWheel(100, 1024, { now: () => nowMs, wallTimeMs: () => nowMs });
  budget = new BufferBudget(1_000_000);
  const listener = { detached: () => {}, attached: () => {}, pressed: () => {}, close: () => {} };
  streams = new SessionStreams('session', { timers, budget, bufferBytes: 10_000 }, listener);
});

const event = (sequence: number, more: Partial<StreamEvent> = {}): StreamEvent => ({
  sequence,
  bytes: encodeMessageEvent(`session.${sequence}`, Buffer.from('{}')),
  isNotification: true,
  answers: undefined,
  ...more,
});
const snapshot = (more: Partial<StreamSnapshot> = {}): StreamSnapshot => ({
  openedAt: 0,
  isGeneral: true,
  requests: [],
  events: [],
  forgottenUpTo: 0,
  waiting: 0,
  isFinished: false,
  isOnlyStream: false,
  ...more,
});

function attach(stream: EventStream, after?: number): FakeResponse {
  const response = new FakeResponse();
  stream.attach(response as unknown as ServerResponse, after);
  return response;
}

function pass(ms: number): void {
  nowMs += ms;
  timers.advance();
}

describe('a stream that goes on', () => {
  test('says what waited to a client that names no event, and the rest again to one that does', () => {
    const left = snapshot({ events: [1, 2, 3, 4].map((sequence) => event(sequence)), waiting: 2 });
    streams.restore([left], 100);
    expect(attach(streams.general).sequences).toEqual([3, 4]);
    expect(attach(streams.general, 1).sequences).toEqual([2, 3, 4]);
    expect(attach(streams.general, 0).sequences).toEqual([1, 2, 3, 4]);
  });

  test('gives new events numbers that nobody has seen', () => {
    streams.restore([snapshot({ events: [event(1)] })], 100);
    const response = attach(streams.general, 1);
    streams.general.send(ownNotification('notifications/message', {}));
    expect(response.sequences).toEqual([100]);
  });

  test('keeps the place of what was too large to be left', () => {
    const events = [event(1), event(2, { bytes: undefined }), event(3, { bytes: undefined }), event(4)];
    streams.restore([snapshot({ events, waiting: 2 })], 100);
    expect(attach(streams.general).sequences).toEqual([4]);
    for (const sequence of [0, 1, 2, 3, 4]) expect(streams.general.canResumeAfter(sequence)).toBe(true);
    expect(attach(streams.general, 2).sequences).toEqual([4]);
    expect(attach(streams.general, 1).sequences).toEqual([4]);
  });

  test('cannot be resumed behind what it never knew or has forgotten', () => {
    streams.restore([snapshot({ events: [event(8), event(9)], forgottenUpTo: 7 })], 100);
    const known = [0, 6, 7, 8, 9, 10].filter((sequence) => streams.general.canResumeAfter(sequence));
    expect(known).toEqual([7, 8, 9]);
  });

  test('can be resumed behind what was said and never written down, when nobody else gives out numbers', () => {
    streams.restore([snapshot({ events: [event(8)], forgottenUpTo: 7.5, isOnlyStream: true })], 1000);
    expect([7, 8, 9, 30].map((sequence) => streams.general.canResumeAfter(sequence))).toEqual([
      false,
      true,
      true,
      true,
    ]);
    const response = attach(streams.general, 30);
    streams.general.send(ownNotification('notifications/message', {}));
    expect(response.sequences).toEqual([1000]);
  });

  test('can be handed on as it came', () => {
    const left = [
      snapshot({ events: [event(1), event(2)], waiting: 1 }),
      snapshot({ openedAt: 5, isGeneral: false, requests: [{ id: 'a', isToolCall: true }], forgottenUpTo: 5 }),
    ];
    streams.restore(left, 100);
    expect(streams.snapshots).toEqual(left);
  });

  test('takes from the budget what it holds, and gives it back', () => {
    const events = [event(1), event(2)];
    streams.restore([snapshot({ events, waiting: 2 })], 100);
    expect(budget.usedBytes).toBe(events.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0));
    streams.closeAll();
    expect(budget.usedBytes).toBe(0);
  });
});

describe('the answer to a request', () => {
  const reply = (more: Partial<StreamSnapshot> = {}) =>
    snapshot({
      openedAt: 3,
      isGeneral: false,
      forgottenUpTo: 3,
      requests: [
        { id: 'a', isToolCall: true },
        { id: 'b', isToolCall: false },
      ],
      ...more,
    });

  test('that was not given is known to be due', () => {
    streams.restore([reply({ events: [event(4, { answers: 'a', isNotification: false })] })], 100);
    const [unfinished] = streams.unfinishedReplies;
    expect(unfinished?.unanswered).toEqual([{ id: 'b', isToolCall: false }]);
    unfinished?.answer(errorResponse('b', { code: 1, message: 'nobody knows' }));
    unfinished?.finish();
    const stream = streams.findResumable(4);
    const response = attach(stream ?? streams.general, 4);
    expect(response.sequences).toEqual([100]);
    expect(response.isEnded).toBe(true);
    expect(streams.unfinishedReplies).toEqual([]);
  });

  test('that is complete can be asked for again for a minute', () => {
    const events = [event(4, { answers: 'a' }), event(5, { answers: 'b' })];
    streams.restore([reply({ events, isFinished: true })], 100);
    expect(streams.unfinishedReplies).toEqual([]);
    pass(30_000);
    expect(attach(streams.findResumable(4) ?? streams.general, 4).sequences).toEqual([5]);
    pass(60_000);
    expect(streams.findResumable(4)).toBeUndefined();
    expect(budget.usedBytes).toBe(0);
  });
});

describe('what is written down while a stream speaks', () => {
  const said: string[] = [];
  const journal: StreamJournal = {
    opened: (stream, isGeneral) => said.push(`opened ${stream} ${isGeneral}`),
    said: (stream, _isGeneral, { sequence }, isWaiting) => said.push(`said ${stream} ${sequence} ${isWaiting}`),
    attached: (stream) => said.push(`attached ${stream}`),
    finished: (stream) => said.push(`finished ${stream}`),
    keepFrom: (sequence) => said.push(`keep from ${sequence}`),
    whenSent: (work) => work(),
    sendNow: () => {},
  };

  beforeEach(() => {
    said.length = 0;
    streams.keepJournal(journal);
  });

  test('is there before the client can have it', () => {
    const response = attach(streams.general);
    const write = response.write.bind(response);
    response.write = (bytes) => {
      said.push('written');
      return write(bytes);
    };
    streams.general.send(ownNotification('notifications/message', {}));
    expect(said).toEqual(['opened 0 true', 'said 0 1 false', 'written']);
  });

  test('tells whether anybody was there for it, and that somebody came', () => {
    streams.general.send(ownNotification('notifications/message', {}));
    attach(streams.general).destroy();
    attach(streams.general);
    expect(said).toEqual(['opened 0 true', 'said 0 1 true', 'attached 0']);
  });

  test('tells the end of an answer, once', () => {
    const reply = streams.openReply([{ id: 'a', isToolCall: false }]);
    reply.finish();
    reply.finish();
    expect(said).toEqual(['opened 0 false', 'finished 0']);
  });

  test('does not tell again what another replica has written down', () => {
    streams.restore([snapshot({ events: [event(1)], waiting: 1 })], 100);
    expect(said).toEqual([]);
  });
});

test('a log knows the last event that a client has seen which misses no more than so much', () => {
  const log = new ReplayLog(10_000, budget, 0);
  expect(log.tailStart(100)).toBeUndefined();
  for (const sequence of [1, 2, 3, 4]) {
    log.append({ sequence, bytes: Buffer.alloc(40), isNotification: true, answers: undefined }, false);
    log.advance();
  }
  expect(log.tailStart(1000)).toBeUndefined();
  expect(log.tailStart(80)).toBe(2);
  expect(log.tailStart(79)).toBe(3);
  expect(log.tailStart(0)).toBe(4);
});
