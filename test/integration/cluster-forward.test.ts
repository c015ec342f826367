/** Requests that land on the wrong replica: forwarded whole, answered by the owner, piped back. */
import { createHash, randomBytes } from 'node:crypto';
import type { ServedResponse } from '../../src/http-server/types.js';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { ForwardedRequest } from '../../src/cluster/peer-listener.js';
import { listenOnLoopback } from '../helpers/loopback.js';
import { delay, waitFor, within } from '../helpers/wait.js';
import {
  ALICE,
  closeAll,
  openStream,
  requestOf,
  send,
  startEdge,
  startForwarder,
  startPeer,
} from './cluster-support.js';

afterEach(closeAll);

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

function answerJson(response: ServedResponse, value: unknown): void {
  const text = JSON.stringify(value);
  response.writeHead(200, ['content-type', 'application/json', 'content-length', String(Buffer.byteLength(text))]);
  response.end(text);
}

function beginEvents(response: ServedResponse): void {
  response.writeHead(200, ['content-type', 'text/event-stream', 'cache-control', 'no-cache, no-transform']);
  response.flushHeaders();
}

/** A peer that hands each request to the test. */
async function startRecordingPeer() {
  const seen: ForwardedRequest[] = [];
  const peer = await startPeer((forwarded) => seen.push(forwarded));
  const next = (): Promise<ForwardedRequest> => waitFor('a forwarded request', () => seen.shift());
  return { ...peer, seen, next };
}

describe('a forwarded request', () => {
  test('arrives with its path, query, body, passed headers and verified caller, and with nothing else', async () => {
    const { peer } = await startPeer(({ envelope, request, response, body }) => {
      const { principal, ip, publicPrefix, flags, to, from, path, query } = envelope;
      const facts = { principal, ip, publicPrefix, flags, to, from, path, query };
      answerJson(response, { ...facts, headers: request.headers, body: body.toString() });
    });
    const headers = {
      'content-type': 'application/json',
      'mcp-session-id': 'abc',
      'x-user-header': 'kept',
      'x-twice': ['a', 'b'],
      '7': 'a number',
      latin: 'caf\u00e9',
      authorization: 'Bearer t',
      'x-api-key': 'k',
      cookie: 'c=1',
      host: 'mcp.example',
      connection: 'keep-alive',
      'content-length': '99',
      'x-forwarded-for': '1.1.1.1',
      'x-mcp-gateway-forward': 'forged',
    };
    const request = requestOf({ path: '/sumit/mcp%20x', query: 'a=b?c', headers, body: Buffer.from('{"id":1}') });
    const taken = await send(startForwarder(), peer, request);
    expect(taken).toMatchObject({ outcome: { kind: 'answer' }, status: 200, contentType: 'application/json' });
    expect(JSON.parse(taken.body.toString())).toEqual({
      principal: JSON.parse(JSON.stringify(ALICE)),
      ip: '203.0.113.7',
      publicPrefix: '/sumit',
      flags: { depth: '1' },
      to: 'owner',
      from: 'edge',
      path: '/sumit/mcp%20x',
      query: 'a=b?c',
      body: '{"id":1}',
      headers: {
        'content-type': 'application/json',
        'mcp-session-id': 'abc',
        'x-user-header': 'kept',
        'x-twice': 'a, b',
        '7': 'a number',
        latin: 'caf\u00e9',
        host: 'mcp.example',
        'x-forwarded-for': '1.1.1.1',
      },
    });
  });

  test('of any method, with 4 MiB both ways, byte for byte', async () => {
    const { peer } = await startPeer(({ response, body, request }) => {
      response.writeHead(200, ['content-length', String(body.length), 'allow', request.method ?? '']).end(body);
    });
    const forwarder = startForwarder();
    const body = randomBytes(4 * 1024 * 1024);
    const taken = await send(forwarder, peer, requestOf({ body }));
    expect(sha256(taken.body)).toBe(sha256(body));
    for (const method of ['GET', 'DELETE', 'POST'] as const) {
      expect(await send(forwarder, peer, requestOf({ method }))).toMatchObject({
        status: 200,
        outcome: { kind: 'answer' },
      });
    }
  });

  test('that is larger than the peer takes is refused with 413, unread', async () => {
    const { peer, seen } = await startRecordingPeer();
    const taken = await send(startForwarder(), peer, requestOf({ body: Buffer.alloc(8 * 1024 * 1024 + 1) }));
    // The peer closes while the rest is still being sent, so the answer may be lost with the connection.
    expect(taken.status === 413 || taken.outcome?.kind === 'failure').toBe(true);
    expect(seen).toEqual([]);
  });

  test('to a peer that does not own the session says so and nothing else', async () => {
    const { peer } = await startPeer(({ response }) => response.writeHead(421, ['content-length', '5']).end('other'));
    const forwarder = startForwarder();
    const taken = await send(forwarder, peer, requestOf());
    expect(taken).toEqual({ outcome: { kind: 'not-owner' }, status: 0, contentType: undefined, body: Buffer.alloc(0) });
    expect(await send(forwarder, peer, requestOf())).toMatchObject({ outcome: { kind: 'not-owner' } });
  });

  test('whose handler throws is answered with 500', async () => {
    const { peer } = await startPeer(() => {
      throw new Error('a bug');
    });
    expect(await send(startForwarder(), peer, requestOf())).toMatchObject({ status: 500, outcome: { kind: 'answer' } });
  });
});

