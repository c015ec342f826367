/** What becomes of a question that the server asks outside of any call, when the replica stops that has the session. */
import { describe, expect, test } from 'vitest';
import type { EvilUpstream } from '../helpers/evil-upstream.js';
import type { SseStream } from '../helpers/sse-client.js';
import { waitFor, within } from '../helpers/wait.js';
import { at, openReady, PATIENT, replicaFixture, type TestReplica } from './replicas-support.js';
import {
  type BareSse,
  BareStreamable,
  CLIENT_KINDS,
  type ClientKind,
  messagesOf,
  PATIENCE_MS,
  type Reply,
} from './sessions-support.js';

const UPSTREAM_KINDS = ['sse', 'streamable-http'] as const;
const PAIRS = CLIENT_KINDS.flatMap((client) => UPSTREAM_KINDS.map((upstream) => [client, upstream] as const));

const QUESTION = {
  jsonrpc: '2.0',
  id: 'which',
  method: 'elicitation/create',
  params: { message: 'Which one?', requestedSchema: { type: 'object', properties: {} } },
};
const ANSWER = { jsonrpc: '2.0', id: 'which', result: { action: 'accept', content: {} } };
const REFUSAL = { jsonrpc: '2.0', id: 'which', error: { code: 1503, message: expect.stringContaining('Ask again') } };

let evil: EvilUpstream;
const { startPair, kept } = replicaFixture((started) => {
  evil = started.evil;
});

interface Asked {
  readonly client: BareSse | BareStreamable;
  /** Where the client has heard the question. */
  readonly stream: SseStream;
}

/** A client that listens, and has heard the server's question. */
async function openAsked(kind: ClientKind, replica: TestReplica, prefix: string): Promise<Asked> {
  const client = kept(await openReady(kind, replica, prefix));
  const stream = client instanceof BareStreamable ? await client.openGeneral() : client.stream;
  await waitFor('a stream to push on', () => evil.sseStreams.size + evil.getStreams.size === 1, PATIENCE_MS);
  evil.push(QUESTION);
  await waitFor('the question', () => messagesOf(stream).find(({ id }) => id === QUESTION.id), PATIENCE_MS);
  return { client, stream };
}

/** What the server was told. */
function answers(): Reply[] {
  const posts = evil.requests.filter(({ method, rpcMethod }) => method === 'POST' && rpcMethod === undefined);
  return posts.map(({ body }) => JSON.parse(body.toString()) as Reply);
}

async function resume(there: BareSse | BareStreamable, lastEventId: string | undefined): Promise<SseStream> {
  return there instanceof BareStreamable ? there.openGeneral(lastEventId) : there.resume(lastEventId);
}

/** It goes on where it was, at another replica, and the client knows that the question is void. */
async function expectHandedOver({ client, stream }: Asked, replica: TestReplica, prefix: string): Promise<void> {
  const there = at(client, replica, prefix);
  const resumed = kept(await resume(there, stream.lastEventId));
  expect((await there.request('tools/list')).result).toBeDefined();
  expect(await replica.counted('session_takeovers_total')).toBe(1);
  const heard = () => [...messagesOf(stream), ...messagesOf(resumed)];
  const isVoid = ({ method, params }: Reply) =>
    method === 'notifications/cancelled' && params?.['requestId'] === QUESTION.id;
  await waitFor('the question to be void', () => heard().find(isVoid), PATIENCE_MS);
  expect(heard().filter(isVoid)).toHaveLength(1);
}

describe.each(PAIRS)('asked of a %s client by a %s server, a replica that stops', (kind, upstreamKind) => {
  const prefix = `evil-${upstreamKind}`;

  test('waits for the answer, which may come through another', async () => {
    const [a, b] = await startPair(PATIENT);
    const { client, stream } = await openAsked(kind, a, prefix);
    const stopped = a.gateway.stop();
    await waitFor('the drain', async () => (await fetch(`${a.gateway.url}/readyz`)).status === 503, PATIENCE_MS);
    expect(await at(client, b, prefix).post(ANSWER)).toBe(202);
    await within('the replica to stop', stopped, PATIENCE_MS);
    expect(answers()).toEqual([ANSWER]);
    const there = at(client, b, prefix);
    kept(await resume(there, stream.lastEventId));
    expect((await there.request('tools/list')).result).toBeDefined();
    expect(await b.counted('session_takeovers_total')).toBe(1);
  });

  test('tells the server that there is no answer, and hands the session over', async () => {
    const [a, b] = await startPair(PATIENT);
    const asked = await openAsked(kind, a, prefix);
    await within('the replica to stop', a.gateway.stop(), PATIENCE_MS);
    expect(answers()).toEqual([REFUSAL]);
    await expectHandedOver(asked, b, prefix);
  });
});

describe.each(CLIENT_KINDS)('asked of a %s client, a replica that stops', (kind) => {
  const prefix = 'evil-streamable-http';

  test('tells the server when the client has gone away', async () => {
    const [a, b] = await startPair(PATIENT);
    const asked = await openAsked(kind, a, prefix);
    asked.stream.close();
    await within('the replica to stop', a.gateway.stop(), PATIENCE_MS);
    expect(answers()).toEqual([REFUSAL]);
    await expectHandedOver(asked, b, prefix);
  });

  test('tells the server also when it may not wait for anything', async () => {
    const [a, b] = await startPair();
    const asked = await openAsked(kind, a, prefix);
    await within('the replica to stop', a.gateway.stop(), PATIENCE_MS);
    expect(answers()).toEqual([REFUSAL]);
    await expectHandedOver(asked, b, prefix);
  });
});
