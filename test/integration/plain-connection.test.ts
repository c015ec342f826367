/** Requests on connections that may be plain: none is lost, changed or answered out of turn, whoever reads it. */
import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ServedRequest, ServedResponse } from '../../src/http-server/types.js';
import { waitFor } from '../helpers/wait.js';
import {
  answer,
  chunkedPost,
  echo,
  get,
  nextEcho,
  PlainRig,
  post,
  readBody,
  sendInPieces,
  type Via,
} from './plain-support.js';

const HELD_BYTES = 64 * 1024;

let rig: PlainRig;

beforeEach(async () => {
  rig = await PlainRig.start();
});

afterEach(async () => {
  await rig.close();
});

const vias = (): Via[] => rig.seen.map(({ via }) => via);

const latin1 = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const cuts = fc.array(fc.nat({ max: 1000 }), { maxLength: 6 });

test('reads a body that comes in any pieces', async () => {
  const client = await rig.connect();
  await fc.assert(
    fc.asyncProperty(latin1(300), cuts, async (body, positions) => {
      const text = post('/a', body);
      const headBytes = text.length - body.length;
      // The head is whole, so that the connection stays with us.
      const inBody = positions.map((position) => headBytes + (position % (body.length + 1)));
      await sendInPieces(client, text, inBody);
      expect(await nextEcho(client)).toEqual({ via: 'plain', method: 'POST', url: '/a', body });
    }),
    { numRuns: 200 },
  );
});

test('reads requests of every kind in any pieces, in order', async () => {
  const request = fc.oneof(
    latin1(60).map((body) => ({ text: post('/a', body), echo: { method: 'POST', url: '/a', body } })),
    fc.constant({ text: get('/b?c=d'), echo: { method: 'GET', url: '/b?c=d', body: '' } }),
    fc.constant({ text: get('/b').replace('GET', 'DELETE'), echo: { method: 'DELETE', url: '/b', body: '' } }),
    latin1(60).map((body) => ({ text: post('/node', body), echo: { method: 'POST', url: '/node', body } })),
    latin1(60).map((body) => ({
      text: chunkedPost('/a', 'x', `y${body}`),
      echo: { method: 'POST', url: '/a', body: `xy${body}` },
    })),
    fc.constant({ text: get('/b', 'TE: trailers'), echo: { method: 'GET', url: '/b', body: '' } }),
    fc.constant({ text: get('/b').replace('GET', 'PUT'), echo: { method: 'PUT', url: '/b', body: '' } }),
  );
  const plainFirst = latin1(60).map((body) => ({ text: post('/a', body), echo: { method: 'POST', url: '/a', body } }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(plainFirst, { maxLength: 3 }),
      fc.array(request, { minLength: 1, maxLength: 5 }),
      cuts,
      async (first, then, positions) => {
        const client = await rig.connect();
        const all = [...first, ...then];
        await sendInPieces(client, all.map(({ text }) => text).join(''), positions);
        for (const each of all) expect(await nextEcho(client)).toMatchObject(each.echo);
        expect(client.received).toBe('');
        client.destroy();
      },
    ),
    { numRuns: 200 },
  );
  expect(vias()).toEqual(expect.arrayContaining(['plain', 'node']));
});

test('answers pipelined requests in order, and begins none before the one before it is answered', async () => {
  let open = 0;
  let mostOpen = 0;
  rig.serve = (request, response, via) => {
    open += 1;
    mostOpen = Math.max(mostOpen, open);
    response.on('close', () => {
      open -= 1;
    });
    setImmediate(() => echo(request, response, via));
  };
  const client = await rig.connect();
  const bodies = Array.from({ length: 50 }, (_, i) => `body ${i}`);
  client.send(bodies.map((body, i) => post(`/${i}`, body)).join(''));
  for (const [i, body] of bodies.entries()) expect(await nextEcho(client)).toMatchObject({ url: `/${i}`, body });
  expect(vias()).toEqual(bodies.map(() => 'plain'));
  expect(mostOpen).toBe(1);
  await waitFor('the last to be closed', () => open === 0);
});

