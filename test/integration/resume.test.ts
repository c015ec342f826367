/** A client whose connection is cut goes on where it was: nothing lost, nothing twice, in order, and never on another's stream. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ChaosProxy } from '../helpers/chaos-proxy.js';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { SseStream } from '../helpers/sse-client.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import {
  answerOn,
  BareSse,
  BareStreamable,
  CLIENT_KINDS,
  endpointUrl,
  messagesOf,
  nextId,
  PATIENCE_MS,
  textOf,
} from './sessions-support.js';

const BUFFER_BYTES = 64 * 1024;

let upstream: SdkUpstream;
let evil: EvilUpstream;
let gateway: InProcessGateway;
let proxy: ChaosProxy;

beforeEach(async () => {
  upstream = await startSdkUpstream();
  evil = await EvilUpstream.start();
  gateway = await startTestGateway({
    server: { drain: { timeout: '0s' } },
    upstreams: [
      { url: upstream.urls.sse, prefix: 'sdk-sse' },
      { url: upstream.urls.streamable, prefix: 'sdk-streamable-http' },
      { url: evil.sseUrl, prefix: 'evil-sse' },
      { url: evil.mcpUrl, prefix: 'evil-streamable-http' },
    ],
  });
  proxy = await ChaosProxy.start(gateway.port);
  // Slow enough for a cut to come between two messages, or inside one.
  proxy.conditions.sliceBytes = 400;
});

afterEach(async () => {
  await proxy.close();
  await gateway.stop();
  await evil.close();
  await upstream.close();
});

const log = (data: number, padding = '') => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data, padding },
});
const dataOf = (stream: SseStream) =>
  messagesOf(stream).flatMap((message) => (message.method === undefined ? [] : [message.params?.['data']]));
const count = (length: number, from = 0) => Array.from({ length }, (_, index) => from + index);

describe('HTTP+SSE', () => {
  test.each(CLIENT_KINDS)(
    'goes on behind the last event, cut again and again while messages flow (%s upstream)',
    async (kind) => {
      const client = await BareSse.open(proxy.through(gateway.url).slice(0, -1), `evil-${kind}`);
      await client.notify('notifications/initialized');
      await waitFor('a stream to push on', () => evil.sseStreams.size + evil.getStreams.size === 1, PATIENCE_MS);
      const streams = [client.stream];
      for (let round = 0; round < 10; round += 1) {
        for (const data of count(40, round * 40)) evil.push(log(data));
        // Somewhere in the middle: what is on its way when it happens is nobody's to choose.
        const stream = client.stream;
        await waitFor('some messages', () => dataOf(stream).length >= 4, PATIENCE_MS);
        proxy.resetAll();
        await stream.end(PATIENCE_MS);
        streams.push(await client.resume());
        expect(client.stream.status).toBe(200);
        expect(client.stream.headers['content-type']).toBe('text/event-stream');
      }
      await waitFor('the last message', () => streams.flatMap(dataOf).at(-1) === 399, PATIENCE_MS);
      expect(streams.flatMap(dataOf)).toEqual(count(400));
      const endpoints = streams.map((stream) => stream.events.find(({ event }) => event === 'endpoint')?.data);
      expect(new Set(endpoints).size).toBe(1);
      client.close();
    },
  );

  test('an answer that was due during the cut comes after it, once', async () => {
    const client = await BareSse.open(gateway.url, 'sdk-sse');
    await client.notify('notifications/initialized');
    const nonce = 'during the cut';
    const params = { name: 'slow', arguments: { steps: 1, delayMs: 300, nonce } };
    await client.post({ jsonrpc: '2.0', id: 'slow', method: 'tools/call', params });
    await waitFor('the call to start', () => upstream.state.executions.get(nonce), PATIENCE_MS);
    const { lastEventId } = client.stream;
    client.close();
    await client.resume(lastEventId);
    expect(textOf((await client.answer('slow')).result)).toBe('did 1 steps');
    expect(upstream.state.executions.get(nonce)).toBe(1);
    expect(await client.request('tools/list')).toHaveProperty('result.tools');
    expect(client.messages.filter((message) => message.id === 'slow').length).toBe(1);
    client.close();
  });

  test('a large answer that is cut in the middle comes again whole', async () => {
    const client = await BareSse.open(proxy.through(gateway.url).slice(0, -1), 'sdk-sse');
    await client.notify('notifications/initialized');
    proxy.heal();
    const { lastEventId } = client.stream;
    const cut = client.stream;
    // Reading stops first, so that most of the answer is still with the gateway when the connection breaks.
    cut.pause();
    const params = { name: 'big', arguments: { bytes: 8 * 2 ** 20 } };
    await client.post({ jsonrpc: '2.0', id: 'big', method: 'tools/call', params });
    const other = await BareSse.open(gateway.url, 'sdk-sse');
    await other.request('tools/list');
    proxy.resetAll();
    await client.resume(lastEventId);
    expect(textOf((await client.answer('big')).result).length).toBe(8 * 2 ** 20);
    client.close();
    other.close();
  });

  test('behind any event still known, the same events come again with the same ids', async () => {
    const client = await BareSse.open(gateway.url, 'evil-sse');
    for (const data of count(10)) evil.push(log(data));
    await waitFor('ten messages', () => dataOf(client.stream).length === 10, PATIENCE_MS);
    client.close();
    const said = client.stream.events.filter((event) => event.data.includes('notifications/message'));
    for (const index of [8, 0, 4]) {
      const stream = await client.resume(said[index]?.id);
      await waitFor('the rest', () => dataOf(stream).length === 9 - index, PATIENCE_MS);
      expect(stream.events.slice(1)).toEqual(said.slice(index + 1));
      stream.close();
    }
  });

  test('a connection that comes back takes over from one that is still open', async () => {
    const client = await BareSse.open(gateway.url, 'evil-sse');
    const first = client.stream;
    const second = await client.resume();
    await first.end(PATIENCE_MS);
    evil.push(log(1));
    await waitFor('the message', () => dataOf(second).length === 1, PATIENCE_MS);
    expect(dataOf(first)).toEqual([]);
    client.close();
  });

  test('what cannot be resumed is 404 and opens no session', async () => {
    const client = await BareSse.open(gateway.url, 'evil-sse');
    const other = await BareSse.open(gateway.url, 'evil-sse');
    const id = client.stream.lastEventId ?? '';
    const opened = evil.sseStreams.size;
    for (const lastEventId of [
      'x',
      `${client.sessionId}.`,
      `${client.sessionId}.999999`,
      `${client.sessionId}.-1`,
      `${client.sessionId}.0x0`,
      `${client.sessionId.slice(0, -2)}AA.0`,
      id.replace('.', '_'),
      '9'.repeat(3000),
    ]) {
      const stream = await SseStream.open(client.sseUrl, { lastEventId });
      expect([lastEventId, stream.status]).toEqual([lastEventId, 404]);
    }
    const elsewhere = await SseStream.open(endpointUrl('sse', gateway.url, 'sdk-sse'), { lastEventId: id });
    expect(elsewhere.status).toBe(404);
    const asStreamable = await SseStream.open(endpointUrl('streamable-http', gateway.url, 'evil-sse'), {
      lastEventId: id,
      headers: { 'mcp-session-id': client.sessionId },
    });
    expect(asStreamable.status).toBe(404);
    expect(evil.sseStreams.size).toBe(opened);
    expect(await client.request('ping')).toHaveProperty('result');
    client.close();
    other.close();
  });

  test('the official client goes on in the same session, once its header with the last event id gets through', async () => {
    const transport = new SSEClientTransport(new URL(`${proxy.through(gateway.url)}sdk-sse/sse`), {
      fetch: fetchWithEventId(),
    });
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(transport);
    const opened = upstream.opened;
    const params = { name: 'slow', arguments: { steps: 1, delayMs: 500, nonce: 'official' } };
    const call = client.callTool(params);
    await waitFor('the call to start', () => upstream.state.executions.get('official'), PATIENCE_MS);
    proxy.resetAll();
    expect(textOf(await call)).toBe('did 1 steps');
    expect((await client.listTools()).tools.length).toBeGreaterThan(0);
    expect(upstream.opened).toBe(opened);
    await client.close();
  });
});

/** Sends `Last-Event-ID` as EventSource means to; the SDK's transport puts headers of its own in the place of those. */
function fetchWithEventId(): typeof fetch {
  let lastEventId: string | undefined;
  return async (input, init) => {
    const headers = new Headers(init?.headers);
    if (init?.method === undefined && lastEventId !== undefined) headers.set('last-event-id', lastEventId);
    const response = await fetch(input, { ...init, headers });
    if (init?.method !== undefined || response.body === null) return response;
    const decoder = new TextDecoder();
    const noteIds = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        for (const [, id] of decoder.decode(chunk, { stream: true }).matchAll(/^id: (.+)$/gm)) lastEventId = id;
        controller.enqueue(chunk);
      },
    });
    return new Response(response.body.pipeThrough(noteIds), response);
  };
}

