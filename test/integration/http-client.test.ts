/** The upstream HTTP client against Node's own HTTP server. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TimerWheel } from '../../src/core/timer-wheel.js';
import { HttpClient } from '../../src/http-client/client.js';
import { renderHeaders } from '../../src/http-client/headers.js';
import { type Loopback, listenOnLoopback } from '../helpers/loopback.js';
import { startUnacceptingListener } from '../helpers/unaccepting-listener.js';
import { delay, waitFor, within } from '../helpers/wait.js';
import { GET, newClient, post, Recorder, send, start, withClient } from './http-client-support.js';

let respond: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;
let server: Loopback;
let client: HttpClient;

beforeEach(async () => {
  const httpServer = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => respond(request, response, Buffer.concat(chunks)));
  });
  server = await listenOnLoopback(httpServer);
  client = newClient(server.port);
});

afterEach(async () => {
  await within('the client to close', client.close());
  await server.close();
});

test('sends method, path, headers and body, and hands out status, headers and body', async () => {
  respond = (request, response, body) => {
    const { method, url, headers } = request;
    response.writeHead(201, { 'Content-Type': 'application/json', 'X-Two': ['a', 'b'] });
    response.end(JSON.stringify({ method, url, headers, body: body.toString() }));
  };
  const headers = renderHeaders([['Authorization', 'Bearer abc']]);
  const answer = await send(client, post('{"id":1}', { path: '/mcp?x=%20y', headers }));
  expect(answer.events).toEqual(['headers', 'data', 'end']);
  expect(answer.status).toBe(201);
  expect(answer.headers?.get('content-type')).toBe('application/json');
  expect(answer.headers?.get('x-two')).toBe('a, b');
  expect(answer.headers?.get('x-three')).toBeUndefined();
  expect(JSON.parse(answer.body)).toEqual({
    method: 'POST',
    url: '/mcp?x=%20y',
    headers: {
      host: `127.0.0.1:${server.port}`,
      'accept-encoding': 'identity',
      authorization: 'Bearer abc',
      'content-length': '8',
    },
    body: '{"id":1}',
  });
});

test('carries bodies of megabytes both ways, byte for byte', async () => {
  const body = randomBytes(4 * 1024 * 1024);
  respond = (_request, response, received) => response.end(received);
  const answer = await send(client, post(body));
  const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  expect(hash(Buffer.concat(answer.chunks))).toBe(hash(body));
});

test('reads a chunked stream as it comes', async () => {
  let write: (text: string) => void = () => {};
  respond = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    write = (text) => (text === '' ? response.end() : response.write(text));
  };
  const { answer } = start(client, GET);
  await waitFor('the head', () => answer.status === 200);
  for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
    write(text);
    await waitFor(text, () => answer.body.endsWith(text));
  }
  expect(answer.events).toEqual(['headers', 'data']);
  write('');
  await answer.over();
  expect(answer.body).toBe('data: 1\n\ndata: 2\n\n');
});

test('uses one connection for calls one after another, and one each for calls at once', async () => {
  respond = (request, response) => response.end(String(request.socket.remotePort));
  const ports = [await send(client), await send(client, post('x')), await send(client)].map((each) => each.body);
  expect(new Set(ports).size).toBe(1);
  expect(client.openSockets).toBe(1);
  const atOnce = await Promise.all([send(client), send(client), send(client)]);
  expect(new Set(atOnce.map((each) => each.body)).size).toBe(3);
  expect(client.openSockets).toBe(3);
});

test('takes the connection used last first', async () => {
  const held: ServerResponse[] = [];
  respond = (request, response) => {
    if (request.method === 'POST') held.push(response);
    else response.end(String(request.socket.remotePort));
  };
  const first = start(client, post('1')).answer;
  const second = start(client, post('2')).answer;
  await waitFor('both calls', () => held.length === 2);
  const ports = held.map((response) => String(response.socket?.remotePort));
  for (const [index, response] of held.entries()) {
    response.end();
    await waitFor('its end', () => (index === 0 ? [first, second] : [second, first]).some((each) => each.isOver));
    await delay(10);
  }
  expect([await send(client), await send(client)].map((each) => each.body)).toEqual([ports[1], ports[1]]);
});

test('sends the next request from inside onEnd on the same connection', async () => {
  respond = (request, response) => response.end(String(request.socket.remotePort));
  const second = new Recorder();
  const first = new Recorder();
  first.onEnd = () => {
    first.events.push('end');
    client.request(GET, second);
  };
  client.request(GET, first);
  await second.over();
  expect(second.body).toBe(first.body);
  expect(client.openSockets).toBe(1);
});

test('never writes into bytes it has handed out', async () => {
  respond = (_request, response, body) => response.end(body);
  const kept: Buffer[] = [];
  const answers = Array.from({ length: 20 }, async (_, index) => {
    const answer = new Recorder();
    answer.onData = (chunk) => void kept.push(chunk);
    client.request(post(String.fromCharCode(65 + index).repeat(5000)), answer);
    await answer.over();
  });
  await Promise.all(answers);
  for (let round = 0; round < 20; round += 1) await send(client, post('!'.repeat(5000)));
  const letters = new Set(Buffer.concat(kept).toString());
  expect([...letters].toSorted().join('')).toBe('ABCDEFGHIJKLMNOPQRST');
});

test('drops a connection the server wants closed', async () => {
  respond = (_request, response) => {
    response.setHeader('connection', 'close');
    response.end('bye');
  };
  expect((await send(client)).body).toBe('bye');
  await waitFor('the socket to close', () => client.openSockets === 0);
});

test('keeps at most as many idle connections as allowed', async () => {
  await withClient(server.port, { maxIdleSockets: 1 }, async (limited) => {
    respond = (_request, response) => response.end('x');
    await Promise.all([send(limited), send(limited), send(limited)]);
    await waitFor('two sockets to close', () => limited.openSockets === 1);
  });
});

test('drops an idle connection after its time', async () => {
  await withClient(server.port, { idleSocketTimeoutMs: 30 }, async (hasty) => {
    respond = (_request, response) => response.end('x');
    await send(hasty);
    expect(hasty.openSockets).toBe(1);
    await waitFor('the socket to close', () => hasty.openSockets === 0);
  });
});

test('does not count the time of a call as idle', async () => {
  await withClient(server.port, { idleSocketTimeoutMs: 40 }, async (hasty) => {
    respond = (request, response) => void delay(request.method === 'POST' ? 150 : 0).then(() => response.end('x'));
    await send(hasty);
    const answer = await send(hasty, post('slow'));
    expect(answer.error).toBeUndefined();
    expect(answer.body).toBe('x');
  });
});

test('leaves no timer behind', async () => {
  const timers = new TimerWheel(5);
  await withClient(server.port, { timers, connectTimeoutMs: 60_000, headersTimeoutMs: 60_000 }, async (timed) => {
    respond = (request, response) => {
      if (request.method === 'GET') response.end('x');
    };
    await send(timed);
    expect(timers.size).toBe(1);
    const { call } = start(timed, post('x'));
    expect(timers.size).toBe(1);
    call.abort();
    expect(timers.size).toBe(0);
    start(timed, GET).call.abort();
    expect(timers.size).toBe(0);
    const { answer } = start(timed, post('x'));
    await waitFor('the request to arrive', () => server.sockets.size > 0);
    await timed.close();
    expect(answer.error?.reason).toBe('closed');
    expect(timers.size).toBe(0);
  });
});

test('believes the server when it keeps idle connections for a shorter time', async () => {
  respond = (_request, response) => {
    response.setHeader('keep-alive', 'timeout=1');
    response.setHeader('connection', 'keep-alive');
    response.end('x');
  };
  await send(client);
  await waitFor('the socket to close', () => client.openSockets === 0);
});

test('does not follow redirects', async () => {
  respond = (_request, response) => response.writeHead(302, { location: '/other' }).end();
  const answer = await send(client);
  expect(answer.status).toBe(302);
  expect(answer.headers?.get('location')).toBe('/other');
});

test('sees a server that closes an idle connection', async () => {
  respond = (_request, response) => response.end('x');
  await send(client);
  server.killConnections();
  await waitFor('the socket to close', () => client.openSockets === 0);
  expect((await send(client)).body).toBe('x');
});

test('says nothing after abort, whenever it comes', async () => {
  respond = (_request, response) => {
    response.write('some');
  };
  const early = start(client, GET);
  early.call.abort();
  const late = start(client, GET);
  await waitFor('data', () => late.answer.body === 'some');
  late.call.abort();
  late.call.abort();
  late.call.resume();
  await waitFor('both sockets to close', () => client.openSockets === 0);
  expect(early.answer.events).toEqual([]);
  expect(early.call.bytesSent).toBe(false);
  expect(late.answer.events).toEqual(['headers', 'data']);
  expect(late.call.bytesSent).toBe(true);
});

test('abort after the end leaves the connection alone', async () => {
  respond = (_request, response) => response.end('x');
  const { call, answer } = start(client, GET);
  await answer.over();
  call.abort();
  await send(client);
  expect(server.sockets.size).toBe(1);
});

test.each(['onHeaders', 'onData', 'onEnd'] as const)(
  'survives a handler that throws in %s, and reports it',
  async (name) => {
    respond = (_request, response) => response.end('x');
    const reported: unknown[] = [];
    await withClient(server.port, { onHandlerError: (error) => reported.push(error) }, async (careful) => {
      const answer = new Recorder();
      const thrown = new Error(`thrown in ${name}`);
      answer[name] = () => {
        throw thrown;
      };
      careful.request(GET, answer);
      await waitFor('the report', () => reported.length > 0);
      expect((await send(careful)).body).toBe('x');
      expect(reported).toEqual([thrown]);
      expect(answer.isOver).toBe(false);
    });
  },
);

test('survives a handler that throws in onError, and reports it', async () => {
  respond = (request) => request.socket.destroy();
  const reported: unknown[] = [];
  await withClient(server.port, { onHandlerError: (error) => reported.push(error) }, async (careful) => {
    const answer = new Recorder();
    answer.onError = () => {
      throw new Error('thrown in onError');
    };
    careful.request(GET, answer);
    await waitFor('the report', () => reported.length > 0);
    expect(reported).toEqual([new Error('thrown in onError')]);
  });
});

test('warns of a handler that throws when nobody asked to be told', async () => {
  respond = (_request, response) => response.end('x');
  const warnings: Error[] = [];
  const listener = (warning: Error): void => void warnings.push(warning);
  process.on('warning', listener);
  const answer = new Recorder();
  answer.onData = () => {
    throw new Error('thrown with nobody told');
  };
  client.request(GET, answer);
  await waitFor('the warning', () => warnings.some((warning) => warning.message === 'thrown with nobody told'));
  process.off('warning', listener);
});

test('close ends calls in flight and idle connections, and refuses new calls', async () => {
  respond = (request, response) => {
    if (request.method === 'GET') response.write('some');
    else response.end();
  };
  await send(client, post('x'));
  const streaming = start(client, GET);
  const waiting = start(client, GET);
  waiting.call.pause();
  await waitFor('data', () => streaming.answer.body === 'some');
  streaming.call.pause();
  const [first, second] = [client.close(), client.close()];
  expect(streaming.answer.error).toMatchObject({ code: 'UPSTREAM_HTTP', reason: 'closed', sent: 'unknown' });
  expect(waiting.answer.events).toEqual(['error']);
  await within('both to resolve', Promise.all([first, second]));
  expect(client.openSockets).toBe(0);
  const { answer } = start(client, GET);
  expect(answer.events).toEqual([]);
  await answer.over();
  expect(answer.error).toMatchObject({ reason: 'closed', sent: 'no' });
});

test('gives up on a head that does not come', async () => {
  respond = () => {};
  const answer = await send(client, { ...GET, path: '/secret?token=abc', headersTimeoutMs: 40 });
  expect(answer.events).toEqual(['error']);
  expect(answer.error).toMatchObject({ reason: 'headers_timeout', sent: 'unknown', timeoutMs: 40 });
  expect(answer.error?.message).toBe(`http://127.0.0.1:${server.port} sent no response head within 40 ms`);
});

test('waits for ever when told so, and never for a body', async () => {
  await withClient(server.port, { headersTimeoutMs: 30 }, async (hasty) => {
    respond = (request, response) => {
      if (request.method === 'GET') response.write('head and some');
      else void delay(120).then(() => response.end('late'));
    };
    const stream = start(hasty, GET).answer;
    expect((await send(hasty, post('x', { headersTimeoutMs: 0 }))).body).toBe('late');
    expect(stream.events).toEqual(['headers', 'data']);
  });
});

test('says that nothing was sent when nobody listens', async () => {
  await server.close();
  const { call, answer } = start(client, post('x'));
  await answer.over();
  expect(answer.error).toMatchObject({ reason: 'connect', sent: 'no', timeoutMs: undefined });
  expect(answer.error?.cause).toMatchObject({ code: 'ECONNREFUSED' });
  expect(call.bytesSent).toBe(false);
});

test('tells a paused call at once that it will get nothing', async () => {
  await server.close();
  const { call, answer } = start(client, post('x'));
  call.pause();
  await answer.over();
  expect(answer.error?.reason).toBe('connect');
});

test('gives up on a connection that is not accepted', async () => {
  const listener = await startUnacceptingListener();
  try {
    await withClient(listener.port, { connectTimeoutMs: 60 }, async (hasty) => {
      const answer = await send(hasty, post('x'));
      expect(answer.error).toMatchObject({ reason: 'connect_timeout', sent: 'no', timeoutMs: 60 });
    });
  } finally {
    await listener.close();
  }
});

test('finds a name that has several addresses', async () => {
  respond = (request, response) => response.end(request.headers.host);
  await withClient(server.port, { origin: new URL(`http://localhost:${server.port}`) }, async (named) => {
    expect((await send(named)).body).toBe(`localhost:${server.port}`);
  });
});

test('keeps user info of the origin out of errors and off the wire', async () => {
  respond = (request) => request.socket.destroy();
  await withClient(server.port, { origin: new URL(`http://user:hunter2@127.0.0.1:${server.port}`) }, async (named) => {
    const { error } = await send(named);
    expect(error?.reason).toBe('reset');
    expect(`${error?.message} ${error?.stack}`).not.toContain('hunter2');
  });
});

test('refuses an illegal path before anything is sent', async () => {
  respond = (_request, response) => response.end('x');
  expect(() => client.request({ ...GET, path: '/a\r\nx: y' }, new Recorder())).toThrow(TypeError);
  expect(client.openSockets).toBe(0);
});

test('refuses origins that are not HTTP', () => {
  const options = { connectTimeoutMs: 1, headersTimeoutMs: 1, timers: new TimerWheel() };
  expect(() => new HttpClient({ ...options, origin: new URL('ftp://example.com') })).toThrow('no HTTP origin');
});
