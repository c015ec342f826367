/** A stateless answer that takes its time keeps its connection alive, by a clock that the test moves. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TimerWheel } from '../../src/core/timer-wheel.js';
import type { HttpExchange } from '../../src/downstream/http-exchange.js';
import { StatelessReply } from '../../src/downstream/stateless-reply.js';
import { ownNotification, resultResponse } from '../../src/protocol/json-rpc.js';
import { listenOnLoopback, type Loopback } from '../helpers/loopback.js';
import { RawConnection } from '../helpers/raw-http.js';
import { waitFor } from '../helpers/wait.js';

const KEEP_ALIVE_MS = 15_000;
const PING = ': ping\n\n';

let nowMs: number;
let timers: TimerWheel;
let listener: Loopback;
let reply: StatelessReply | undefined;

beforeEach(async () => {
  nowMs = 1_000_000;
  reply = undefined;
  const clock = { now: () => nowMs, wallTimeMs: () => nowMs };
  timers = new TimerWheel(50, 512, clock);
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    reply = new StatelessReply(exchangeOf(request, response), timers, clock);
  });
  listener = await listenOnLoopback(server);
});

afterEach(() => listener.close());

function exchangeOf(request: IncomingMessage, response: ServerResponse): HttpExchange {
  const principal = {
    id: 'somebody',
    kind: 'anonymous' as const,
    role: undefined,
    tenant: undefined,
    claims: {},
    expiresAtMs: undefined,
  };
  const caller = { principal, ip: '127.0.0.1', headers: request.headers };
  return { request, response, query: '', caller, headers: [], publicPrefix: '' };
}

async function open(): Promise<RawConnection> {
  const connection = await RawConnection.open(listener.port);
  connection.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  await waitFor('the request to arrive', () => reply);
  return connection;
}

function pass(ms: number): void {
  nowMs += ms;
  timers.advance();
}

function pingsIn(connection: RawConnection): number {
  return connection.received.split(PING).length - 1;
}

test('says nothing before its time, and then becomes a stream that is kept alive', async () => {
  const connection = await open();
  pass(KEEP_ALIVE_MS - 100);
  expect(connection.received).toBe('');
  pass(200);
  await waitFor('a comment', () => pingsIn(connection) === 1);
  expect((await connection.head()).headers.get('content-type')).toBe('text/event-stream');
  pass(KEEP_ALIVE_MS + 100);
  await waitFor('another comment', () => pingsIn(connection) === 2);
  connection.destroy();
});

test('still brings notifications and the answer, and pings no more behind it', async () => {
  const connection = await open();
  pass(KEEP_ALIVE_MS + 100);
  reply?.send(ownNotification('notifications/x', {}));
  reply?.answer(resultResponse(1, '{"done":true}'));
  await connection.response();
  expect(timers.size).toBe(0);
  connection.destroy();
});

test('keeps nothing armed for a client that left', async () => {
  const connection = await open();
  pass(KEEP_ALIVE_MS + 100);
  await waitFor('a comment', () => pingsIn(connection) === 1);
  connection.destroy();
  await waitFor('the timers to be let go', () => timers.size === 0);
});
