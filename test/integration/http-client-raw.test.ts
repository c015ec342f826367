/** The upstream HTTP client against servers that choose every byte, and when the connection ends. */
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { HttpClient } from '../../src/http-client/client.js';
import { startNode } from '../helpers/child.js';
import { listenOnLoopback } from '../helpers/loopback.js';
import { delay, waitFor, within } from '../helpers/wait.js';
import {
  GET,
  newClient,
  ok,
  post,
  type RawServer,
  Recorder,
  send,
  start,
  startRawServer,
} from './http-client-support.js';

const open: { close(): Promise<void> }[] = [];

async function serve(
  onRequest: (socket: Socket, socketNumber: number, requestNumber: number) => void,
): Promise<{ server: RawServer; client: HttpClient }> {
  const server = await startRawServer(onRequest);
  const client = newClient(server.port);
  open.push(client, server);
  return { server, client };
}

afterEach(async () => {
  for (const each of open.splice(0)) await within('the end', each.close());
});

/** A server that answers the first bytes of a request and reads no more of it. */
async function serveUnreading(answer: string): Promise<{ client: HttpClient; reset: () => void }> {
  const server = await listenOnLoopback(
    createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.pause();
        socket.write(answer);
      });
    }),
  );
  const client = newClient(server.port);
  open.push(client, server);
  return {
    client,
    reset: () => {
      for (const socket of server.sockets) socket.resetAndDestroy();
    },
  };
}

describe('answers cut in pieces', () => {
  const answers: readonly [string, string, string][] = [
    ['length', ok('hello'), 'hello'],
    ['chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nx: y\r\n\r\n', 'hello'],
    ['interim', `HTTP/1.1 100 Continue\r\n\r\n${ok('hello')}`, 'hello'],
    ['no body', 'HTTP/1.1 204 No Content\r\n\r\n', ''],
  ];

  test.each(answers)('%s: byte by byte, on one connection', async (_, text, body) => {
    const { server, client } = await serve((socket) => void dribble(socket, text));
    for (let round = 0; round < 2; round += 1) {
      const answer = await send(client);
      expect(answer.error).toBeUndefined();
      expect(answer.body).toBe(body);
    }
    expect(server.accepted).toHaveLength(1);
  });
});

