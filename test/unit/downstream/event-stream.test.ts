import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/core/clock.js';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { BufferBudget } from '../../../src/downstream/buffer-budget.js';
import { KEEP_ALIVE_MS, WRITE_DEADLINE_MS } from '../../../src/downstream/event-stream.js';
import { SessionStreams, type StreamsListener } from '../../../src/downstream/session-streams.js';
import { errorResponse, ownNotification } from '../../../src/protocol/json-rpc.js';

/** A connection whose reader the test plays: full until told otherwise once `room` is used up. */
class FakeResponse extends EventEmitter {
  written = '';
  room = Number.POSITIVE_INFINITY;
  isEnded = false;
  isDestroyed = false;
  writableNeedDrain = false;

  write(bytes: Buffer | string): boolean {
    this.written += bytes.toString();
    this.room -= bytes.length;
    return this.room > 0;
  }

  drain(room: number): void {
    this.room = room;
    this.emit('drain');
  }

  end(bytes = ''): void {
    this.written += bytes;
    this.isEnded = true;
  }

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.emit('close');
  }

  get asResponse(): ServerResponse {
    return this as unknown as ServerResponse;
  }

  get sequences(): number[] {
    return [...this.written.matchAll(/^id: session\.(\d+)$/gm)].map(([, sequence]) => Number(sequence));
  }
}

class FakeSession implements StreamsListener {
  readonly told: string[] = [];

  detached(): void {
    this.told.push('detached');
  }

  attached(): void {
    this.told.push('attached');
  }

  pressed(isPressed: boolean): void {
    this.told.push(isPressed ? 'pressed' : 'relieved');
  }

  close(): void {
    this.told.push('closed');
  }
}

const BUFFER_BYTES = 10_000;
const note = (bytes = 10) => ownNotification('notifications/message', { data: 'x'.repeat(bytes) });
const answer = (bytes = 10) => errorResponse('id', { code: 1, message: 'x'.repeat(bytes) });

let nowMs: number;
let timers: TimerWheel;
let session: FakeSession;
let streams: SessionStreams;

beforeEach(() => {
  nowMs = 0;
  const clock: Clock = { now: () => nowMs, wallTimeMs: () => nowMs };
  timers = new TimerWheel(100, 64, clock);
  session = new FakeSession();
  const options = { timers, budget: new BufferBudget(1_000_000), bufferBytes: BUFFER_BYTES };
  streams = new SessionStreams('session', options, session);
});

function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 100) {
    nowMs += 100;
    timers.advance();
  }
}

function attachGeneral(after?: number): FakeResponse {
  const response = new FakeResponse();
  streams.attachGeneral(response.asResponse, after);
  return response;
}

describe('a client that reads slowly', () => {
  test('holds the upstream back once more waits than may, until there is room', () => {
    const response = attachGeneral();
    response.room = 1;
    for (let index = 0; index < 100; index += 1) streams.general.send(note(200));
    expect(session.told).toEqual(['attached', 'pressed']);
    response.drain(Number.POSITIVE_INFINITY);
    expect(session.told).toEqual(['attached', 'pressed', 'relieved']);
    expect(response.sequences).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
  });

  test('is cut when it takes nothing until the deadline, and the upstream is let go', () => {
    const response = attachGeneral();
    response.room = 1;
    for (let index = 0; index < 100; index += 1) streams.general.send(note(200));
    pass(WRITE_DEADLINE_MS - 200);
    expect(response.isDestroyed).toBe(false);
    pass(400);
    expect(response.isDestroyed).toBe(true);
    expect(session.told).toEqual(['attached', 'pressed', 'relieved', 'detached']);
  });

  test('is left alone while it takes a large event bit by bit, however long that takes', () => {
    const response = attachGeneral();
    response.room = 1;
    streams.general.send(answer(2_000_000));
    for (let slice = 0; slice < 100 && !response.written.endsWith('\n\n'); slice += 1) {
      pass(WRITE_DEADLINE_MS / 2);
      response.drain(1);
    }
    expect(response.isDestroyed).toBe(false);
    expect(response.written.length).toBeGreaterThan(2_000_000);
    expect(JSON.parse(/^data: (.*)$/m.exec(response.written)?.[1] ?? '')).toHaveProperty('error');
  });

  test('is sent away without a word in the middle of an event, which it would take for part of it', () => {
    const [inside, between] = [attachGeneral(), new FakeResponse()];
    inside.room = 1;
    streams.general.send(answer(200_000));
    streams.disconnectAll('retry: 20\n\n');
    expect(inside.isEnded).toBe(true);
    expect(inside.written).not.toContain('retry');
    streams.attachGeneral(between.asResponse, 0);
    streams.disconnectAll('retry: 20\n\n');
    expect(between.written.endsWith('\n\nretry: 20\n\n')).toBe(true);
  });

  test('gets an event anew that was cut in the middle', () => {
    const first = attachGeneral();
    first.room = 1;
    streams.general.send(answer(200_000));
    expect(first.written.endsWith('\n\n')).toBe(false);
    first.destroy();
    const second = attachGeneral(0);
    expect(second.written.length).toBeGreaterThan(200_000);
    expect(second.sequences).toEqual([1]);
  });

  test('is not let go of before the last bytes of an ended stream are taken', () => {
    const reply = streams.openReply([]);
    const response = new FakeResponse();
    response.room = 1;
    reply.attach(response.asResponse);
    reply.answer(answer(100_000));
    reply.finish();
    expect(response.isEnded).toBe(false);
    response.drain(1);
    expect(response.isEnded).toBe(false);
    pass(WRITE_DEADLINE_MS + 200);
    expect(response.isDestroyed).toBe(true);
  });
});

