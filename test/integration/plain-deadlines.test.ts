/** How long a connection may wait for what, and which connections end when a server does. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type BrokenRequest, PlainConnection, type PlainService } from '../../src/http-server/plain-connection.js';
import type { ServedRequest, ServedResponse } from '../../src/http-server/types.js';
import { type Loopback, listenOnLoopback } from '../helpers/loopback.js';
import { RawConnection } from '../helpers/raw-http.js';
import { waitFor } from '../helpers/wait.js';
import { answer, chunkedPost, get, nextEcho, PlainRig, post } from './plain-support.js';

const FIRST_BYTES_MS = 10_000;
const BODY_MS = 30_000;
const IDLE_MS = 75_000;
const LINGER_MS = 2000;
const A_DAY_MS = 24 * 3_600_000;
const START_MS = 1_000_000;

/** Serves one connection, in a time of its own. */
class OneConnection implements PlainService {
  nowMs = START_MS;
  readonly httpDate = new Date(0).toUTCString();
  isClosing = false;
  readonly broken: BrokenRequest[] = [];
  readonly served: { readonly request: ServedRequest; readonly response: ServedResponse }[] = [];
  isHandedOver = false;
  isClosed = false;
  client!: RawConnection;
  socket!: Socket;
  connection!: PlainConnection;

  takes(): boolean {
    return true;
  }
  serve(request: ServedRequest, response: ServedResponse): void {
    this.served.push({ request, response });
  }
  handOver(): void {
    this.isHandedOver = true;
  }
  /** Leaves it to the deadline to close. */
  answerBroken(socket: Socket, code: BrokenRequest): void {
    this.broken.push(code);
    socket.end('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n');
  }
  closed(): void {
    this.isClosed = true;
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.connection.checkDeadline(this.nowMs);
  }

  async send(text: string): Promise<void> {
    const { bytesRead } = this.socket;
    this.client.send(text);
    await waitFor('the bytes', () => this.socket.bytesRead === bytesRead + text.length);
    await nextTurn();
  }

  answerLast(): void {
    const last = this.served.at(-1);
    if (last !== undefined) answer(last.response, 'x');
  }
}

let one: OneConnection;
let loopback: Loopback;

beforeEach(async () => {
  one = new OneConnection();
  const server = createServer({ allowHalfOpen: true });
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  loopback = await listenOnLoopback(server);
  one.client = await RawConnection.open(loopback.port);
  [one.socket] = await accepted;
  one.connection = new PlainConnection(one, one.socket);
});

afterEach(async () => {
  one.client.destroy();
  await loopback.close();
});

test('waits 10 seconds for the first bytes', async () => {
  one.pass(FIRST_BYTES_MS - 1);
  expect(one.socket.destroyed).toBe(false);
  one.pass(1);
  expect(one.socket.destroyed).toBe(true);
  await one.client.closed();
  expect(one.client.received).toBe('');
});

test('waits 30 seconds for the end of a body, however it trickles in', async () => {
  const text = post('/a', 'hello');
  await one.send(text.slice(0, -2));
  one.pass(BODY_MS - 1);
  await one.send(text.slice(-2, -1));
  expect(one.broken).toEqual([]);
  one.pass(1);
  expect(one.broken).toEqual(['ERR_HTTP_REQUEST_TIMEOUT']);
  expect(one.served[0]?.response.destroyed).toBe(true);
  expect((await one.client.response()).status).toBe(408);
});

test('tells once that a body did not come, and then waits 2 seconds for the client to close', async () => {
  await one.send(post('/a', 'hello').slice(0, -1));
  one.pass(BODY_MS);
  one.pass(LINGER_MS - 1);
  expect(one.broken).toHaveLength(1);
  expect(one.socket.destroyed).toBe(false);
  one.pass(1);
  expect(one.broken).toHaveLength(1);
  expect(one.socket.destroyed).toBe(true);
});

test('waits 30 seconds for the body of a request that was answered, and 2 for the client to close', async () => {
  await one.send(post('/a', 'hello').slice(0, -1));
  one.answerLast();
  await one.client.response();
  one.pass(BODY_MS - 1);
  expect(one.socket.writableEnded).toBe(false);
  one.pass(1);
  await one.client.closed();
  // The answer was given: nothing else is said.
  expect(one.broken).toEqual([]);
  expect(one.client.received).toBe('');
  one.pass(LINGER_MS - 1);
  expect(one.socket.destroyed).toBe(false);
  one.pass(1);
  expect(one.socket.destroyed).toBe(true);
});

test('waits 2 seconds for a client to close whose endless answer was ended', async () => {
  await one.send(get('/a'));
  const response = one.served[0]?.response;
  if (response !== undefined) response.useChunkedEncodingByDefault = false;
  response?.writeHead(200).flushHeaders();
  await one.send(get('/b'));
  expect(response?.destroyed).toBe(true);
  one.pass(LINGER_MS - 1);
  expect(one.socket.destroyed).toBe(false);
  one.pass(1);
  expect(one.socket.destroyed).toBe(true);
});

test('waits for an answer as long as it takes', async () => {
  await one.send(post('/a', 'hello'));
  one.pass(A_DAY_MS);
  one.served[0]?.response.writeHead(200);
  one.served[0]?.response.write('one ');
  one.pass(A_DAY_MS);
  one.served[0]?.response.end('two');
  expect((await one.client.response()).body).toBe('one two');
});