describe('refuses, and closes the connection', () => {
  const refused: readonly [string, string][] = [
    ['no HTTP at all', 'hello\r\n'],
    ['length and coding', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['a bare LF', 'HTTP/1.1 200 OK\n\n'],
    ['a bad chunk size', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n'],
    ['an endless head', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(17_000)}`],
    ['a second response', `${ok('one')}${ok('two')}`],
    ['bytes after a response without a body', 'HTTP/1.1 204 No Content\r\n\r\nx'],
    ['bytes after the last response', `${ok('one', 'connection: close\r\n')}x`],
  ];

  test.each(refused)('%s', async (_, text) => {
    const { server, client } = await serve((socket) => socket.write(text, 'latin1'));
    const answer = await send(client, post('x', { retryStale: true }));
    expect(answer.error).toMatchObject({ reason: 'protocol', sent: 'unknown' });
    expect(answer.events.at(-1)).toBe('error');
    await waitFor('the socket to close', () => client.openSockets === 0);
    expect(server.accepted).toHaveLength(1);
  });

  test('an answer that nobody asked for, on an idle connection', async () => {
    const { server, client } = await serve((socket, socketNumber, requestNumber) => {
      socket.write(ok(`${socketNumber}.${requestNumber}`));
    });
    expect((await send(client)).body).toBe('0.0');
    server.accepted[0]?.write(ok('poison'));
    await waitFor('the socket to close', () => client.openSockets === 0);
    expect((await send(client)).body).toBe('1.0');
  });
});

describe('connections that end', () => {
  const cut: readonly [string, string, string[]][] = [
    ['before a byte', '', ['error']],
    ['inside the head', 'HTTP/1.1 200 OK\r\ncontent-', ['error']],
    [
      'inside a body of a given length',
      'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello',
      ['headers', 'data', 'error'],
    ],
    ['inside a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhello', ['headers', 'data', 'error']],
    [
      'before the last chunk',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n',
      ['headers', 'data', 'error'],
    ],
    ['inside the trailers', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n', ['headers', 'error']],
  ];

  test.each(cut)('properly, but %s: reset', async (_, text, events) => {
    const { client } = await serve((socket) => socket.end(text));
    const answer = await send(client, post('x'));
    expect(answer.error).toMatchObject({ reason: 'reset', sent: 'unknown' });
    expect(answer.events).toEqual(events);
  });

  test('with a TCP reset: reset', async () => {
    const { client } = await serve((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\nsome', () => void delay(20).then(() => socket.resetAndDestroy()));
    });
    const answer = await send(client);
    expect(answer.error).toMatchObject({ reason: 'reset', sent: 'unknown', cause: { code: 'ECONNRESET' } });
    expect(answer.body).toBe('some');
  });

  test('as the end of a body without a length', async () => {
    const { client } = await serve((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nall there is'));
    const answer = await send(client);
    expect(answer.events).toEqual(['headers', 'data', 'end']);
    expect(answer.body).toBe('all there is');
    await waitFor('the socket to close', () => client.openSockets === 0);
  });

  test('after a whole answer, while the request is still being written', async () => {
    const { client } = await serveUnreading(ok('too large'));
    const answer = await send(client, post(Buffer.alloc(16 * 1024 * 1024)));
    expect(answer.events).toEqual(['headers', 'data', 'end']);
    expect(answer.body).toBe('too large');
    await waitFor('the half-written connection to close', () => client.openSockets === 0);
  });
});

describe('a connection that turns out stale', () => {
  /** Keeps the first connection after one answer and then kills it on the next request. */
  const stale = (socket: Socket, socketNumber: number, requestNumber: number): void => {
    if (socketNumber === 0 && requestNumber === 1) socket.destroy();
    else socket.write(ok(`${socketNumber}.${requestNumber}`));
  };

  test('is replaced once when the request may be sent again', async () => {
    const { server, client } = await serve(stale);
    expect((await send(client)).body).toBe('0.0');
    const answer = await send(client, post('again', { retryStale: true }));
    expect(answer.body).toBe('1.0');
    expect(server.received(0)).toContain('again');
    expect(server.received(1)).toContain('again');
  });

  test('fails the call when it may not', async () => {
    const { server, client } = await serve(stale);
    await send(client);
    const answer = await send(client, post('once'));
    expect(answer.events).toEqual(['error']);
    expect(answer.error).toMatchObject({ reason: 'reset', sent: 'unknown' });
    expect(server.accepted).toHaveLength(1);
  });

  test('is not replaced a second time', async () => {
    const { server, client } = await serve((socket, socketNumber, requestNumber) => {
      if (socketNumber > 0 || requestNumber > 0) socket.destroy();
      else socket.write(ok('x'));
    });
    await send(client);
    const answer = await send(client, post('x', { retryStale: true }));
    expect(answer.error?.reason).toBe('reset');
    expect(server.accepted).toHaveLength(2);
  });

  test('is not replaced when a byte of the answer came', async () => {
    const { server, client } = await serve((socket, _, requestNumber) => {
      if (requestNumber === 0) socket.write(ok('x'));
      else socket.end('H');
    });
    await send(client);
    expect((await send(client, post('x', { retryStale: true }))).error?.reason).toBe('reset');
    expect(server.accepted).toHaveLength(1);
  });

  test('a fresh connection that dies is not retried', async () => {
    const { server, client } = await serve((socket) => socket.destroy());
    expect((await send(client, post('x', { retryStale: true }))).error?.reason).toBe('reset');
    expect(server.accepted).toHaveLength(1);
  });
});

describe('pausing', () => {
  test.each(['at once', 'after the head'])(
    '%s pushes back on the server through TCP, and loses nothing',
    async (when) => {
      const total = 64 * 1024 * 1024;
      const block = Buffer.alloc(64 * 1024, 'x');
      let written = 0;
      const { client } = await serve((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${total}\r\n\r\n`);
        const more = (): void => {
          while (written < total) {
            written += block.length;
            if (!socket.write(block)) return;
          }
        };
        socket.on('drain', more);
        more();
      });
      const answer = new Recorder();
      let bytes = 0;
      answer.onData = (chunk) => {
        bytes += chunk.length;
      };
      const call = client.request(GET, answer);
      if (when === 'after the head') await waitFor('the head', () => answer.status === 200);
      call.pause();
      await waitFor('the server to write', () => written > 0);
      await settled(() => written);
      const stuckAt = { written, bytes };
      await delay(300);
      expect({ written, bytes }).toEqual(stuckAt);
      expect(written - bytes).toBeLessThan(total / 4);
      call.resume();
      await answer.over(20_000);
      expect(bytes).toBe(total);
    },
  );

  test('holds back what was read in the same piece, the end included', async () => {
    const chunks = ['a', 'b', 'c'].map((letter) => `1\r\n${letter}\r\n`).join('');
    const { server, client } = await serve((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    });
    const answer = new Recorder();
    const call = client.request(GET, {
      onHeaders: (status, headers) => {
        answer.onHeaders(status, headers);
        call.pause();
      },
      onData: (chunk) => {
        answer.onData(chunk);
        call.pause();
      },
      onEnd: () => answer.onEnd(),
      onError: (error) => answer.onError(error),
    });
    for (const body of ['', 'a', 'ab', 'abc']) {
      await waitFor(`"${body}"`, () => answer.status === 200 && answer.body === body);
      await delay(10);
      expect(answer.body).toBe(body);
      expect(answer.isOver).toBe(false);
      const before = answer.body;
      call.resume();
      expect(answer.body).toBe(before);
    }
    await answer.over();
    expect(answer.events.at(-1)).toBe('end');
    // The connection was left in order.
    await send(client, { ...GET, path: '/next' });
    expect(server.accepted).toHaveLength(1);
  });

  test('pause and resume inside a callback change nothing', async () => {
    const { client } = await serve((socket) => socket.write(ok('hello')));
    const answer = new Recorder();
    const onData = answer.onData.bind(answer);
    answer.onData = (chunk) => {
      call.pause();
      onData(chunk);
      call.resume();
    };
    const call = client.request(GET, answer);
    await answer.over();
    expect(answer.body).toBe('hello');
  });

  test('pausing before the connection is made holds the head back', async () => {
    const { client } = await serve((socket) => socket.write(ok('hello')));
    const { call, answer } = start(client, GET);
    call.pause();
    await waitFor('the request to be sent', () => call.bytesSent);
    await delay(30);
    expect(answer.events).toEqual([]);
    call.resume();
    await answer.over();
    expect(answer.body).toBe('hello');
  });

  test('a connection that breaks meanwhile is told of after its bytes', async () => {
    const { client, reset } = await serveUnreading(
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n',
    );
    const answer = new Recorder();
    const onData = answer.onData.bind(answer);
    answer.onData = (chunk) => {
      onData(chunk);
      if (answer.body === 'a') call.pause();
    };
    const call = client.request(post(Buffer.alloc(16 * 1024 * 1024)), answer);
    await waitFor('the first byte', () => answer.body === 'a');
    reset();
    await delay(30);
    expect(answer.events).toEqual(['headers', 'data']);
    call.resume();
    await answer.over();
    expect(answer.body).toBe('ab');
    expect(answer.error?.reason).toBe('reset');
    expect(client.openSockets).toBe(0);
  });

  test('nothing is told of a connection that breaks between two pieces until the call resumes', async () => {
    const { client, reset } = await serveUnreading('HTTP/1.1 200 OK\r\n\r\nsome');
    const { call, answer } = start(client, post(Buffer.alloc(16 * 1024 * 1024)));
    await waitFor('the data', () => answer.body === 'some');
    call.pause();
    reset();
    await delay(30);
    expect(answer.events).toEqual(['headers', 'data']);
    call.resume();
    await answer.over();
    expect(answer.error?.reason).toBe('reset');
  });

  test('what is held back survives what other connections read meanwhile', async () => {
    const { client } = await serve((socket, socketNumber) => socket.write(ok(String(socketNumber).repeat(1000))));
    const answer = new Recorder();
    const onHeaders = answer.onHeaders.bind(answer);
    answer.onHeaders = (status, headers) => {
      onHeaders(status, headers);
      call.pause();
    };
    const call = client.request(GET, answer);
    await waitFor('the head', () => answer.status === 200);
    for (let round = 0; round < 3; round += 1) expect((await send(client)).body).toBe('1'.repeat(1000));
    call.resume();
    await answer.over();
    expect(answer.body).toBe('0'.repeat(1000));
  });
});

