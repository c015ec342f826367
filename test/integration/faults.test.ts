/**
 * Upstreams that break: whatever one does, the caller gets exactly one answer by its deadline, in the words of the
 * public contract, nothing of the upstream's address or credentials leaks, and nobody else notices.
 */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import type { Fault } from '../helpers/faults.js';
import { startUnacceptingListener } from '../helpers/unaccepting-listener.js';
import { waitFor } from '../helpers/wait.js';
import { type ClientKind, type Reply, TestClient, toolFailure } from './faults-support.js';
import {
  expectNoLeak,
  PATIENT_TIMEOUTS,
  startBroken,
  startMaintenancePage,
  UPSTREAM_KINDS,
  type UpstreamKind,
} from './faults-rig.js';

type Verdict = readonly [code: string, executed: string, retryAfterMs?: number];

const FAILED_UNKNOWN: Verdict = ['upstream_failed', 'unknown'];
const FAILED_NO: Verdict = ['upstream_failed', 'no'];
const TIMED_OUT: Verdict = ['upstream_timeout', 'unknown'];

interface Row {
  readonly name: string;
  readonly fault: Fault;
  readonly streamable: Verdict;
  /** HTTP+SSE cannot tell that an accepted message will stay without an answer, so there it often takes the deadline. */
  readonly sse: Verdict;
}

const stack = 'Error: boom\n    at handler (/srv/canary-path/index.js:1:1)';

const rows: Row[] = [
  { name: 'no response head', fault: { kind: 'hang', at: 'headers' }, streamable: TIMED_OUT, sse: TIMED_OUT },
  { name: 'a stream that falls silent', fault: { kind: 'hang', at: 'stream' }, streamable: TIMED_OUT, sse: TIMED_OUT },
  {
    name: 'a reset before the head',
    fault: { kind: 'reset', at: 'headers' },
    streamable: FAILED_UNKNOWN,
    sse: FAILED_UNKNOWN,
  },
  {
    name: 'a reset in the stream',
    fault: { kind: 'reset', at: 'stream' },
    streamable: FAILED_UNKNOWN,
    sse: FAILED_UNKNOWN,
  },
  { name: 'a stream that is cut', fault: { kind: 'cut-stream' }, streamable: FAILED_UNKNOWN, sse: FAILED_UNKNOWN },
  { name: 'a clean end without an answer', fault: { kind: 'no-reply' }, streamable: FAILED_UNKNOWN, sse: TIMED_OUT },
  { name: 'a web page', fault: { kind: 'html' }, streamable: FAILED_UNKNOWN, sse: TIMED_OUT },
  { name: 'no JSON', fault: { kind: 'not-json' }, streamable: FAILED_UNKNOWN, sse: TIMED_OUT },
  { name: 'an answer to something else', fault: { kind: 'wrong-id' }, streamable: FAILED_UNKNOWN, sse: TIMED_OUT },
  { name: 'an error that names nobody', fault: { kind: 'null-id' }, streamable: FAILED_UNKNOWN, sse: TIMED_OUT },
  {
    name: 'a line over the limit',
    fault: { kind: 'huge-line', bytes: 1_500_000 },
    streamable: FAILED_UNKNOWN,
    sse: FAILED_UNKNOWN,
  },
  {
    name: 'gzip that nobody asked for',
    fault: {
      kind: 'status',
      status: 200,
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: gzipSync('{}').toString('latin1'),
    },
    streamable: FAILED_UNKNOWN,
    sse: FAILED_UNKNOWN,
  },
  {
    name: 'a redirect',
    fault: { kind: 'redirect', location: 'http://127.0.0.1:1/elsewhere' },
    streamable: FAILED_NO,
    sse: FAILED_NO,
  },
  {
    name: '401',
    fault: { kind: 'status', status: 401, headers: { 'www-authenticate': 'Bearer realm="canary-realm"' } },
    streamable: FAILED_NO,
    sse: FAILED_NO,
  },
  { name: '403', fault: { kind: 'status', status: 403, body: stack }, streamable: FAILED_NO, sse: FAILED_NO },
  { name: '404', fault: { kind: 'session-gone' }, streamable: FAILED_NO, sse: FAILED_NO },
  {
    name: '429 with a time',
    fault: { kind: 'status', status: 429, headers: { 'retry-after': '7' } },
    streamable: ['upstream_failed', 'no', 7000],
    sse: ['upstream_failed', 'no', 7000],
  },
  {
    name: '500 with a stack',
    fault: { kind: 'status', status: 500, body: stack },
    streamable: FAILED_UNKNOWN,
    sse: FAILED_UNKNOWN,
  },
  {
    name: '503 with a time',
    fault: { kind: 'status', status: 503, headers: { 'retry-after': '3' } },
    streamable: ['upstream_failed', 'unknown', 3000],
    sse: ['upstream_failed', 'unknown', 3000],
  },
];

