/** Answers to plain requests as they stand on the wire, and what becomes of them when the client does not read. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ServedResponse } from '../../src/http-server/types.js';
import type { RawConnection } from '../helpers/raw-http.js';
import { waitFor } from '../helpers/wait.js';
import { answer, echo, get, nextEcho, PlainRig, post } from './plain-support.js';

const MEBIBYTE = 1024 * 1024;
const LARGE_BYTES = 8 * MEBIBYTE;

let rig: PlainRig;
let client: RawConnection;

beforeEach(async () => {
  rig = await PlainRig.start();
  client = await rig.connect();
});

afterEach(async () => {
  await rig.close();
});

/** Every request but `/next` is answered so; `/next` is echoed. */
function answerWith(give: (response: ServedResponse) => void): void {
  rig.serve = (request, response, via) => (request.url === '/next' ? echo(request, response, via) : give(response));
}

/** The connection is as good as before. */
async function expectNextServed(): Promise<void> {
  client.send(post('/next', 'hello'));
  expect(await nextEcho(client)).toEqual({ via: 'plain', method: 'POST', url: '/next', body: 'hello' });
}

const names = (headers: ReadonlyMap<string, string>): string[] => [...headers.keys()];

test('carries its own headers, the date, and what becomes of the connection', async () => {
  answerWith((response) => response.writeHead(418, ['x-a', 'b \xe4', 'content-length', '2']).end('hi'));
  client.send(get('/a'));
  const { status, headers, body } = await client.response();
  expect({ status, body }).toEqual({ status: 418, body: 'hi' });
  expect(names(headers)).toEqual(['x-a', 'content-length', 'date', 'connection', 'keep-alive']);
  expect(headers.get('x-a')).toBe('b \xe4');
  expect(headers.get('date')).toBe(new Date(headers.get('date') ?? '').toUTCString());
  expect(headers.get('connection')).toBe('keep-alive');
  await expectNextServed();
});

test('delimits a 204 by nothing', async () => {
  answerWith((response) => response.writeHead(204, ['x-a', 'b']).end());
  client.send(get('/a'));
  const { status, headers } = await client.response();
  expect(status).toBe(204);
  expect(names(headers)).toEqual(['x-a', 'date', 'connection', 'keep-alive']);
  expect(client.received).toBe('');
  await expectNextServed();
});

test('ends the connection with an answer that says so', async () => {
  answerWith((response) => answer(response, 'bye', ['connection', 'close']));
  client.send(get('/a'));
  const { headers, body } = await client.response();
  expect(body).toBe('bye');
  expect(headers.get('connection')).toBe('close');
  expect(headers.has('keep-alive')).toBe(false);
  await client.closed();
  expect(client.wasReset).toBe(false);
});

test('ends the connection with an answer of unknown length that is not to be chunked', async () => {
  answerWith((response) => {
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200).flushHeaders();
    response.write('one ');
    setImmediate(() => {
      response.write('two');
      response.end();
    });
  });
  client.send(get('/a'));
  const { headers, body } = await client.response();
  expect(body).toBe('one two');
  expect(headers.get('connection')).toBe('close');
  expect(headers.has('transfer-encoding')).toBe(false);
  expect(client.wasReset).toBe(false);
});

test('gives an answer that ends with its connection to its end, whatever comes behind the request', async () => {
  let response: ServedResponse | undefined;
  rig.serve = (_request, served) => {
    response = served;
    served.writeHead(200, ['connection', 'close']);
    served.write('one ');
  };
  client.send(post('/a', 'x') + post('/b', 'y'));
  await waitFor('the start', () => client.received.includes('one '));
  client.send(post('/c', 'z'));
  for (let turn = 0; turn < 10; turn += 1) await nextTurn();
  expect(response?.destroyed).toBe(false);
  response?.end('two');
  expect((await client.response()).body).toBe('one two');
  await client.closed();
  expect(rig.seen.map(({ url }) => url)).toEqual(['/a']);
});

test('ends an answer that has no end of its own when bytes come behind its request', async () => {
  answerWith((response) => {
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200).flushHeaders();
    response.write('one');
  });
  client.send(get('/a'));
  await waitFor('the start', () => client.received.endsWith('one'));
  client.send('GARBAGE\r\n\r\n');
  await client.closed();
  expect((await client.response()).body).toBe('one');
  expect(client.wasReset).toBe(false);
});