test('answers pipelined requests that are answered within the call', async () => {
  rig.serve = (request, response) => answer(response, `${request.url}`);
  const client = await rig.connect();
  client.send(Array.from({ length: 50 }, (_, i) => post(`/${i}`, 'x'.repeat(i))).join(''));
  for (let i = 0; i < 50; i += 1) expect((await client.response()).body).toBe(`/${i}`);
});

test('holds more than it wants to hold no longer than the answer takes', async () => {
  const due: (() => void)[] = [];
  rig.serve = (request, response, via) => void due.push(() => echo(request, response, via));
  const client = await rig.connect();
  const bodies = Array.from({ length: 20 }, (_, i) => String.fromCharCode(97 + i).repeat(HELD_BYTES / 4));
  for (const body of bodies) client.send(post('/a', body));
  for (const body of bodies) {
    (await waitFor('the request', () => due.shift()))();
    expect((await nextEcho(client)).body).toBe(body);
  }
  expect(vias()).toEqual(bodies.map(() => 'plain'));
});

interface Case {
  readonly text: string;
  readonly url: string;
  readonly body: string;
  readonly closes?: boolean;
}

const notPlain: [what: string, request: Case][] = [
  ['a chunked request', { text: chunkedPost('/a', 'hello ', 'world'), url: '/a', body: 'hello world' }],
  ['Connection: close', { text: post('/a', 'bye', 'Connection: close'), url: '/a', body: 'bye', closes: true }],
  ['an unknown target', { text: post('/node', 'x'), url: '/node', body: 'x' }],
  ['HTTP/1.0', { text: post('/a', 'x').replace('1.1', '1.0'), url: '/a', body: 'x', closes: true }],
  ['another method', { text: post('/a', 'x').replace('POST', 'PUT'), url: '/a', body: 'x' }],
  ['a length in a GET', { text: post('/a', 'x').replace('POST', 'GET'), url: '/a', body: 'x' }],
];

test.each(notPlain)(
  'hands over at %s, in one packet with what is plain and in packets of their own',
  async (_what, request) => {
    const { url, body } = request;
    for (const isOnePacket of [true, false]) {
      rig.seen.length = 0;
      const client = await rig.connect();
      if (isOnePacket) client.send(post('/1', 'one') + post('/2', 'two') + request.text);
      else client.send(post('/1', 'one'));
      expect(await nextEcho(client)).toMatchObject({ url: '/1', body: 'one' });
      if (!isOnePacket) client.send(post('/2', 'two'));
      expect(await nextEcho(client)).toMatchObject({ url: '/2', body: 'two' });
      if (!isOnePacket) client.send(request.text);
      expect(await nextEcho(client)).toMatchObject({ url, body });
      expect(vias()).toEqual(['plain', 'plain', 'node']);
      if (request.closes === true) await client.closed();
      else {
        client.send(post('/4', 'four'));
        // Once Node's, always Node's.
        expect(await nextEcho(client)).toEqual({ via: 'node', method: 'POST', url: '/4', body: 'four' });
      }
    }
  },
);

test('hands over at HEAD', async () => {
  const client = await rig.connect();
  client.send(post('/1', 'one') + get('/2').replace('GET', 'HEAD') + post('/3', 'three'));
  expect(await nextEcho(client)).toMatchObject({ url: '/1' });
  expect((await client.response()).status).toBe(204);
  expect(await nextEcho(client)).toMatchObject({ via: 'node', url: '/3', body: 'three' });
});

test('hands over a large request that is not plain, with all of its body', async () => {
  const client = await rig.connect();
  const body = 'x'.repeat(1024 * 1024);
  client.send(post('/1', 'one') + post('/node', body) + post('/3', 'three'));
  expect(await nextEcho(client)).toMatchObject({ via: 'plain', url: '/1' });
  expect((await nextEcho(client)).body).toBe(body);
  expect(await nextEcho(client)).toMatchObject({ via: 'node', url: '/3', body: 'three' });
});

test('hands over while an answer is due only when that was given', async () => {
  let open: (() => void) | undefined;
  rig.serve = (request, response, via) => {
    if (via === 'node') echo(request, response, via);
    else open = () => echo(request, response, via);
  };
  const client = await rig.connect();
  client.send(post('/1', 'one'));
  await waitFor('the first', () => open);
  await sendInPieces(client, chunkedPost('/2', 'two'), [3, 9, 40]);
  expect(vias()).toEqual(['plain']);
  open?.();
  expect(await nextEcho(client)).toMatchObject({ via: 'plain', body: 'one' });
  expect(await nextEcho(client)).toMatchObject({ via: 'node', body: 'two' });
});