/** Long enough for the good call behind the fault. */
const SOON_TIMEOUTS = { ...PATIENT_TIMEOUTS, idle: '4s' };

const clientKinds: ClientKind[] = ['sse', 'streamable-http'];
const RPC_CODES: Readonly<Record<string, number>> = {
  upstream_failed: 1502,
  upstream_timeout: 1504,
  circuit_open: 1503,
};

function expectFailure(reply: Reply, [code, executed, retryAfterMs]: Verdict): void {
  expect(reply.error).toBeUndefined();
  expect(reply.result?.isError).toBe(true);
  const expected = retryAfterMs === undefined ? { code, executed } : { code, executed, retryAfterMs };
  expect(toolFailure(reply)).toEqual(expected);
  const text = reply.result?.content?.[0]?.text ?? '';
  expect(text).toContain(executed === 'no' ? 'The call was not executed.' : 'The call may have been executed.');
}

for (const upstreamKind of UPSTREAM_KINDS) {
  for (const clientKind of clientKinds) {
    describe.concurrent(`${clientKind} client, ${upstreamKind} upstream`, () => {
      test.each(rows)('answers once, and goes on, after $name', async (row) => {
        const verdict = row[upstreamKind === 'sse' ? 'sse' : 'streamable'];
        const timeouts = verdict[0] === 'upstream_timeout' ? SOON_TIMEOUTS : PATIENT_TIMEOUTS;
        const rig = await startBroken(upstreamKind, { route: { timeouts } });
        const client = await TestClient.connect(rig.gateway.url, '/broken', clientKind);

        rig.upstream.inject('tools/call', row.fault, 1);
        expectFailure(await client.callTool('broken'), verdict);
        rig.upstream.inject('tools/list', row.fault, 1);
        const other = await client.request('tools/list');
        expect(other.error?.code).toBe(RPC_CODES[verdict[0]]);
        expect(other.error?.message).not.toBe('');
        const good = await client.callTool('good');
        expect(good.result?.content?.[0]?.text).toBe('{"nonce":"good"}');

        for (const id of [2, 3, 4]) expect(client.repliesTo(id)).toHaveLength(1);
        expect(rig.upstream.executions.get('broken')).toBe(1);
        expect(rig.upstream.executions.get('good')).toBe(1);
        // What the upstream says over HTTP is never said in our name.
        expect(client.statuses.filter((status) => status !== 200 && status !== 202)).toEqual([]);
        expectNoLeak(client, rig);
        client.close();
        await rig.stop();
      });

      test('answers once to an upstream that answers twice', async () => {
        const rig = await startBroken(upstreamKind, { route: { timeouts: PATIENT_TIMEOUTS } });
        const client = await TestClient.connect(rig.gateway.url, '/broken', clientKind);
        rig.upstream.inject('tools/call', { kind: 'duplicate-reply' }, 1);
        const first = await client.callTool('twice');
        expect(first.result?.content?.[0]?.text).toBe('{"nonce":"twice"}');
        await client.callTool('next');
        expect(client.repliesTo(2)).toHaveLength(1);
        client.close();
        await rig.stop();
      });
    });
  }
}

interface Opening {
  readonly name: string;
  /** The address to configure instead of the upstream's. */
  readonly url?: string;
  readonly trigger?: 'connection' | 'open' | 'initialize';
  readonly fault?: Fault;
  readonly only?: UpstreamKind;
  readonly codes: readonly number[];
}

const openings: Opening[] = [
  { name: 'nothing listens there', url: 'http://127.0.0.1:1/mcp', codes: [1502] },
  // Some resolvers take their time to say no.
  { name: 'no such name', url: 'http://mcp.canary-host.invalid/mcp', codes: [1502, 1504] },
  {
    name: 'a connection that is never read',
    trigger: 'connection',
    fault: { kind: 'hang', at: 'accept' },
    codes: [1504],
  },
  { name: 'a connection that is reset', trigger: 'connection', fault: { kind: 'reset', at: 'accept' }, codes: [1502] },
  { name: 'a web page', trigger: 'initialize', fault: { kind: 'html' }, codes: [1502, 1504] },
  { name: 'no answer', trigger: 'initialize', fault: { kind: 'hang', at: 'headers' }, codes: [1504] },
  { name: 'a silent stream', trigger: 'initialize', fault: { kind: 'hang', at: 'stream' }, codes: [1504] },
  { name: '401', trigger: 'initialize', fault: { kind: 'status', status: 401 }, codes: [1502] },
  { name: '500', trigger: 'initialize', fault: { kind: 'status', status: 500 }, codes: [1502] },
  { name: 'a web page for a stream', trigger: 'open', fault: { kind: 'html' }, only: 'sse', codes: [1502] },
  { name: 'a stream that ends at once', trigger: 'open', fault: { kind: 'no-reply' }, only: 'sse', codes: [1502] },
  {
    name: 'a stream without an endpoint',
    trigger: 'open',
    fault: { kind: 'hang', at: 'stream' },
    only: 'sse',
    codes: [1504],
  },
  {
    name: 'a redirect for a stream',
    trigger: 'open',
    fault: { kind: 'redirect', location: '/mcp' },
    only: 'sse',
    codes: [1502],
  },
  { name: '503 for a stream', trigger: 'open', fault: { kind: 'status', status: 503 }, only: 'sse', codes: [1502] },
];

