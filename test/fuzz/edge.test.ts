/**
 * Whatever bytes come in at the edge: the gateway lives on, what it says is HTTP with a JSON-RPC body, and nothing
 * reaches an upstream that is not exactly a message.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { RawConnection } from '../helpers/raw-http.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';

const NUM_RUNS = 600;
const SILENCE_MS = 40;
const BODY = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: {} } });

let upstream: EvilUpstream;
let gateway: InProcessGateway;
const fatal: unknown[] = [];
const onFatal = (error: unknown) => fatal.push(error);

beforeAll(async () => {
  process.on('uncaughtException', onFatal);
  process.on('unhandledRejection', onFatal);
  upstream = await EvilUpstream.start();
  gateway = await startTestGateway({ upstreams: [{ url: upstream.mcpUrl, prefix: 'sumit' }] });
});

afterAll(async () => {
  await gateway.stop();
  await upstream.close();
  process.off('uncaughtException', onFatal);
  process.off('unhandledRejection', onFatal);
});

/** A proper request, to be broken. None of them can open a session, so none may reach the upstream, broken or not. */
const proper = fc
  .record({
    method: fc.constantFrom('POST', 'POST', 'POST', 'GET', 'DELETE', 'OPTIONS'),
    path: fc.constantFrom('/sumit/mcp', '/sumit/messages?sessionId=x', '/mcp', '/sumit/status', '/livez', '/x'),
    type: fc.constantFrom('application/json', 'application/json', 'text/plain'),
    extra: fc.subarray([
      'Mcp-Session-Id: AAAA',
      'Origin: http://localhost',
      'Expect: 100-continue',
      'Connection: close',
      'Last-Event-ID: x.1',
      'MCP-Protocol-Version: 2025-06-18',
    ]),
    body: fc.oneof(fc.constant(BODY), fc.json(), fc.string()),
  })
  .map(({ method, path, type, extra, body }) => {
    const accept = 'Accept: application/json, text/event-stream';
    const length = `Content-Length: ${Buffer.byteLength(body)}`;
    const lines = [
      `${method} ${path} HTTP/1.1`,
      'Host: localhost',
      `Content-Type: ${type}`,
      accept,
      ...extra,
      length,
      '',
    ];
    return Buffer.from([...lines, body].join('\r\n'));
  });

/** One careless or malicious edit of the bytes. */
const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.integer({ min: 0, max: 4 }),
  insert: fc.oneof(
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom(
        '\r\n',
        '\n',
        '\r',
        ' ',
        '\t',
        '\0',
        ':',
        '\r\n\r\n',
        'Host: evil\r\n',
        '%2e',
        '"id":2,',
        'Transfer-Encoding: chunked\r\n',
      )
      .map((text) => Buffer.from(text)),
  ),
});

const broken = fc.tuple(proper, fc.array(edit, { maxLength: 3 })).map(([bytes, edits]) =>
  edits.reduce((text, { at, remove, insert }) => {
    const position = Math.floor(at * text.length);
    return Buffer.concat([text.subarray(0, position), insert, text.subarray(position + remove)]);
  }, bytes),
);

const noise = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes));

test('bytes of any kind get a well-formed refusal or a closed connection, and wake no upstream', async () => {
  const seen = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 5, arbitrary: broken }, { weight: 1, arbitrary: noise }), async (bytes) => {
      const connection = await RawConnection.open(gateway.port);
      try {
        connection.send(bytes);
        await answerOrSilence(connection);
        // Half of a request is completed by nothing: the end of our side is the end of it.
        connection.end();
        await connection.closed(5000);
        for (const answer of await answersOf(connection)) {
          seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
          expectWellFormed(answer.status, answer.body);
        }
      } finally {
        connection.destroy();
      }
      expect(fatal).toEqual([]);
    }),
    { numRuns: NUM_RUNS },
  );
  expect(upstream.connections).toBe(0);
  const alive = await waitFor('the gateway to answer', () => fetch(`${gateway.url}/livez`));
  expect(alive.status).toBe(200);
  // Generators that only ever met one kind of refusal would have proved little.
  expect([...seen.keys()]).toEqual(expect.arrayContaining([200, 400, 404, 415]));
});

/** An edit may have left half of a request, which gets no answer for a long time: that is no failure. */
async function answerOrSilence(connection: RawConnection): Promise<void> {
  const heard = () => connection.received !== '' || connection.closedByPeer;
  await waitFor('an answer', heard, SILENCE_MS).catch(() => {});
}

/** Every answer on a closed connection, in order. */
async function answersOf(connection: RawConnection): Promise<{ status: number; body: string }[]> {
  const answers: { status: number; body: string }[] = [];
  while (connection.received !== '') answers.push(await connection.response(1000));
  return answers;
}

function expectWellFormed(status: number, body: string): void {
  expect(status).toBeLessThan(500);
  if (status < 400) return;
  const { jsonrpc, error, ...rest } = JSON.parse(body) as Record<string, unknown>;
  expect(jsonrpc).toBe('2.0');
  expect(error).toMatchObject({ code: expect.any(Number), message: expect.any(String) });
  expect(Object.keys(rest).filter((key) => key !== 'id')).toEqual([]);
  expect(rest['id']).not.toBeNull();
}