test('close reaches a call that is paused on a connection already lost', async () => {
  const { client, reset } = await serveUnreading('HTTP/1.1 200 OK\r\n\r\nsome');
  const answer = new Recorder();
  answer.onHeaders = () => {
    answer.events.push('headers');
    call.pause();
  };
  const call = client.request(post(Buffer.alloc(16 * 1024 * 1024)), answer);
  await waitFor('the head', () => answer.events.length > 0);
  reset();
  await delay(30);
  expect(answer.events).toEqual(['headers']);
  await within('the client to close', client.close());
  expect(answer.error?.reason).toBe('closed');
  expect(client.openSockets).toBe(0);
});

test('a body stuck in a full socket is not timed until its last byte is out', async () => {
  let socket: Socket | undefined;
  const server = await listenOnLoopback(
    createServer((accepted) => {
      socket = accepted.pause();
      socket.on('error', () => {});
    }),
  );
  const client = newClient(server.port, { headersTimeoutMs: 40 });
  open.push(client, server);
  const { answer } = start(client, post(Buffer.alloc(16 * 1024 * 1024)));
  await delay(120);
  expect(answer.events).toEqual([]);
  socket?.resume();
  await answer.over();
  expect(answer.error).toMatchObject({ reason: 'headers_timeout', timeoutMs: 40 });
});