test.each([
  'GARBAGE\r\n\r\n',
  '\0\0\0\0',
  'GET /a HTTP/1.1\r\nHost : a\r\n\r\n',
  'POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n',
])('answers a plain request, then refuses %j behind it', async (garbage) => {
  const client = await rig.connect();
  client.send(post('/1', 'one') + garbage);
  expect(await nextEcho(client)).toMatchObject({ via: 'plain', body: 'one' });
  expect((await client.response()).status).toBe(400);
  await client.closed();
  expect(rig.seen).toHaveLength(1);
});

test('answers 400 to a client that ends in the middle of a body', async () => {
  let response: ServedResponse | undefined;
  let isClosed = false;
  rig.serve = (request, served) => {
    response = served;
    served.on('close', () => {
      isClosed = true;
    });
    readBody(request, () => answer(served, 'never'));
  };
  const client = await rig.connect();
  client.send(post('/a', 'hello').slice(0, -1));
  client.end();
  expect((await client.response()).status).toBe(400);
  await client.closed();
  expect(response?.destroyed).toBe(true);
  await waitFor('the end of it', () => isClosed);
});

test('takes a client that ends while an answer is due to be gone', async () => {
  let response: ServedResponse | undefined;
  let isClosed = false;
  rig.serve = (_request, served) => {
    response = served;
    served.on('close', () => {
      isClosed = true;
    });
  };
  const client = await rig.connect();
  client.send(post('/a', 'hello'));
  await waitFor('the request', () => response);
  expect(response?.destroyed).toBe(false);
  client.end();
  await client.closed();
  await waitFor('the end of it', () => isClosed);
  expect(response?.destroyed).toBe(true);
  response?.writeHead(200, ['content-length', '1']).end('x');
  expect(client.received).toBe('');
});

test.each(['in the body', 'while the answer is due', 'between two requests', 'before the first'])(
  'survives a client that resets its connection %s',
  async (when) => {
    rig.serve = (request, response) => {
      if (request.url === '/answered') answer(response, 'x');
    };
    const client = await rig.connect();
    if (when === 'in the body') client.send(post('/a', 'hello').slice(0, -1));
    else if (when === 'while the answer is due') client.send(post('/a', 'hello'));
    else if (when === 'between two requests') {
      client.send(post('/answered', 'hello'));
      await client.response();
    }
    if (when !== 'before the first') await waitFor('the request', () => rig.seen.length === 1);
    await waitFor('the connection', () => rig.openSockets === 1);
    client.reset();
    await waitFor('the end of it', () => rig.openSockets === 0);
  },
);

test.each(['with the head', 'after the answer'])(
  'throws away a body nobody wanted that comes %s, and serves the next request',
  async (when) => {
    rig.serve = (request, response, via) => {
      if (request.url === '/refused') response.writeHead(401, ['content-length', '0']).end();
      else echo(request, response, via);
    };
    // What looks like a request is none.
    const body = get('/hidden').repeat(3000);
    const text = post('/refused', body);
    const client = await rig.connect();
    const cut = text.length - body.length;
    client.send(when === 'with the head' ? text : text.slice(0, cut));
    expect((await client.response()).status).toBe(401);
    if (when === 'after the answer') client.send(text.slice(cut));
    client.send(post('/next', 'hello'));
    expect(await nextEcho(client)).toEqual({ via: 'plain', method: 'POST', url: '/next', body: 'hello' });
    expect(rig.seen.map(({ url }) => url)).toEqual(['/refused', '/next']);
  },
);

test('does not begin the next request before the body of an answered one was read', async () => {
  rig.serve = (request, response, via) => {
    if (request.url === '/refused') response.writeHead(401, ['content-length', '0']).end();
    else echo(request, response, via);
  };
  const client = await rig.connect();
  const refused = post('/refused', get('/hidden'));
  client.send(refused.slice(0, -1));
  expect((await client.response()).status).toBe(401);
  client.send(refused.slice(-1) + post('/next', 'x'));
  expect(await nextEcho(client)).toMatchObject({ url: '/next', body: 'x' });
  expect(rig.seen.map(({ url }) => url)).toEqual(['/refused', '/next']);
});