for (const upstreamKind of UPSTREAM_KINDS) {
  describe.concurrent(`opening a session with a ${upstreamKind} upstream`, () => {
    const cases = openings
      .filter((opening) => opening.only === undefined || opening.only === upstreamKind)
      .flatMap((opening) => clientKinds.map((clientKind) => ({ ...opening, clientKind })));

    test.each(cases)('tells a $clientKind client about $name', async ({ url, trigger, fault, codes, clientKind }) => {
      const rig = await startBroken(upstreamKind, url === undefined ? {} : { url });
      if (trigger !== undefined && fault !== undefined) rig.upstream.inject(trigger, fault);
      const client = await TestClient.open(rig.gateway.url, '/broken', clientKind);
      const reply = await client.initialize();
      expect(codes).toContain(reply.error?.code);
      expect(client.repliesTo(1)).toHaveLength(1);
      expect(client.statuses).toEqual([clientKind === 'sse' ? 202 : 200]);
      // An id of a session that never opened would be of no use.
      expect(client.sessionId).toBeUndefined();
      expectNoLeak(client, rig);

      if (url === undefined) {
        rig.upstream.heal();
        const again = await client.initialize();
        expect(again.error).toBeUndefined();
        expect((await client.callTool('healed')).result?.content?.[0]?.text).toBe('{"nonce":"healed"}');
      }
      client.close();
      await rig.stop();
    });
  });
}

test('gives up a connection that is never accepted', async () => {
  const listener = await startUnacceptingListener();
  const rig = await startBroken('streamable-http', { url: `http://127.0.0.1:${listener.port}/mcp` });
  const client = await TestClient.open(rig.gateway.url, '/broken', 'streamable-http');
  expect((await client.initialize()).error?.code).toBe(1504);
  client.close();
  await rig.stop();
  await listener.close();
});

test('learns nothing about the transport of an upstream from a web page', async () => {
  // It says "back soon" to everything, where an HTTP+SSE server will be again.
  const page = await startMaintenancePage(0);
  const rig = await startBroken('sse', { url: `${page.url}/sse`, route: { transport: 'auto' } });
  const client = await TestClient.open(rig.gateway.url, '/broken', 'streamable-http');
  expect((await client.initialize()).error?.code).toBe(1502);
  await page.close();
  const upstream = await EvilUpstream.start({ port: Number(new URL(page.url).port) });
  const again = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
  expect((await again.callTool('after')).result?.content?.[0]?.text).toBe('{"nonce":"after"}');
  client.close();
  again.close();
  await rig.stop();
  await upstream.close();
});

describe.each(UPSTREAM_KINDS)('a tool call on a %s upstream', (upstreamKind) => {
  test('is never sent twice, not even when a kept connection turns out to be dead', async () => {
    const rig = await startBroken(upstreamKind);
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
    for (let i = 0; i < 10; i += 1) {
      // The connection of the call before is used again, and dies under the next one.
      await client.callTool(`warm-${i}`);
      rig.upstream.inject('tools/call', { kind: 'reset', at: 'headers' }, 1);
      expectFailure(await client.callTool(`once-${i}`), FAILED_UNKNOWN);
    }
    expect([...rig.upstream.executions.values()]).toEqual(Array.from({ length: 20 }, () => 1));
    client.close();
    await rig.stop();
  });

  test('goes out on a fresh connection when the kept ones were closed', async () => {
    const rig = await startBroken(upstreamKind);
    const client = await TestClient.connect(rig.gateway.url, '/broken', 'streamable-http');
    for (let i = 0; i < 5; i += 1) {
      rig.upstream.killConnections();
      const reply = await client.callTool(`fresh-${i}`);
      // It may fail while the loss is still unknown, but then it says so, and nothing runs twice.
      if (reply.result?.isError) expect(toolFailure(reply)?.code).toBe('upstream_failed');
    }
    expect([...rig.upstream.executions.values()].every((count) => count === 1)).toBe(true);
    const last = await waitFor('a call that works', async () => {
      const reply = await client.callTool('last');
      return reply.result?.isError === true ? undefined : reply;
    });
    expect(last.result?.content?.[0]?.text).toBe('{"nonce":"last"}');
    client.close();
    await rig.stop();
  });
});