test('a call keeps the process alive, an idle connection does not', async () => {
  const { server } = await serve((socket) => void delay(100).then(() => socket.write(ok('hello'))));
  const script = `
    import { TimerWheel } from './src/core/timer-wheel.js';
    import { HttpClient } from './src/http-client/client.js';
    const client = new HttpClient({ origin: new URL('http://127.0.0.1:${server.port}'), connectTimeoutMs: 5000,
      headersTimeoutMs: 5000, idleSocketTimeoutMs: 600000, timers: new TimerWheel() });
    const quiet = () => {};
    const get = (onEnd) => client.request({ method: 'GET', path: '/', headers: '' },
      { onHeaders: quiet, onData: quiet, onEnd, onError: console.error });
    get(() => get(() => console.log('ended twice')));`;
  const child = startNode(['--import', 'tsx', '--input-type=module', '-e', script]);
  try {
    await waitFor('the process to exit', () => child.process.exitCode !== null, 15_000);
    expect(child.output.trim()).toBe('ended twice');
    expect(child.process.exitCode).toBe(0);
  } finally {
    await child.stop();
  }
});

async function dribble(socket: Socket, text: string): Promise<void> {
  for (const byte of Buffer.from(text, 'latin1')) {
    socket.write(Buffer.of(byte));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Waits until `value` has stopped growing. */
async function settled(value: () => number): Promise<void> {
  let last = -1;
  await waitFor('the server to stop', async () => {
    const before = last;
    last = value();
    await delay(50);
    return before === value();
  });
}