describe('a silent connection', () => {
  test('is kept alive', () => {
    const response = attachGeneral();
    pass(KEEP_ALIVE_MS * 3);
    expect(response.written.match(/^: ping$/gm)?.length).toBe(2);
  });

  test('holds on to no large event for long', () => {
    attachGeneral();
    streams.general.send(answer(500_000));
    expect(streams.options.budget.usedBytes).toBeGreaterThan(500_000);
    pass(KEEP_ALIVE_MS * 2 + 200);
    expect(streams.options.budget.usedBytes).toBeLessThan(BUFFER_BYTES);
  });
});

describe('streams that answer one request', () => {
  const openEnded = (bytes: number): number => {
    const reply = streams.openReply([]);
    const response = new FakeResponse();
    reply.attach(response.asResponse);
    reply.answer(answer(bytes));
    reply.finish();
    expect(response.isEnded).toBe(true);
    return reply.openedAt;
  };

  test('are kept for a client that comes back, the last few of them', () => {
    const opened = Array.from({ length: 12 }, () => openEnded(10));
    const resumable = opened.filter((sequence) => streams.findResumable(sequence) !== undefined);
    expect(resumable).toEqual(opened.slice(-8));
  });

  test('are kept as long as they are small together, and the newest in any case', () => {
    const opened = [openEnded(8000), openEnded(8000)];
    expect(streams.findResumable(opened[0] as number)).toBeUndefined();
    expect(streams.findResumable(opened[1] as number)).toBeDefined();
  });

  test('are forgotten after a while', () => {
    const opened = openEnded(10);
    pass(130_000);
    expect(streams.findResumable(opened)).toBeUndefined();
    expect(streams.options.budget.usedBytes).toBe(0);
    expect(timers.size).toBe(0);
  });

  test('whose connection broke for good do not pile up', () => {
    for (let index = 0; index < 100; index += 1) {
      const reply = streams.openReply([]);
      const response = new FakeResponse();
      reply.attach(response.asResponse);
      response.destroy();
      reply.answer(answer(1000));
      reply.finish();
    }
    expect(streams.options.budget.usedBytes).toBeLessThan(2 * BUFFER_BYTES);
  });
});

test('a second connection takes the stream over from the first', () => {
  const first = attachGeneral();
  const second = attachGeneral();
  expect(first.isDestroyed).toBe(true);
  streams.general.send(note());
  expect(second.sequences).toEqual([1]);
  expect(session.told).not.toContain('detached');
});

test('closing ends every connection, gives all memory back, and later words are dropped', () => {
  const response = attachGeneral();
  streams.general.send(note());
  streams.closeAll();
  expect(response.isEnded).toBe(true);
  streams.general.send(note());
  expect(streams.options.budget.usedBytes).toBe(0);
  expect(timers.size).toBe(0);
});