describe('Streamable HTTP', () => {
  test('the general stream goes on behind the last event', async () => {
    const client = await BareStreamable.open(proxy.through(gateway.url).slice(0, -1), 'evil-streamable-http');
    await client.notify('notifications/initialized');
    const streams = [await client.openGeneral()];
    for (let round = 0; round < 5; round += 1) {
      for (const data of count(20, round * 20)) evil.push(log(data));
      const stream = streams.at(-1) as SseStream;
      await waitFor('a message', () => dataOf(stream).length > 0, PATIENCE_MS);
      proxy.resetAll();
      await stream.end(PATIENCE_MS);
      streams.push(await client.openGeneral(stream.lastEventId));
    }
    await waitFor('the last message', () => streams.flatMap(dataOf).at(-1) === 99, PATIENCE_MS);
    expect(streams.flatMap(dataOf)).toEqual(count(100));
    client.close();
  });

  test('what was said before the general stream is open waits for it', async () => {
    const client = await BareStreamable.open(gateway.url, 'evil-streamable-http');
    await client.notify('notifications/initialized');
    await waitFor('the upstream stream', () => evil.getStreams.size === 1, PATIENCE_MS);
    for (const data of count(5)) evil.push(log(data));
    // The answer to a later request shows that the gateway has read them.
    await client.request('tools/list');
    const stream = await client.openGeneral();
    await waitFor('five messages', () => dataOf(stream).length === 5, PATIENCE_MS);
    expect(dataOf(stream)).toEqual(count(5));
    client.close();
  });

  test('the answer to a POST that was cut comes on a GET behind its last event, and nothing else with it', async () => {
    const client = await BareStreamable.open(proxy.through(gateway.url).slice(0, -1), 'sdk-streamable-http');
    await client.notify('notifications/initialized');
    const call = (id: string, steps: number) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'slow', arguments: { steps, delayMs: 30 }, _meta: { progressToken: id } },
    });
    const responses = [await client.open(call('a', 20)), await client.open(call('b', 20))];
    for (const response of responses) {
      await waitFor('progress', () => messagesOf(response).length >= 2, PATIENCE_MS);
    }
    proxy.resetAll();
    for (const [index, id] of ['a', 'b'].entries()) {
      const cut = responses[index] as SseStream;
      await cut.end(PATIENCE_MS);
      const rest = await client.openGeneral(cut.lastEventId);
      expect((await answerOn(rest, id)).result).toMatchObject({ content: [{ text: 'did 20 steps' }] });
      const all = [...messagesOf(cut), ...messagesOf(rest)];
      expect(all.map((message) => message.params?.['progress'] ?? message.id)).toEqual([...count(20, 1), id]);
      expect(all.every((message) => (message.params?.['progressToken'] ?? message.id) === id)).toBe(true);
    }
  });

  test('an answer is kept for a while after it was given', async () => {
    const client = await BareStreamable.open(gateway.url, 'sdk-streamable-http');
    await client.notify('notifications/initialized');
    const params = { name: 'slow', arguments: { steps: 3, delayMs: 1 }, _meta: { progressToken: 'p' } };
    const id = nextId();
    const given = await client.open({ jsonrpc: '2.0', id, method: 'tools/call', params });
    await answerOn(given, id);
    const first = given.events[0]?.id;
    const again = await client.openGeneral(first);
    await answerOn(again, id);
    expect(again.events).toEqual(given.events.slice(1));
  });

  test('events of another session are 404, whoever asks', async () => {
    const one = await BareStreamable.open(gateway.url, 'evil-streamable-http');
    const two = await BareStreamable.open(gateway.url, 'evil-streamable-http');
    await one.openGeneral();
    const id = await waitFor('a priming event', () => one.general?.lastEventId, PATIENCE_MS);
    expect((await two.openGeneral(id)).status).toBe(404);
    for (const forged of [id.replace(/\.\d+$/, '.12345'), `${id}0000`, 'nonsense']) {
      expect((await two.openGeneral(forged)).status).toBe(404);
    }
    one.close();
  });
});

