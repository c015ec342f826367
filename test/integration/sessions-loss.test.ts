/** What becomes of sessions and calls when an upstream goes away, forgets, or does not answer, and how they go on. */
import { afterEach, describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { startSdkUpstream } from '../helpers/sdk-upstream.js';
import { startTestGateway, type TestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import {
  BareSse,
  BareStreamable,
  CLIENT_KINDS,
  type ClientKind,
  initializeParams,
  messagesOf,
  nextId,
  openBare,
  PATIENCE_MS,
  type Reply,
} from './sessions-support.js';

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function startEvil(port = 0): Promise<EvilUpstream> {
  const evil = await EvilUpstream.start({ port });
  closing.push(() => evil.close());
  return evil;
}

async function startOwnGateway(upstream: object): Promise<TestGateway> {
  const own = await startTestGateway({
    server: { drain: { timeout: '0s' } },
    upstreams: [{ prefix: 'evil', ...upstream }],
  });
  closing.push(() => own.stop());
  return own;
}

const echo = (nonce: string) => ({ name: 'echo', arguments: { nonce } });
const failure = (reply: Reply) =>
  (reply.result?.['_meta'] as Record<string, unknown> | undefined)?.['mcp-gateway/error'];

/** Each kind of client with each kind of upstream. */
const PAIRS = CLIENT_KINDS.flatMap((client) => CLIENT_KINDS.map((upstream) => ({ client, upstream })));
const urlOf = (evil: EvilUpstream, kind: ClientKind) => (kind === 'sse' ? evil.sseUrl : evil.mcpUrl);

describe.each(PAIRS)('$client client, $upstream upstream', (pair) => {
  test('a call whose stream is cut ends with executed unknown, is not run again, and the next one works', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ url: urlOf(evil, pair.upstream) });
    const client = await openBare(pair.client, url, 'evil');
    evil.inject('tools/call', { kind: 'cut-stream' }, 1);
    const cut = await client.request('tools/call', echo('cut'));
    expect(cut).toMatchObject({ result: { isError: true } });
    expect(failure(cut)).toMatchObject({ code: 'upstream_failed', executed: 'unknown' });
    expect(await client.request('tools/call', echo('next'))).toMatchObject({ result: { content: [{ type: 'text' }] } });
    expect([...evil.executions]).toEqual([
      ['cut', 1],
      ['next', 1],
    ]);
    client.close();
  });

  test('a call to an upstream that forgot the session ends with executed no, and the next one works', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ url: urlOf(evil, pair.upstream) });
    const client = await openBare(pair.client, url, 'evil');
    evil.inject('tools/call', { kind: 'session-gone' }, 1);
    const refused = await client.request('tools/call', echo('refused'));
    expect(failure(refused)).toMatchObject({ code: 'upstream_failed', executed: 'no' });
    expect(await client.request('tools/call', echo('next'))).toMatchObject({ result: { content: [{ type: 'text' }] } });
    expect(evil.executions.get('next')).toBe(1);
    client.close();
  });

  test('with onLoss: close, the session ends with its upstream', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ url: urlOf(evil, pair.upstream), onLoss: 'close' });
    const client = await openBare(pair.client, url, 'evil');
    evil.inject('tools/list', { kind: 'session-gone' }, 1);
    // On HTTP+SSE the answer may be lost with the stream.
    await client.post({ jsonrpc: '2.0', id: nextId(), method: 'tools/list' });
    const ping = { jsonrpc: '2.0', id: nextId(), method: 'ping' };
    await waitFor('the session to end', async () => (await client.post(ping)) === 404, PATIENCE_MS);
    expect(evil.requestsOf('initialize').length).toBe(1);
    client.close();
  });

  test('calls that wait while the upstream is opened again are sent once each, over one new session', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ url: urlOf(evil, pair.upstream) });
    const client = await openBare(pair.client, url, 'evil');
    evil.inject('tools/list', { kind: 'session-gone' }, 1);
    await client.request('tools/list');
    const nonces = Array.from({ length: 10 }, (_, index) => `nonce ${index}`);
    const replies = await Promise.all(nonces.map((nonce) => client.request('tools/call', echo(nonce))));
    expect(replies.every((reply) => reply.result?.['isError'] === undefined)).toBe(true);
    expect(nonces.map((nonce) => evil.executions.get(nonce))).toEqual(nonces.map(() => 1));
    expect(evil.requestsOf('initialize').length).toBe(2);
    client.close();
  });

  test('an upstream that is back after a restart serves the sessions it had, all of them', async () => {
    const first = await startEvil();
    const { url } = await startOwnGateway({ url: urlOf(first, pair.upstream), timeouts: { connect: '10s' } });
    const clients = await Promise.all(Array.from({ length: 10 }, () => openBare(pair.client, url, 'evil')));
    const { port } = first;
    await first.close();
    const second = await startEvil(port);
    const replies = await Promise.all(
      clients.map(async (client, index) => {
        // Streamable HTTP learns of the restart from its first 404.
        const reply = await client.request('tools/call', echo(`${index}`));
        return reply.result?.['isError'] === true ? client.request('tools/call', echo(`${index} again`)) : reply;
      }),
    );
    expect(replies.filter((reply) => reply.result?.['isError'] !== undefined)).toEqual([]);
    expect(second.requestsOf('initialize').length).toBe(10);
    for (const client of clients) client.close();
  });
});

