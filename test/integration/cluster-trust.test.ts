/** What makes a forwarded request one of ours: requests as an attacker on the network between replicas would send them. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ForwardContext } from '../../src/cluster/forward-context.js';
import { ForwardSigner } from '../../src/cluster/forward-seal.js';
import type { Peer } from '../../src/cluster/forwarder.js';
import { systemClock } from '../../src/core/clock.js';
import type { HttpClient } from '../../src/http-client/client.js';
import type { HttpRequest } from '../../src/http-client/types.js';
import { waitFor } from '../helpers/wait.js';
import { clockOff, closeAll, keysOf, requestOf, send, startForwarder, startPeer } from './cluster-support.js';
import { newClient, send as sendRaw } from './http-client-support.js';

const BODY = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}');
const PATH = '/sumit/mcp?a=b';

let handled: string[];
let peer: Peer;
let client: HttpClient;

beforeEach(async () => {
  handled = [];
  const started = await startPeer(({ response, envelope, body }) => {
    handled.push(`${envelope.path} ${body.toString()}`);
    response.writeHead(200, ['content-length', '0']).end();
  });
  ({ peer } = started);
  client = newClient(started.port);
});

afterEach(async () => {
  await client.close();
  await closeAll();
});

/** One genuine request, as it stands on the wire. */
function genuine({ body = BODY, to = 'owner', secret = 's', offsetMs = 0 } = {}): HttpRequest & { headers: string } {
  const headers = { 'mcp-session-id': 'mine', 'content-type': 'application/json' };
  const head = { method: 'POST', path: '/sumit/mcp', query: 'a=b', headers, facts: requestOf().facts } as const;
  const signer = new ForwardSigner({ keys: keysOf(secret), clock: clockOff(offsetMs) });
  return { method: 'POST', path: PATH, headers: signer.sign(new ForwardContext('edge', to, head), body), body };
}

async function statusOf(request: HttpRequest): Promise<number> {
  return (await sendRaw(client, request)).status;
}

async function expectRefused(request: HttpRequest): Promise<void> {
  const answer = await sendRaw(client, request);
  expect(answer.status).toBe(403);
  expect(answer.body).toBe('');
  expect(answer.headers?.get('connection')).toBe('close');
  expect(handled).toEqual([]);
}

test('a genuine request is taken, once', async () => {
  const request = genuine();
  expect(await statusOf(request)).toBe(200);
  expect(handled.splice(0)).toEqual([`/sumit/mcp ${BODY.toString()}`]);
  await expectRefused(request);
  expect(await statusOf(genuine())).toBe(200);
});

describe('refused is a request', () => {
  test('without our headers', async () => {
    await expectRefused({ method: 'GET', path: '/ping', headers: '' });
    await expectRefused({ ...genuine(), headers: '' });
    await expectRefused({ ...genuine(), headers: genuine().headers.replace(/x-mcp-gateway-seal.*\r\n/, '') });
    await expectRefused({ ...genuine(), headers: genuine().headers.replace(/x-mcp-gateway-forward.*\r\n/, '') });
  });

  test.each([
    ['path', { path: '/other/mcp?a=b' }],
    ['query', { path: '/sumit/mcp?a=c' }],
    ['border of path and query', { path: '/sumit/mcp?a=b?' }],
    ['method', { method: 'DELETE' as const }],
    ['body', { body: Buffer.from(BODY.toString().replace('ping', 'pong')) }],
    ['length of the body', { body: Buffer.concat([BODY, Buffer.from(' ')]) }],
    ['body, which is cut', { body: BODY.subarray(0, 5) }],
    ['body, which is missing', { body: Buffer.alloc(0) }],
  ])('with another %s', async (_what, change) => {
    await expectRefused({ ...genuine(), ...change });
  });

  test('with any change in its envelope or seal', async () => {
    const { headers } = genuine();
    const flip = (at: number): string =>
      headers.slice(0, at) + (headers[at] === 'A' ? 'B' : 'A') + headers.slice(at + 1);
    const envelopeAt = headers.indexOf('{');
    const sealAt = headers.indexOf('x-mcp-gateway-seal: ') + 'x-mcp-gateway-seal: '.length;
    for (const at of [envelopeAt, envelopeAt + 40, sealAt, sealAt + 12, headers.length - 10]) {
      await expectRefused({ ...genuine(), headers: flip(at) });
    }
    await expectRefused({ ...genuine(), headers: headers.replace('mine', 'hers') });
    await expectRefused({ ...genuine(), headers: headers.replace('"mcp-session-id":"mine",', '') });
  });

  test('of another secret, for another replica, or of another time', async () => {
    await expectRefused(genuine({ secret: 'other' }));
    await expectRefused(genuine({ to: 'another' }));
    await expectRefused(genuine({ offsetMs: -31_000 }));
    await expectRefused(genuine({ offsetMs: 31_000 }));
    expect(await statusOf(genuine({ offsetMs: -28_000 }))).toBe(200);
    expect(await statusOf(genuine({ offsetMs: 28_000 }))).toBe(200);
  });

  test('before a byte of its body is asked for', async () => {
    const answer = await sendRaw(client, { ...genuine({ secret: 'other' }), body: randomBytes(7 * 1024 * 1024) });
    expect(answer.status === 403 || answer.error !== undefined).toBe(true);
    expect(handled).toEqual([]);
  });
});

test('a header that somebody adds on the way is not seen by the handler', async () => {
  let names: string[] = [];
  const other = await startPeer(({ request, response }) => {
    names = Object.keys(request.headers);
    response.writeHead(200, ['content-length', '0']).end();
  });
  const otherClient = newClient(other.port);
  const { headers, ...rest } = genuine();
  await sendRaw(otherClient, { ...rest, headers: `x-user-id: admin\r\n${headers}` });
  await waitFor('the request', () => names.length > 0);
  expect(names).toEqual(['mcp-session-id', 'content-type']);
  await otherClient.close();
});

describe('through the forwarder', () => {
  test('a clock that is far off is a failure that executed nothing', async () => {
    const off = startForwarder({ clock: clockOff(60_000) });
    expect((await send(off, peer, requestOf())).outcome).toEqual({
      kind: 'failure',
      phase: 'not-sent',
      reason: 'refused',
    });
    expect(handled).toEqual([]);
    const fine = startForwarder({ clock: systemClock });
    expect((await send(fine, peer, requestOf())).outcome).toEqual({ kind: 'answer' });
  });

  test.each([
    ['the edge has the new secret first', ['new', 'old'], ['old', 'new']],
    ['the owner has the new secret first', ['old', 'new'], ['new', 'old']],
    ['the owner has forgotten nothing yet', ['old'], ['new', 'old']],
  ])('secrets rotate: %s', async (_what, edgeSecrets, ownerSecrets) => {
    const owner = await startPeer(({ response }) => response.writeHead(204).end(), { secrets: ownerSecrets });
    const taken = await send(startForwarder({ secrets: edgeSecrets }), owner.peer, requestOf({ body: BODY }));
    expect(taken).toMatchObject({ status: 204, outcome: { kind: 'answer' } });
  });

  test('a secret that is no longer listed is refused', async () => {
    const owner = await startPeer(({ response }) => response.writeHead(204).end(), { secrets: ['new'] });
    const taken = await send(startForwarder({ secrets: ['old', 'new'] }), owner.peer, requestOf());
    expect(taken.outcome).toMatchObject({ phase: 'not-sent', reason: 'refused' });
  });
});
