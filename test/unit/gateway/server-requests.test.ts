import { beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../../src/core/clock.js';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { ServerRequests, withId, withRequestId } from '../../../src/gateway/server-requests.js';
import type { Message, RequestId } from '../../../src/protocol/message.js';
import { scanUpstream } from '../../../src/protocol/scan.js';

const TIMEOUT_MS = 1000;

let nowMs: number;
let timers: TimerWheel;
let requests: ServerRequests;

beforeEach(() => {
  nowMs = 0;
  const clock: Clock = { now: () => nowMs, wallTimeMs: () => nowMs };
  timers = new TimerWheel(100, 64, clock);
  requests = new ServerRequests(timers, TIMEOUT_MS, { questionOpened: () => {}, questionClosed: () => {} });
});

const message = (value: object) => scanUpstream(Buffer.from(JSON.stringify(value))) as Message;
const ping = (id: RequestId) => message({ jsonrpc: '2.0', id, method: 'ping' }) as Message & { id: RequestId };
const answerTo = (id: RequestId) => message({ jsonrpc: '2.0', id, result: {} });
const textOf = (each: Message | undefined) => each?.raw.toString();

test('a request and its answer keep their id', () => {
  const request = ping(7);
  expect(requests.register(request)).toBe(request);
  const answer = answerTo(7);
  expect(requests.take(answer)).toBe(answer);
  expect(requests.size).toBe(0);
});

test('an id that is in use is replaced toward the client, and put back toward the server', () => {
  requests.register(ping('same'));
  const second = requests.register(ping('same'));
  expect(second.id).not.toBe('same');
  expect(textOf(second)).toBe(`{"jsonrpc":"2.0","id":${JSON.stringify(second.id)},"method":"ping"}`);
  expect(textOf(requests.take(answerTo(second.id as RequestId)))).toBe('{"jsonrpc":"2.0","id":"same","result":{}}');
  expect(requests.take(answerTo('same'))?.id).toBe('same');
});

test('ids of different types are different ids', () => {
  expect([requests.register(ping(1)).id, requests.register(ping('1')).id]).toEqual([1, '1']);
});

test('an answer is taken once, and one to nothing never', () => {
  requests.register(ping(1));
  expect(requests.take(answerTo('1'))).toBeUndefined();
  expect(requests.take(answerTo(1))).toBeDefined();
  expect(requests.take(answerTo(1))).toBeUndefined();
});

test('an answer that comes too late is no answer', () => {
  requests.register(ping(1));
  nowMs += TIMEOUT_MS + 200;
  timers.advance();
  expect(requests.size).toBe(0);
  expect(requests.take(answerTo(1))).toBeUndefined();
});

test('what is answered, forgotten or cleared leaves no timer behind', () => {
  for (const id of [1, 2, 3, 4]) requests.register(ping(id));
  requests.take(answerTo(1));
  requests.forget(2);
  expect(requests.clientIdOf(2)).toBeUndefined();
  expect(requests.clientIdOf(3)).toBe(3);
  requests.clear();
  expect(timers.size).toBe(0);
});

test('another id changes those bytes and no others', () => {
  const odd = '{"jsonrpc":"2.0", "x":[1.50,"\\u0041"] ,"id":"a","method":"m","params":{"requestId": 3 ,"n":1e2}}';
  const scanned = scanUpstream(Buffer.from(odd)) as Message;
  expect(textOf(withId(scanned, 'quote"'))).toBe(odd.replace('"a"', '"quote\\""'));
  const cancelled = message({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 3 } });
  expect(withRequestId(cancelled, 'other').requestId).toBe('other');
  expect(() => withId(cancelled, 1)).toThrow(TypeError);
  expect(() => withRequestId(ping(1), 1)).toThrow(TypeError);
});
