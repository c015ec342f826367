/** The stream of what a server says unasked: where it is gone on with, and with servers that go on with nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import type { HttpCall, ResponseHandler } from '../../../src/http-client/types.js';
import { GeneralStream } from '../../../src/upstream/streamable-http-general.js';
import type { StreamableSession } from '../../../src/upstream/streamable-http-session.js';

const TICK_MS = 100;

class FakeCall implements HttpCall {
  readonly lastEventId: string | undefined;
  readonly handler: ResponseHandler;
  readonly bytesSent = true;
  isPaused = false;
  isAborted = false;

  constructor(lastEventId: string | undefined, handler: ResponseHandler) {
    this.lastEventId = lastEventId;
    this.handler = handler;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  abort(): void {
    this.isAborted = true;
  }

  answer(status: number): this {
    this.handler.onHeaders(status, { get: () => undefined, pick: () => [] });
    return this;
  }

  say(id: string | undefined, data: number): void {
    const message = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { data } });
    this.handler.onData(Buffer.from(`${id === undefined ? '' : `id: ${id}\n`}data: ${message}\n\n`));
  }
}

let nowMs: number;
let timers: TimerWheel;
let calls: FakeCall[];
let told: string[];
let isGone: boolean;

beforeEach(() => {
  nowMs = 0;
  timers = new TimerWheel(TICK_MS, 64, { now: () => nowMs, wallTimeMs: () => nowMs });
  calls = [];
  told = [];
  isGone = false;
});

function session(): StreamableSession {
  return {
    timers,
    logger: { warn: () => {} },
    maxMessageBytes: 1_000_000,
    hasId: true,
    isClosed: false,
    deliver: ({ raw }: { raw: Uint8Array }) => told.push(`said ${JSON.parse(String(raw)).params.data}`),
    heard: (id: string | undefined) => told.push(`heard ${id}`),
    gone: () => {
      isGone = true;
    },
    openStream: (lastEventId: string | undefined, handler: ResponseHandler) => {
      const opened = new FakeCall(lastEventId, handler);
      calls.push(opened);
      return opened;
    },
  } as unknown as StreamableSession;
}

/** Whether it was answered so far, and the call of this number. */
function open(heardUpTo?: string): { readonly stream: GeneralStream; readonly isAnswered: () => Promise<boolean> } {
  const stream = new GeneralStream(session(), heardUpTo);
  let isAnswered = false;
  const answered = async () => {
    await stream.open();
    isAnswered = true;
  };
  void answered();
  return {
    stream,
    isAnswered: async () => {
      await delay(0);
      return isAnswered;
    },
  };
}

function call(index: number): FakeCall {
  const found = calls[index];
  if (found === undefined) throw new Error(`no call ${index}`);
  return found;
}

function pass(ms: number): void {
  for (const untilMs = nowMs + ms; nowMs < untilMs; ) {
    nowMs += TICK_MS;
    timers.advance();
  }
}

test('each message is told before how far it was heard; an empty number ends that', () => {
  open();
  const only = call(0).answer(200);
  only.say('a', 1);
  only.say(undefined, 2);
  only.say('', 3);
  expect(told).toEqual(['said 1', 'heard a', 'said 2', 'heard a', 'said 3', 'heard undefined']);
});

test('a broken stream is gone on with behind what was heard', () => {
  open();
  call(0).answer(200).say('a', 1);
  call(0).handler.onEnd();
  pass(2000);
  expect(calls.map(({ lastEventId }) => lastEventId)).toEqual([undefined, 'a']);
});

describe('behind what somebody else had heard', () => {
  test('there is a stream beside it, for a server that only says again what was missed', async () => {
    const { isAnswered } = open('a');
    call(0).answer(200);
    expect(await isAnswered()).toBe(false);
    expect(call(1).lastEventId).toBeUndefined();
    call(1).answer(200);
    expect(await isAnswered()).toBe(true);
    call(0).say('b', 2);
    call(0).handler.onEnd();
    call(1).say('c', 3);
    pass(60_000);
    expect(told).toEqual(['said 2', 'heard b', 'said 3', 'heard c']);
    expect(calls.length).toBe(2);
    call(1).handler.onEnd();
    pass(2000);
    expect(call(2).lastEventId).toBe('c');
  });

  test('a server that speaks on the first refuses the second, once', async () => {
    const { isAnswered } = open('a');
    call(0).answer(200);
    call(1).answer(409);
    expect(await isAnswered()).toBe(true);
    expect(call(1).isAborted).toBe(true);
    pass(60_000);
    expect(calls.length).toBe(2);
    call(0).say('b', 2);
    expect(told).toEqual(['said 2', 'heard b']);
    call(0).handler.onEnd();
    pass(2000);
    expect(call(2).lastEventId).toBe('b');
  });

  test.each([400, 403, 405, 416])(
    'a server that answers %i is asked for what comes from now on, at once',
    async (status) => {
      const { isAnswered } = open('a');
      call(0).answer(status);
      expect(call(1).lastEventId).toBeUndefined();
      expect(await isAnswered()).toBe(false);
      call(1).answer(200).say('b', 2);
      expect(await isAnswered()).toBe(true);
      call(1).handler.onEnd();
      pass(2000);
      // It would refuse again.
      expect(calls.slice(2).map(({ lastEventId }) => lastEventId)).toEqual([undefined]);
    },
  );

  test('a server without such a stream is asked twice and never again', async () => {
    const { isAnswered } = open('a');
    call(0).answer(405);
    call(1).answer(405);
    pass(60_000);
    expect(await isAnswered()).toBe(true);
    expect(calls.length).toBe(2);
  });

  test.each([409, 429, 503])('a server that answers %i is asked again later, by the same number', async (status) => {
    const { isAnswered } = open('a');
    call(0).answer(status);
    expect(await isAnswered()).toBe(true);
    expect(calls.length).toBe(1);
    pass(2000);
    expect(call(1).lastEventId).toBe('a');
  });

  test('a session that the server does not know is gone', () => {
    open('a');
    call(0).answer(404);
    expect(isGone).toBe(true);
    pass(60_000);
    expect(calls.length).toBe(1);
  });

  test('both wait, and both end, with the session', () => {
    const { stream } = open('a');
    call(0).answer(200);
    stream.pause();
    expect(calls.map(({ isPaused }) => isPaused)).toEqual([true, true]);
    stream.resume();
    expect(calls.map(({ isPaused }) => isPaused)).toEqual([false, false]);
    stream.close();
    expect(calls.map(({ isAborted }) => isAborted)).toEqual([true, true]);
    call(0).handler.onEnd();
    pass(60_000);
    expect(calls.length).toBe(2);
  });

  test('a stream that cannot be read is left, and asked for again', () => {
    open('a');
    call(0).answer(200);
    call(1).answer(409);
    call(0).handler.onData(Buffer.alloc(2_000_000, 'x'));
    expect(call(0).isAborted).toBe(true);
    pass(2000);
    expect(call(2).lastEventId).toBe('a');
  });
});