test.each([1000, HELD_BYTES - 1, HELD_BYTES + 5000, 10 * HELD_BYTES])(
  'keeps a body of %d bytes until somebody asks for it, and serves the next request',
  async (bytes) => {
    let ask: (() => void) | undefined;
    rig.serve = (request, response, via) => {
      ask = () => echo(request, response, via);
    };
    const body = 'x'.repeat(bytes);
    const client = await rig.connect();
    for (let i = 0; i < 3; i += 1) {
      // The head first, so that the body is there when it is asked for: as much of it as is taken unasked.
      const text = post(`/${i}`, body);
      client.send(text.slice(0, text.length - bytes));
      await waitFor('the request', () => rig.seen.length === i + 1);
      client.send(text.slice(text.length - bytes));
      for (let turn = 0; turn < 50; turn += 1) await nextTurn();
      ask?.();
      expect(await nextEcho(client)).toEqual({ via: 'plain', method: 'POST', url: `/${i}`, body });
    }
  },
);

test('tells whether a request was read to its end, and from whom it comes', async () => {
  let request: ServedRequest | undefined;
  let response: ServedResponse | undefined;
  rig.serve = (served, its) => {
    request = served;
    response = its;
  };
  const client = await rig.connect();
  const text = post('/a', 'hello');
  client.send(text.slice(0, -1));
  await waitFor('the request', () => request);
  expect(request?.complete).toBe(false);
  expect(request?.socket.remoteAddress).toBe('127.0.0.1');
  expect(response?.req).toBe(request);
  client.send(text.slice(-1));
  await waitFor('the rest', () => request?.complete);
});

test('calls nobody whose listeners were taken away', async () => {
  const called: string[] = [];
  rig.serve = (request, response) => {
    request.on('data', () => {
      called.push('data');
      request.removeAllListeners('data');
      request.removeAllListeners('end');
      request.resume();
      request.on('end', () => answer(response, 'done'));
    });
    request.on('end', () => void called.push('end'));
  };
  const client = await rig.connect();
  await sendInPieces(client, post('/a', 'hello'), [post('/a', 'hello').length - 3]);
  expect((await client.response()).body).toBe('done');
  expect(called).toEqual(['data']);
});

test('serves a TLS server as well, plain and not plain', async () => {
  const fixture = (name: string) => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url));
  const tlsRig = await PlainRig.start({ cert: fixture('server.pem'), key: fixture('server.key') });
  try {
    const socket = connect({ port: tlsRig.port, host: '127.0.0.1', ca: fixture('ca.pem') });
    let received = '';
    socket.on('data', (bytes: Buffer) => {
      received += bytes.toString('latin1');
    });
    const body = 'x'.repeat(100_000);
    socket.write(post('/1', body) + post('/2', 'two'));
    await waitFor('two answers', () => received.includes('"url":"/2"'));
    expect(received).toContain(`"body":"${body}"`);
    socket.write(chunkedPost('/3', 'three') + post('/4', 'four'));
    await waitFor('two more', () => received.includes('"url":"/4"'));
    expect(tlsRig.seen).toEqual([
      { via: 'plain', url: '/1' },
      { via: 'plain', url: '/2' },
      { via: 'node', url: '/3' },
      { via: 'node', url: '/4' },
    ]);
    socket.destroy();
  } finally {
    await tlsRig.close();
  }
});

test('a connection that was accepted before the server closed is served, once', async () => {
  const client = await rig.connect();
  await waitFor('the connection to be accepted', () => rig.openSockets === 1);
  rig.server.close();
  rig.server.closeIdleConnections();
  rig.front.closeIdle();
  client.send(post('/a', 'late'));
  const { status, headers, body } = await client.response();
  expect([status, headers.get('connection')]).toEqual([200, 'close']);
  expect(JSON.parse(body)).toEqual({ via: 'plain', method: 'POST', url: '/a', body: 'late' });
  await client.closed();
});