test('chunks what is written in one turn', async () => {
  answerWith((response) => {
    response.writeHead(200);
    response.write('one ');
    response.write('');
    response.write(Buffer.from('two \xe4', 'latin1'));
    response.write('\xe4');
    response.end('end');
  });
  client.send(get('/a'));
  await waitFor('the end', () => client.received.endsWith('\r\n0\r\n\r\n'));
  expect(client.received).toContain('Transfer-Encoding: chunked\r\n');
  const chunks = '4\r\none \r\n5\r\ntwo \xe4\r\n2\r\n\xc3\xa4\r\n3\r\nend\r\n0\r\n\r\n';
  expect(client.received.slice(client.received.indexOf('\r\n\r\n') + 4)).toBe(chunks);
  await client.response();
  await expectNextServed();
});

test('sends what is written over several turns as it comes', async () => {
  let response: ServedResponse | undefined;
  answerWith((served) => {
    response = served;
    served.writeHead(200).flushHeaders();
  });
  client.send(get('/a'));
  await client.head();
  for (const piece of ['one', 'two', 'three']) {
    response?.write(piece);
    await waitFor(piece, () => client.received.endsWith(`${piece}\r\n`));
  }
  response?.end();
  expect((await client.response()).body).toBe('onetwothree');
  await expectNextServed();
});

test('sends an empty chunked answer', async () => {
  answerWith((response) => response.writeHead(200).end());
  client.send(get('/a'));
  expect((await client.response()).body).toBe('');
  await expectNextServed();
});

test.each([
  [
    'with its head',
    (response: ServedResponse) => response.writeHead(200, ['content-length', '3']).end('a\xe4b', 'latin1'),
  ],
  ['in a chunk', (response: ServedResponse) => response.writeHead(200).end('a\xe4b', 'latin1')],
  [
    'after its head',
    (response: ServedResponse) => {
      response.writeHead(200, ['content-length', '3']).flushHeaders();
      response.end('a\xe4b', 'latin1');
    },
  ],
])('writes text that stands for bytes as bytes, %s', async (_how, give) => {
  answerWith(give);
  client.send(get('/a'));
  await waitFor('the bytes', () => client.received.includes('a\xe4b'));
  // One that is no valid UTF-8, and none the less three bytes.
  expect((await client.response()).body).toBe('a\ufffdb');
  await expectNextServed();
});

const large = (): Buffer => Buffer.from(Array.from({ length: LARGE_BYTES }, (_, i) => 97 + ((i >> 4) % 26)));

test.each(['chunked', 'of a known length'])('a reader that pauses gets all of a large answer, %s', async (how) => {
  const bytes = large();
  let needsDrain = false;
  let drains = 0;
  answerWith((response) => {
    response.writeHead(200, how === 'chunked' ? [] : ['content-length', String(bytes.length)]);
    let at = 0;
    const more = (): void => {
      while (at < bytes.length && !response.writableNeedDrain) {
        response.write(bytes.subarray(at, at + 300_000));
        at += 300_000;
      }
      needsDrain = response.writableNeedDrain;
      if (at >= bytes.length) response.end();
    };
    response.on('drain', () => {
      drains += 1;
      more();
    });
    more();
  });
  client.pause();
  client.send(get('/a') + post('/next', 'hello'));
  await waitFor('back-pressure', () => needsDrain);
  expect(rig.seen).toHaveLength(1);
  client.resume();
  const { body } = await client.response(20_000);
  expect(body === bytes.toString('latin1')).toBe(true);
  expect(drains).toBeGreaterThan(0);
  expect(await nextEcho(client)).toMatchObject({ via: 'plain', url: '/next' });
});

test('says how much waits for a reader, and stops being told of drains', async () => {
  let response: ServedResponse | undefined;
  let drains = 0;
  const count = () => {
    drains += 1;
  };
  answerWith((served) => {
    response = served;
    served.on('drain', count);
    served.off('drain', count);
    served.writeHead(200);
    served.write(large());
  });
  client.pause();
  client.send(get('/a'));
  await waitFor('back-pressure', () => response?.writableNeedDrain);
  expect(response?.writableLength).toBeGreaterThan(MEBIBYTE);
  client.resume();
  await waitFor('all of it', () => response?.writableLength === 0);
  expect(drains).toBe(0);
});