describe('an upstream that is down', () => {
  test.each(CLIENT_KINDS)(
    'GET /sse answers with an endpoint, and initialize with the error (%s upstream)',
    async (kind) => {
      const gone = await startEvil();
      const { port } = gone;
      await gone.close();
      const { url } = await startOwnGateway({ url: urlOfPort(port, kind) });
      const client = await BareSse.connect(url, 'evil');
      expect(client.stream.status).toBe(200);
      const refused = await client.request('initialize', initializeParams());
      expect(refused.error).toMatchObject({ code: 1502 });
      expect(JSON.stringify(refused)).not.toContain('127.0.0.1');

      await startEvil(port);
      expect(await client.request('initialize', initializeParams())).toHaveProperty('result.serverInfo');
      await client.notify('notifications/initialized');
      expect(await client.request('tools/list')).toHaveProperty('result.tools');
      client.close();
    },
  );

  test('a Streamable HTTP session that never opened leaves nothing behind', async () => {
    const gone = await startEvil();
    const { port } = gone;
    await gone.close();
    const { url } = await startOwnGateway({ url: urlOfPort(port, 'streamable-http') });
    const client = BareStreamable.at(url, 'evil');
    const refused = await client.request('initialize', initializeParams());
    expect(refused.error).toMatchObject({ code: 1502 });
    expect(client.sessionId).toBeUndefined();
    await waitFor('no session to be left', async () => (await connections(url)) === 0, PATIENCE_MS);
  });

  test('what waits for it to come back is answered in time, and never sent later', async () => {
    const first = await startEvil();
    const { url } = await startOwnGateway({ url: first.sseUrl, timeouts: { connect: '500ms' } });
    const client = await openBare('sse', url, 'evil');
    const { port } = first;
    await first.close();
    const refused = await client.request('tools/call', echo('refused'));
    expect(failure(refused)).toMatchObject({ executed: 'no' });
    const second = await startEvil(port);
    expect(await client.request('tools/call', echo('later'))).toHaveProperty('result.content');
    expect([...second.executions]).toEqual([['later', 1]]);
    client.close();
  });

  function urlOfPort(port: number, kind: ClientKind): string {
    return `http://127.0.0.1:${port}/${kind === 'sse' ? 'sse' : 'mcp'}`;
  }
});

describe('an upstream that hangs', () => {
  test('while it is opened again: the call is answered in time, no socket is left, and the next call works', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ url: evil.mcpUrl, timeouts: { connect: '500ms' } });
    const client = await openBare('streamable-http', url, 'evil');
    evil.inject('tools/list', { kind: 'session-gone' }, 1);
    await client.request('tools/list');
    evil.inject('initialize', { kind: 'hang', at: 'headers' }, 3);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const refused = await client.request('tools/call', echo('refused'));
      expect(failure(refused)).toMatchObject({ code: 'upstream_timeout', executed: 'no' });
    }
    expect(await client.request('tools/call', echo('works'))).toHaveProperty('result.content');
    expect([...evil.executions]).toEqual([['works', 1]]);
    // One for the general stream; idle ones may be kept for a while.
    await waitFor('hung sockets to be closed', () => evil.openSockets <= 3, PATIENCE_MS);
    client.close();
  });

  test('and forgets the session again while it is opened again: the next call opens another', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ url: evil.mcpUrl });
    const client = await openBare('streamable-http', url, 'evil');
    evil.inject('tools/list', { kind: 'session-gone' }, 1);
    await client.request('tools/list');
    evil.inject('open', { kind: 'session-gone' }, 1);
    const refused = await client.request('tools/call', echo('refused'));
    expect(failure(refused)).toMatchObject({ code: 'upstream_failed', executed: 'no' });
    expect(await client.request('tools/call', echo('works'))).toHaveProperty('result.content');
    expect([...evil.executions]).toEqual([['works', 1]]);
  });

  test('at notifications/initialized: calls go on without its answer', async () => {
    const evil = await startEvil();
    evil.inject('notifications/initialized', { kind: 'hang', at: 'headers' });
    const { url } = await startOwnGateway({ url: evil.mcpUrl });
    const client = await openBare('streamable-http', url, 'evil');
    expect(await client.request('tools/call', echo('works'))).toHaveProperty('result.content');
  });

  test('when a queued call is cut off by another loss, it is not run afterwards', async () => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ url: evil.sseUrl, timeouts: { connect: '5s' } });
    const client = await BareSse.open(url, 'evil');
    await client.notify('notifications/initialized');
    evil.inject('initialize', { kind: 'hang', at: 'stream' }, 1);
    evil.killConnections();
    await waitFor('the loss', () => evil.sseStreams.size === 0, PATIENCE_MS);
    const call = client.request('tools/call', echo('queued'));
    await waitFor('the new session', () => evil.requestsOf('initialize').length === 2, PATIENCE_MS);
    evil.killConnections();
    expect(failure(await call)).toMatchObject({ code: 'upstream_failed' });
    expect(await client.request('tools/call', echo('next'))).toHaveProperty('result.content');
    expect([...evil.executions]).toEqual([['next', 1]]);
    client.close();
  });
});