test('waits 75 seconds for the next request', async () => {
  for (let i = 0; i < 3; i += 1) {
    await one.send(post('/a', 'hello'));
    one.answerLast();
    await one.client.response();
    one.pass(IDLE_MS - 1);
    expect(one.socket.destroyed).toBe(false);
  }
  one.pass(1);
  expect(one.socket.destroyed).toBe(true);
});

test('gives the time of a body to the next request anew', async () => {
  const text = post('/a', 'hello');
  await one.send(text);
  one.pass(BODY_MS - 1);
  one.answerLast();
  await one.client.response();
  await one.send(text.slice(0, -1));
  one.pass(BODY_MS - 1);
  expect(one.broken).toEqual([]);
  one.pass(1);
  expect(one.broken).toHaveLength(1);
});

test.each([
  ['an incomplete head', post('/a', '').slice(0, -1)],
  ['one byte', 'P'],
  ['a chunked request', chunkedPost('/a', 'x')],
])('has no deadline for what it has handed over: %s', async (_what, text) => {
  await one.send(text);
  expect(one.isHandedOver).toBe(true);
  expect(one.socket.listenerCount('close')).toBe(1);
  expect(one.socket.listenerCount('timeout')).toBe(0);
});

test('takes one more request when the server closes: Node would cut what it has not read yet', async () => {
  one.isClosing = true;
  await one.send(post('/a', 'hello'));
  expect(one.served).toHaveLength(1);
  expect(one.isHandedOver).toBe(false);
  one.answerLast();
  expect((await one.client.response()).headers.get('connection')).toBe('close');
  await one.client.closed();
  expect(one.client.wasReset).toBe(false);
});

test('ends a connection with the answer that was due when the server closed', async () => {
  await one.send(post('/a', 'hello') + post('/b', 'hello'));
  one.isClosing = true;
  one.answerLast();
  expect((await one.client.response()).body).toBe('x');
  await one.client.closed();
  expect(one.client.wasReset).toBe(false);
  expect(one.served).toHaveLength(1);
  await waitFor('the end', () => one.isClosed);
});

test('counts as idle only between two requests', async () => {
  const { connection } = one;
  expect(connection.isIdle).toBe(false);
  await one.send(post('/a', 'hello').slice(0, -1));
  expect(connection.isIdle).toBe(false);
  one.answerLast();
  await one.client.response();
  expect(connection.isIdle).toBe(false);
  await one.send('o');
  expect(connection.isIdle).toBe(true);
});

let rig: PlainRig | undefined;

afterEach(async () => {
  vi.useRealTimers();
  await rig?.close();
  rig = undefined;
});

test('looks at the time of every connection', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'] });
  rig = await PlainRig.start();
  const fresh = await rig.connect();
  const waiting = await rig.connect();
  const idle = await rig.connect();
  const busy = await rig.connect();
  const open = rig;
  await vi.waitUntil(() => open.openSockets === 4);
  waiting.send(post('/a', 'hello').slice(0, -1));
  idle.send(get('/b'));
  const first = await nextEcho(idle);
  expect(first.url).toBe('/b');
  rig.serve = () => {};
  busy.send(get('/c'));
  await vi.waitUntil(() => open.seen.length === 3);
  vi.advanceTimersByTime(FIRST_BYTES_MS + 1000);
  await fresh.closed();
  expect(open.openSockets).toBe(3);
  vi.advanceTimersByTime(BODY_MS);
  expect((await waiting.response()).status).toBe(408);
  expect(idle.closedByPeer).toBe(false);
  vi.advanceTimersByTime(IDLE_MS);
  await idle.closed();
  await nextTurn();
  expect(busy.closedByPeer).toBe(false);
});

test('cuts idle connections, but none that is busy or new', async () => {
  rig = await PlainRig.start();
  const open = rig;
  const [idle, busy, fresh] = [await rig.connect(), await rig.connect(), await rig.connect()];
  idle.send(get('/a'));
  await nextEcho(idle);
  let due: ServedResponse | undefined;
  rig.serve = (_request, response) => {
    due = response;
  };
  busy.send(post('/b', 'x'));
  await waitFor('the request', () => due);
  await waitFor('the third', () => open.openSockets === 3);
  rig.front.closeIdle();
  await idle.closed();
  if (due !== undefined) answer(due, 'done');
  expect((await busy.response()).body).toBe('done');
  rig.serve = (_request, response) => answer(response, 'served');
  fresh.send(get('/c'));
  expect((await fresh.response()).body).toBe('served');
});

test('cuts every connection when told to, and nothing of the server is left', async () => {
  rig = await PlainRig.start();
  const open = rig;
  const clients = [await rig.connect(), await rig.connect(), await rig.connect(), await rig.connect()];
  const [idle, busy, half] = clients;
  idle?.send(get('/a'));
  await waitFor('an answer', () => idle?.received !== '');
  rig.serve = () => {};
  busy?.send(post('/b', 'x'));
  half?.send(post('/c', 'xy').slice(0, -1));
  await waitFor('the requests', () => open.seen.length === 3);
  await waitFor('the fourth', () => open.openSockets === 4);
  const closed = once(rig.server, 'close');
  rig.server.close();
  rig.front.closeAll();
  await closed;
  for (const client of clients) await client.closed();
  expect(rig.openSockets).toBe(0);
});

test('wants a server that somebody listens to', async () => {
  const { createServer: createHttpServer } = await import('node:http');
  const { PlainFront } = await import('../../src/http-server/plain-front.js');
  const server = createHttpServer();
  server.removeAllListeners('connection');
  const handlers = { takes: () => true, serve: () => {}, answerBroken: () => {} };
  expect(() => new PlainFront(server, handlers)).toThrow('nobody who takes its connections');
});
