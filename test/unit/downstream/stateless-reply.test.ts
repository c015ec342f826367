import { EventEmitter } from 'node:events';
import { beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../../src/core/clock.js';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import type { HttpExchange } from '../../../src/downstream/http-exchange.js';
import { StatelessReply } from '../../../src/downstream/stateless-reply.js';
import { errorResponse, ownNotification } from '../../../src/protocol/json-rpc.js';

class FakeResponse extends EventEmitter {
  destroyed = false;

  writeHead(): void {}

  write(): boolean {
    return true;
  }

  end(): void {}

  setTimeout(): void {}

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

let nowMs: number;
let timers: TimerWheel;
let response: FakeResponse;

beforeEach(() => {
  nowMs = 0;
  response = new FakeResponse();
});

/** Wall time, 60 s from the start of each test. */
const TOKEN_END_MS = 1_060_000;

/** @param expiresAtMs When the token of the caller ends; undefined when it does not. */
function reply(expiresAtMs?: number): StatelessReply {
  const clock: Clock = { now: () => nowMs, wallTimeMs: () => 1_000_000 + nowMs };
  timers = new TimerWheel(100, 64, clock);
  const exchange = { response, headers: [], caller: { principal: { expiresAtMs } } } as unknown as HttpExchange;
  return new StatelessReply(exchange, timers, clock);
}

function pass(ms: number): void {
  for (const end = nowMs + ms; nowMs < end; ) {
    nowMs += 100;
    timers.advance();
  }
}

test('a stream is cut when the token of the caller ends, and whoever feeds it is told', () => {
  let gone = 0;
  const stream = reply(TOKEN_END_MS);
  stream.setOwner({ gone: () => (gone += 1), pressed: () => {} });
  stream.send(ownNotification('notifications/message', {}));
  pass(59_800);
  expect([response.destroyed, gone]).toEqual([false, 0]);
  pass(400);
  expect([response.destroyed, gone]).toEqual([true, 1]);
  expect(timers.size).toBe(0);
});

test('a stream that only ever was kept alive is cut too', () => {
  reply(TOKEN_END_MS).expectEvents();
  pass(60_200);
  expect(response.destroyed).toBe(true);
});

test('a stream of a caller whose credential does not end goes on', () => {
  reply().expectEvents();
  pass(200_000);
  expect(response.destroyed).toBe(false);
});

test('a stream that was answered leaves no timer behind', () => {
  const stream = reply(TOKEN_END_MS);
  stream.expectEvents();
  stream.answer(errorResponse(1, { code: -32603, message: 'no' }));
  expect(timers.size).toBe(0);
  expect(response.destroyed).toBe(false);
});