test('a client that says initialized again and again costs one upstream stream', async () => {
  const evil = await startEvil();
  const { url } = await startOwnGateway({ url: evil.mcpUrl });
  const client = await openBare('streamable-http', url, 'evil');
  for (let again = 0; again < 5; again += 1) await client.notify('notifications/initialized');
  expect(await client.request('tools/list')).toHaveProperty('result.tools');
  expect(evil.requestsOf('notifications/initialized').length).toBe(6);
  expect(evil.requests.filter(({ method }) => method === 'GET').length).toBe(1);
});

test('a stream of the server that is still open for a connection before is asked for again', async () => {
  const evil = await startEvil();
  evil.inject('open', { kind: 'status', status: 409 }, 1);
  const { url } = await startOwnGateway({ url: evil.mcpUrl });
  const client = await openBare('streamable-http', url, 'evil');
  await client.notify('notifications/initialized');
  await waitFor('the stream to be open', () => evil.getStreams.size === 1, PATIENCE_MS);
  expect(evil.requests.filter(({ method }) => method === 'GET').length).toBe(2);
  client.close();
});

describe('state of the session', () => {
  test('log level and subscriptions are said again after a loss, and the client is warned', async () => {
    const upstream = await startSdkUpstream();
    closing.push(() => upstream.close());
    const own = await startTestGateway({ upstreams: [{ url: upstream.urls.streamable, prefix: 'sdk' }] });
    closing.push(() => own.stop());
    const client = await BareStreamable.open(own.url, 'sdk');
    await client.notify('notifications/initialized');
    const general = await client.openGeneral();
    await client.request('resources/subscribe', { uri: 'test://counter' });
    upstream.forgetSessions();
    await client.request('tools/call', { name: 'count', arguments: {} });
    await client.request('tools/call', { name: 'count', arguments: {} });
    const said = () => messagesOf(general).map((message) => message.method);
    await waitFor('the update', () => said().includes('notifications/resources/updated'), PATIENCE_MS);
    expect(said()).toEqual(['notifications/message', 'notifications/resources/updated']);
    client.close();
  });
});

describe('requests under one id at the same time', () => {
  test.each(PAIRS)('each get a reply of their own: $client client, $upstream upstream', async (pair) => {
    const evil = await startEvil();
    const { url } = await startOwnGateway({ url: urlOf(evil, pair.upstream) });
    const client = await openBare(pair.client, url, 'evil');
    const nonces = Array.from({ length: 5 }, (_, index) => `same id ${index}`);
    const call = (nonce: string) => ({ jsonrpc: '2.0', id: 'same', method: 'tools/call', params: echo(nonce) });
    let texts: string[];
    if (client instanceof BareStreamable) {
      const responses = await Promise.all(nonces.map((nonce) => client.open(call(nonce))));
      for (const response of responses) await response.end(PATIENCE_MS);
      texts = responses.map((response) => response.body || response.events.map(({ data }) => data).join(''));
      for (const [index, text] of texts.entries()) expect(text).toContain(nonces[index]);
    } else {
      const sse = client as BareSse;
      await Promise.all(nonces.map((nonce) => sse.post(call(nonce))));
      const answers = () => sse.messages.filter((message) => message.id === 'same');
      await waitFor('five answers', () => answers().length === 5, PATIENCE_MS);
      texts = answers().map((answer) => JSON.stringify(answer));
      for (const nonce of nonces) expect(texts.filter((text) => text.includes(nonce)).length).toBe(1);
    }
    expect(nonces.map((nonce) => evil.executions.get(nonce))).toEqual(nonces.map(() => 1));
    client.close();
  });
});

async function connections(url: string): Promise<number> {
  const status = (await (await fetch(`${url}/evil/status`)).json()) as { connections: number };
  return status.connections;
}