describe('through the edge', () => {
  test('a JSON answer comes whole, with the headers of both', async () => {
    const { peer } = await startPeer(({ response, body }) => {
      response.writeHead(200, [
        ...['content-type', 'application/json', 'content-length', String(body.length)],
        ...['mcp-session-id', 'abc', 'keep-alive', 'timeout=7', 'x-unknown', 'stays'],
      ]);
      response.end(body);
    });
    const edge = await startEdge(startForwarder(), peer);
    for (const size of [2, 60_000, 300_000]) {
      const body = randomBytes(size);
      const answer = await fetch(`${edge.url}/sumit/mcp`, { method: 'POST', body });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('mcp-session-id')).toBe('abc');
      expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example');
      expect(answer.headers.get('x-unknown')).toBeNull();
      expect(sha256(Buffer.from(await answer.arrayBuffer()))).toBe(sha256(body));
    }
  });

  test('answers without a body and errors of the owner pass as they are', async () => {
    const statuses = [202, 204, 400, 403, 404];
    const { peer } = await startPeer(({ response, envelope }) =>
      response.writeHead(Number(envelope.query), ['content-length', '0', 'www-authenticate', 'Bearer']).end(),
    );
    const edge = await startEdge(startForwarder(), peer);
    for (const status of statuses) {
      const answer = await fetch(`${edge.url}/sumit/mcp?${status}`);
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([status, 'Bearer']);
      expect(await answer.text()).toBe('');
    }
  });

  test('the head of an event stream comes before its first event, and each event at once', async () => {
    const { peer, next } = await startRecordingPeer();
    const edge = await startEdge(startForwarder(), peer);
    const opening = openStream(`${edge.url}/sumit/sse`);
    const { response } = await next();
    beginEvents(response);
    const stream = await within('the head', opening);
    expect(stream.headers['content-type']).toBe('text/event-stream');
    let text = '';
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      response.write(event);
      await waitFor(event, () => text.endsWith(event));
    }
    response.end();
    await waitFor('the end', () => stream.complete);
  });

  test('a reader that does not read stops the owner, and gets every byte when it reads again', async () => {
    const event = Buffer.from(`data: ${'x'.repeat(16_376)}\n\n`);
    const total = 4000;
    let written = 0;
    let isBlocked = false;
    const { peer } = await startPeer(({ response }) => {
      beginEvents(response);
      const write = (): void => {
        isBlocked = false;
        while (written < total && !isBlocked) {
          written += 1;
          isBlocked = !response.write(event);
        }
        if (written === total && !isBlocked) response.end();
      };
      response.on('drain', write);
      write();
    });
    const edge = await startEdge(startForwarder(), peer);
    const heldBefore = process.memoryUsage().arrayBuffers;
    const stream = await openStream(`${edge.url}/sumit/sse`);
    stream.pause();
    let seen = -1;
    await waitFor('the owner to stand still', async () => {
      const stands = isBlocked && seen === written;
      seen = written;
      await delay(100);
      return stands && seen === written;
    });
    expect(written).toBeLessThan(total / 2);
    expect(process.memoryUsage().arrayBuffers - heldBefore).toBeLessThan(16 * 1024 * 1024);
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
    stream.resume();
    await waitFor('the end', () => stream.complete, 20_000);
    expect(bytes).toBe(total * event.length);
  });

  test('a client that goes away is gone at the owner within a second', async () => {
    const { peer, next } = await startRecordingPeer();
    const edge = await startEdge(startForwarder(), peer);
    const opening = openStream(`${edge.url}/sumit/sse`);
    const streaming = (await next()).response;
    beginEvents(streaming);
    (await opening).destroy();
    await waitFor('the stream to close', () => streaming.destroyed);
    const aborter = new AbortController();
    const waiting = fetch(`${edge.url}/sumit/mcp`, { signal: aborter.signal }).catch(() => 'aborted');
    const pending = (await next()).response;
    aborter.abort();
    await waitFor('the call to close', () => pending.destroyed);
    expect(await waiting).toBe('aborted');
    expect(edge.failures).toEqual([]);
  });

  test('a stream that is told to end does so between two events, and lets go of the owner', async () => {
    const { peer, next } = await startRecordingPeer();
    const edge = await startEdge(startForwarder(), peer);
    const opening = openStream(`${edge.url}/sumit/sse`);
    const { response } = await next();
    beginEvents(response);
    const stream = await opening;
    let text = '';
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    response.write('data: 1\n\ndata: ha');
    await waitFor('half an event', () => text.endsWith('ha'));
    edge.pipes[0]?.endAtBoundary('retry: 100\n\n');
    await delay(30);
    expect(stream.complete).toBe(false);
    response.write('lf\n\ndata: 3\n\n');
    await waitFor('the end', () => stream.complete);
    expect(text).toBe('data: 1\n\ndata: half\n\nretry: 100\n\n');
    await waitFor('the owner to be let go', () => response.destroyed);
  });
});