describe('what is kept for a client that is away is bounded', () => {
  const padding = 'x'.repeat(1000);

  test('notifications go first, oldest first, and answers stay', async () => {
    const client = await BareSse.open(gateway.url, 'evil-sse');
    const { lastEventId } = client.stream;
    await client.post({ jsonrpc: '2.0', id: 'kept', method: 'tools/list' });
    await client.answer('kept');
    client.close();
    await client.stream.end();
    for (const data of count(1000)) evil.push(log(data, padding));
    await client.post({ jsonrpc: '2.0', id: 'later', method: 'tools/list' });
    await waitFor('the last request upstream', () => evil.requestsOf('tools/list').length === 2, PATIENCE_MS);
    // An answer to nothing is logged, so it shows that everything before it was read.
    evil.push({ jsonrpc: '2.0', id: 'to nothing', result: {} });
    const isRead = () => gateway.log.lines.some((line) => line.event === 'stray_answer');
    await waitFor('the gateway to have read all', isRead, PATIENCE_MS);
    await client.resume(lastEventId);
    await client.answer('later');
    await client.answer('kept');
    const data = dataOf(client.stream);
    expect(data.length).toBeGreaterThan(10);
    expect(data).toEqual(count(data.length, 1000 - data.length));
    const bytes = client.stream.events.reduce((sum, event) => sum + event.data.length, 0);
    expect(bytes).toBeLessThan(BUFFER_BYTES * 1.2);
    client.close();
  });

  test('when an answer would have to go, the session ends on both sides', async () => {
    const client = await BareSse.open(gateway.url, 'evil-sse');
    const { lastEventId } = client.stream;
    client.close();
    await client.stream.end();
    evil.answer('tools/list', () => ({ tools: [], padding: 'x'.repeat(BUFFER_BYTES / 2) }));
    const ids = ['a', 'b', 'c'];
    const statuses = await Promise.all(ids.map((id) => client.post({ jsonrpc: '2.0', id, method: 'tools/list' })));
    expect(statuses.every((status) => status === 202 || status === 404)).toBe(true);
    await waitFor('the upstream stream to close', () => evil.sseStreams.size === 0, PATIENCE_MS);
    expect((await client.resume(lastEventId)).status).toBe(404);
    expect(await client.post({ jsonrpc: '2.0', id: 'd', method: 'ping' })).toBe(404);
  });
});
