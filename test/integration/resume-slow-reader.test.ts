/** A client that stops reading costs a bounded amount of memory for a bounded time, and nobody else notices. */
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { RawConnection } from '../helpers/raw-http.js';
import { type ChildGateway, startGatewayProcess } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import { BareSse, initializeParams, PATIENCE_MS } from './sessions-support.js';

const MIB = 2 ** 20;
const FLOOD_BYTES = 128 * MIB;
/** What two TCP connections of the kernel may swallow, generously. */
const KERNEL_BYTES = 32 * MIB;

let evil: EvilUpstream;
let gateway: ChildGateway;

beforeAll(async () => {
  evil = await EvilUpstream.start();
  gateway = await startGatewayProcess({
    server: { drain: { timeout: '0s' } },
    upstreams: [{ url: evil.sseUrl, prefix: 'evil' }],
  });
});

afterAll(async () => {
  await gateway.stop();
  await evil.close();
});

function residentBytes(): number {
  const status = readFileSync(`/proc/${gateway.child.process.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

/** Opens an HTTP+SSE session on a bare socket. @returns it, and the upstream's end of the session */
async function openRaw(): Promise<{ connection: RawConnection; stream: ServerResponse }> {
  const connection = await RawConnection.open(gateway.port);
  connection.send('GET /evil/sse HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n');
  const path = await waitFor('the endpoint', () => /data: (\S+)/.exec(connection.received)?.[1], PATIENCE_MS);
  const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: initializeParams() };
  const headers = { 'content-type': 'application/json' };
  await fetch(gateway.url + path, { method: 'POST', headers, body: JSON.stringify(initialize) });
  await waitFor('the answer', () => connection.received.includes('"id":1'), PATIENCE_MS);
  return { connection, stream: [...evil.sseStreams.values()].at(-1) as ServerResponse };
}

/** Waits until the gateway has taken nothing for a while. @returns the bytes that still wait at the upstream */
async function stalled(stream: ServerResponse): Promise<number> {
  let last = -1;
  let unchanged = 0;
  await waitFor(
    'the gateway to stop reading',
    () => {
      unchanged = stream.writableLength === last ? unchanged + 1 : 0;
      last = stream.writableLength;
      return unchanged >= 60;
    },
    PATIENCE_MS,
  );
  return last;
}

test('a flood to a client that does not read stays with the upstream, until the client is cut off', {
  timeout: 60_000,
}, async () => {
  const other = await BareSse.open(gateway.url, 'evil');
  const { connection, stream } = await openRaw();
  connection.pause();
  const before = residentBytes();
  const notification = {
    jsonrpc: '2.0',
    method: 'notifications/message',
    params: { level: 'info', data: 'x'.repeat(4000) },
  };
  const event = Buffer.from(`data: ${JSON.stringify(notification)}\n\n`);
  const startedAt = performance.now();
  for (let bytes = 0; bytes < FLOOD_BYTES; bytes += event.length) stream.write(event);

  const waiting = await stalled(stream);
  expect(waiting).toBeGreaterThan(FLOOD_BYTES - KERNEL_BYTES);
  expect(residentBytes() - before).toBeLessThan(40 * MIB);
  for (let call = 0; call < 20; call += 1) {
    expect(await other.request('tools/call', { name: 'echo', arguments: { call } })).toHaveProperty('result.content');
  }
  expect(stream.writableLength).toBe(waiting);

  // Cut off, the client is away: what the upstream says is taken again, and notifications are dropped.
  await waitFor('the rest to be taken', () => stream.writableLength === 0, 30_000);
  expect(performance.now() - startedAt).toBeGreaterThan(9_500);
  expect(residentBytes() - before).toBeLessThan(60 * MIB);
  expect(await other.request('ping')).toHaveProperty('result');
  connection.destroy();
  other.close();
});