test('begins nothing more for a client that does not read', async () => {
  const bytes = large();
  answerWith((response) => response.writeHead(200, ['content-length', String(bytes.length)]).end(bytes));
  client.pause();
  client.send(get('/a') + get('/b'));
  await waitFor('the first', () => rig.seen.length === 1);
  for (let turn = 0; turn < 50; turn += 1) await nextTurn();
  expect(rig.seen).toHaveLength(1);
  client.resume();
  expect((await client.response(20_000)).body).toHaveLength(bytes.length);
  expect((await client.response(20_000)).body).toHaveLength(bytes.length);
});

test('cuts a client that reads nothing for as long as was said', async () => {
  let isClosed = false;
  answerWith((response) => {
    response.on('close', () => {
      isClosed = true;
    });
    response.writeHead(200, ['content-length', String(LARGE_BYTES)]);
    response.setTimeout(100);
    response.end(large());
  });
  client.pause();
  client.send(get('/a'));
  await waitFor('the cut', () => isClosed);
  await waitFor('the end', () => rig.openSockets === 0);
});

test('forgets the time to read when an answer was read', async () => {
  answerWith((response) => {
    response.setTimeout(60);
    answer(response, 'x');
  });
  client.send(get('/a'));
  await client.response();
  const [socket] = await new Promise<unknown[]>((resolve) => {
    rig.serve = (request, response, via) => {
      echo(request, response, via);
      resolve([request.socket]);
    };
    // Longer than the time that was set.
    setTimeout(() => client.send(post('/next', 'x')), 150);
  });
  expect(socket).toBeDefined();
  expect(await nextEcho(client)).toMatchObject({ via: 'plain' });
});

test.each([
  ['a line break in a value', ['x-a', 'b\r\nset-cookie: c']],
  ['a bare LF in a value', ['x-a', 'b\nc']],
  ['a bare CR in a value', ['x-a', 'b\rc']],
  ['a null in a value', ['x-a', 'b\0']],
  ['a character that is no byte', ['x-a', '\u010a']],
  ['a line break in a name', ['x-a: b\r\nx-c', 'd']],
  ['a colon in a name', ['x:a', 'b']],
  ['a space in a name', ['x a', 'b']],
  ['an empty name', ['', 'b']],
  ['a line break in what becomes of the connection', ['connection', 'close\r\nx: y']],
])('refuses %s, and can still answer', async (_what, headers) => {
  let error: unknown;
  answerWith((response) => {
    try {
      response.writeHead(200, ['connection', 'close', ...headers]);
    } catch (thrown) {
      error = thrown;
    }
    expect(response.headersSent).toBe(false);
    response.writeHead(500, ['content-length', '0']).end();
  });
  client.send(get('/a'));
  const response = await client.response();
  expect(error).toBeInstanceOf(TypeError);
  expect(response.status).toBe(500);
  expect(names(response.headers)).toEqual(['content-length', 'date', 'connection', 'keep-alive']);
  await expectNextServed();
});

test('gives one answer to one request', async () => {
  answerWith((response) => {
    answer(response, 'one');
    expect(response.headersSent).toBe(true);
    expect(() => response.writeHead(200)).toThrow('written already');
    response.write('two');
    response.end('three');
  });
  client.send(get('/a'));
  expect((await client.response()).body).toBe('one');
  await expectNextServed();
  expect(client.received).toBe('');
});

test('tells once that nothing more comes of an answer', async () => {
  let closed = 0;
  let wrong = 0;
  answerWith((response) => {
    const never = () => {
      wrong += 1;
    };
    response.on('close', () => {
      closed += 1;
    });
    response.on('close', never);
    response.off('close', never);
    answer(response, 'one');
  });
  client.send(get('/a'));
  await client.response();
  client.end();
  await client.closed();
  await waitFor('the end', () => rig.openSockets === 0);
  expect({ closed, wrong }).toEqual({ closed: 1, wrong: 0 });
});

test('cuts the connection of an answer that is given up', async () => {
  let response: ServedResponse | undefined;
  answerWith((served) => {
    response = served;
    served.writeHead(200);
    served.write('one');
    setImmediate(() => served.destroy());
  });
  client.send(get('/a'));
  await client.closed();
  expect(response?.destroyed).toBe(true);
  expect(client.received).not.toContain('0\r\n\r\n');
});
