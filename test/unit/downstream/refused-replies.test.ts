/** A request that is refused at once is answered once: its reply does not open a stream of its own later. */
import { beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../../src/core/clock.js';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import type { ClientSession, RouteDoor } from '../../../src/downstream/client-session.js';
import type { HttpExchange } from '../../../src/downstream/http-exchange.js';
import { receiveStreamable } from '../../../src/downstream/streamable-http.js';
import { OverloadedError, SessionMovedError } from '../../../src/protocol/session-errors.js';

const LIMITS = { bodyBytes: 10_000, maxDepth: 32, maxTokens: 1000 };
const OF_SESSION = { 'mcp-session-id': 'sealed' };
const CALL = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: {} } };
const INITIALIZE = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18' } };
const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
};
const MODERN = { ...CALL, params: { ...CALL.params, _meta: MODERN_META } };
const MODERN_HEADERS = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'echo' };

let nowMs: number;
let timers: TimerWheel;
let heads: number[];

beforeEach(() => {
  nowMs = 0;
  const clock: Clock = { now: () => nowMs, wallTimeMs: () => nowMs };
  timers = new TimerWheel(100, 64, clock);
  heads = [];
});

function refuse(): never {
  throw new OverloadedError('as many requests in flight as there may be', 1000);
}

function doorThat(receive: () => never): RouteDoor {
  const streams = { options: { timers } };
  const session = { id: 'sealed', streams, receive, close: () => {} } as unknown as ClientSession;
  return {
    timers,
    clock: { now: () => nowMs, wallTimeMs: () => nowMs },
    open: () => session,
    resolve: () => session,
    receiveStateless: receive,
  } as unknown as RouteDoor;
}

function ask(message: object, door: RouteDoor, moreHeaders: object, onMoved?: HttpExchange['onMoved']): void {
  const headers = {
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    ...moreHeaders,
  };
  const response = {
    destroyed: false,
    headersSent: false,
    req: { complete: true, headers },
    writeHead: (status: number) => heads.push(status),
    write: () => true,
    end: () => {},
    on: () => {},
    off: () => {},
  };
  const exchange = { request: { method: 'POST', headers }, response, headers: [], caller: { principal: {} } };
  const body = Buffer.from(JSON.stringify(message));
  receiveStreamable({ ...exchange, body, onMoved } as unknown as HttpExchange, door, LIMITS);
}

function pass(ms: number): void {
  for (const end = nowMs + ms; nowMs < end; ) {
    nowMs += 100;
    timers.advance();
  }
}

test('a request of a session', () => {
  ask(CALL, doorThat(refuse), OF_SESSION);
  pass(60_000);
  expect(heads).toEqual([503]);
  expect(timers.size).toBe(0);
});

test('an initialize', () => {
  ask(INITIALIZE, doorThat(refuse), {});
  pass(60_000);
  expect(heads).toEqual([503]);
  expect(timers.size).toBe(0);
});

test('a stateless request', () => {
  ask(MODERN, doorThat(refuse), MODERN_HEADERS);
  pass(60_000);
  expect(heads).toEqual([503]);
  expect(timers.size).toBe(0);
});

test('a request whose session has moved is left to whoever brings it there', () => {
  const moved: unknown[] = [];
  const leave = (): never => {
    throw new SessionMovedError(Promise.resolve());
  };
  ask(CALL, doorThat(leave), OF_SESSION, (body) => moved.push(body));
  pass(60_000);
  expect(moved.length).toBe(1);
  expect(heads).toEqual([]);
  expect(timers.size).toBe(0);
});
