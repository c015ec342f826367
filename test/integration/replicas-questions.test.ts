/** What becomes of a question that the server asks when the replica stops or dies that has the session. */
import { describe, expect, test } from 'vitest';
import type { EvilUpstream } from '../helpers/evil-upstream.js';
import type { SseStream } from '../helpers/sse-client.js';
import { waitFor, within } from '../helpers/wait.js';
import { at, openReady, PATIENT, replicaFixture, requestWhenReachable, type TestReplica } from './replicas-support.js';
import {
  BareSse,
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
    const stopped = a.shutDown();
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
    await within('the replica to stop', a.shutDown(), PATIENCE_MS);
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
    await within('the replica to stop', a.shutDown(), PATIENCE_MS);
    expect(answers()).toEqual([REFUSAL]);
    await expectHandedOver(asked, b, prefix);
  });

  test('tells the server also when it may not wait for anything', async () => {
    const [a, b] = await startPair();
    const asked = await openAsked(kind, a, prefix);
    await within('the replica to stop', a.shutDown(), PATIENCE_MS);
    expect(answers()).toEqual([REFUSAL]);
    await expectHandedOver(asked, b, prefix);
  });
});

/** The replica that is still there takes the session first, as long as that lasts. */
async function answerAt(there: BareSse | BareStreamable, answer: object): Promise<void> {
  await waitFor('the answer to be taken', async () => (await there.post(answer)) === 202, 2 * PATIENCE_MS);
}

/** What the server has been told when the session goes on. */
async function answersWhenBack(there: BareSse | BareStreamable, expected: number): Promise<Reply[]> {
  const resumed = await resume(there, there instanceof BareSse ? there.stream.lastEventId : undefined);
  kept(resumed);
  expect((await requestWhenReachable(there, 'tools/list')).result).toBeDefined();
  await waitFor('the server to be told', () => answers().length >= expected, PATIENCE_MS);
  return answers();
}

describe.each(PAIRS)('asked of a %s client by a %s server, a replica that dies', (kind, upstreamKind) => {
  const prefix = `evil-${upstreamKind}`;
  // The other one goes on with a connection, which died too.
  const expected = upstreamKind === 'streamable-http' ? [ANSWER] : [];

  test('leaves the answer to another, which tells it to the session that asked, once, or to nobody', async () => {
    const [a, b] = await startPair(PATIENT);
    const { client } = await openAsked(kind, a, prefix);
    await client.request('tools/list');
    a.cutOff();
    const there = at(client, b, prefix);
    await answerAt(there, ANSWER);
    await answerAt(there, ANSWER);
    expect(await answersWhenBack(there, expected.length)).toEqual(expected);
    expect(await b.counted('session_takeovers_total')).toBe(1);
  });

  test('leaves the answer to what was asked inside of a call in the same way', async () => {
    const [a, b] = await startPair();
    const client = kept(await openReady(kind, a, prefix));
    evil.inject('tools/call', { kind: 'hang', at: 'stream', said: QUESTION }, 1);
    const call = { jsonrpc: '2.0', id: 'asking', method: 'tools/call', params: { name: 'echo' } };
    const stream = client instanceof BareStreamable ? await client.open(call) : client.stream;
    if (client instanceof BareSse) await client.post(call);
    await waitFor('the question', () => messagesOf(stream).find(({ id }) => id === QUESTION.id), PATIENCE_MS);
    await client.request('tools/list');
    a.cutOff();
    const there = at(client, b, prefix);
    await answerAt(there, ANSWER);
    await answerAt(there, ANSWER);
    expect(await answersWhenBack(there, expected.length)).toEqual(expected);
    expect(evil.requestsOf('tools/call').length).toBe(1);
  });
});

test.each(CLIENT_KINDS)(
  'the server of a %s client that begins anew and asks by the same id is told its own answer',
  async (kind) => {
    const [a, b] = await startPair(PATIENT);
    const { client, stream } = await openAsked(kind, a, 'evil-sse');
    await client.request('tools/list');
    a.cutOff();
    const there = at(client, b, 'evil-sse');
    const resumed = await resume(there, stream.lastEventId);
    kept(resumed);
    await waitFor(
      'the session to be taken',
      async () => (await b.counted('session_takeovers_total')) === 1,
      PATIENCE_MS,
    );
    expect((await requestWhenReachable(there, 'tools/list')).result).toBeDefined();
    const heard = (method: string) => messagesOf(resumed).find((message) => message.method === method);
    const dropped = await waitFor('the question to be void', () => heard('notifications/cancelled'), PATIENCE_MS);
    expect(dropped.params).toMatchObject({ requestId: QUESTION.id });
    evil.push(QUESTION);
    const { id } = await waitFor('the question', () => heard(QUESTION.method), PATIENCE_MS);
    expect(id).not.toBe(QUESTION.id);
    expect(await there.post({ ...ANSWER, result: { action: 'decline' } })).toBe(202);
    expect(await there.post({ ...ANSWER, id })).toBe(202);
    await waitFor('the server to be told', () => answers().length > 0, PATIENCE_MS);
    expect(answers()).toEqual([ANSWER]);
  },
);