describe('a peer that dies', () => {
  test('before it was reached: not sent', async () => {
    const { peer, listener } = await startPeer(() => {});
    await listener.close();
    const taken = await send(startForwarder(), peer, requestOf());
    expect(taken.outcome).toEqual({ kind: 'failure', phase: 'not-sent', reason: 'connect' });
  });

  test('before the head: sent; within the answer: answering', async () => {
    const { peer, next } = await startRecordingPeer();
    const forwarder = startForwarder();
    const waiting = send(forwarder, peer, requestOf({ body: Buffer.from('{}') }));
    (await next()).response.destroy();
    expect((await waiting).outcome).toEqual({ kind: 'failure', phase: 'sent', reason: 'reset' });
    const begun = send(forwarder, peer, requestOf());
    const { response } = await next();
    beginEvents(response);
    response.write('data: 1\n\n');
    setImmediate(() => response.destroy());
    expect(await begun).toMatchObject({ status: 200, outcome: { phase: 'answering' } });
  });

  test('is cut from a client that has seen the head, and answered for to one that has not', async () => {
    const { peer, next } = await startRecordingPeer();
    const edge = await startEdge(startForwarder(), peer);
    const waiting = fetch(`${edge.url}/sumit/mcp`);
    (await next()).response.destroy();
    expect((await waiting).status).toBe(502);
    const opening = openStream(`${edge.url}/sumit/sse`);
    const { response } = await next();
    beginEvents(response);
    const stream = await opening;
    const ended = new Promise<string>((resolve) =>
      stream.on('error', () => resolve('cut')).on('end', () => resolve('whole')),
    );
    stream.resume();
    response.destroy();
    expect(await within('the cut', ended)).toBe('cut');
    const half = fetch(`${edge.url}/sumit/mcp`);
    const other = (await next()).response;
    other.writeHead(200, ['content-type', 'application/json', 'content-length', '9']);
    other.write('{"a":');
    setImmediate(() => other.destroy());
    await expect(half.then((answer) => answer.text())).rejects.toThrow();
    expect(edge.failures.map((each) => each.phase)).toEqual(['sent', 'answering', 'answering']);
  });
});

describe('the listener', () => {
  test('answers a ping of its own fleet that means this very replica', async () => {
    const { peer, listener } = await startPeer(() => {
      throw new Error('a ping is no request');
    });
    const forwarder = startForwarder();
    expect(await forwarder.ping(peer, 1000)).toBe(true);
    expect(await forwarder.ping({ ...peer, id: 'another' }, 1000)).toBe(false);
    expect(await startForwarder({ secrets: ['other'] }).ping(peer, 1000)).toBe(false);
    await listener.close();
    expect(await forwarder.ping(peer, 1000)).toBe(false);
  });

  test('a ping that nobody answers is over in time', async () => {
    const silent = await listenOnLoopback(createServer(() => {}));
    expect(await startForwarder().ping({ id: 'x', address: `http://127.0.0.1:${silent.port}` }, 100)).toBe(false);
    await silent.close();
  });

  test('lets answers end that are being given, for as long as it was told', async () => {
    const { peer, next, listener } = await startRecordingPeer();
    const forwarder = startForwarder();
    const [polite, stubborn] = [send(forwarder, peer, requestOf()), send(forwarder, peer, requestOf())];
    const first = await next();
    await next();
    const closed = listener.close({ graceMs: 300 });
    expect((await send(forwarder, peer, requestOf())).outcome).toMatchObject({ kind: 'failure', phase: 'not-sent' });
    answerJson(first.response, { ok: true });
    const outcomes = await Promise.all([polite, stubborn]);
    expect(new Set(outcomes.map((each) => each.outcome?.kind))).toEqual(new Set(['answer', 'failure']));
    await within('the listener to close', closed);
  });

  test('closes as soon as nothing is being answered', async () => {
    const { peer, next, listener } = await startRecordingPeer();
    const answered = send(startForwarder(), peer, requestOf());
    const { response } = await next();
    const closed = listener.close({ graceMs: 20_000 });
    answerJson(response, {});
    expect((await answered).outcome).toEqual({ kind: 'answer' });
    await within('the listener to close', closed);
  });
});
