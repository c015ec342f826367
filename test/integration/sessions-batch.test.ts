/** Batches exist in revision 2025-03-26 alone, and bytes go through as they came. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { startTestGateway, type TestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import {
  BareSse,
  BareStreamable,
  CLIENT_KINDS,
  initializeParams,
  messagesOf,
  openBare,
  PATIENCE_MS,
} from './sessions-support.js';

let evil: EvilUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  evil = await EvilUpstream.start();
  gateway = await startTestGateway({
    server: { drain: { timeout: '0s' } },
    upstreams: [
      { url: evil.sseUrl, prefix: 'up-sse' },
      { url: evil.mcpUrl, prefix: 'up-streamable-http' },
    ],
  });
});

afterAll(async () => {
  await gateway.stop();
  await evil.close();
});

const request = (id: string | number) => ({ jsonrpc: '2.0', id, method: 'tools/list' });
const notification = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };

describe.each(CLIENT_KINDS)('a batch of 2025-03-26 to a %s upstream', (kind) => {
  const open = () => BareStreamable.open(gateway.url, `up-${kind}`, '2025-03-26');

  test('has every request answered, in one stream, once', async () => {
    const client = await open();
    const response = await client.open([request('a'), notification, request('b'), { ...request('c'), method: 'ping' }]);
    await response.end(PATIENCE_MS);
    expect(response.status).toBe(200);
    expect(
      messagesOf(response)
        .map(({ id }) => String(id))
        .toSorted((a, b) => a.localeCompare(b)),
    ).toEqual(['a', 'b', 'c']);
  });

  test('of notifications alone is 202', async () => {
    const client = await open();
    const before = evil.requestsOf(notification.method).length;
    expect(await client.post([notification, notification])).toBe(202);
    await waitFor('both upstream', () => evil.requestsOf(notification.method).length === before + 2, PATIENCE_MS);
  });

  test('of 32 is taken, of 33 refused whole', async () => {
    const client = await open();
    const response = await client.open(Array.from({ length: 32 }, (_, id) => request(id)));
    await response.end(PATIENCE_MS);
    expect(messagesOf(response).length).toBe(32);
    const before = evil.requests.length;
    expect(await client.post(Array.from({ length: 33 }, (_, id) => request(id)))).toBe(400);
    expect(evil.requests.length).toBe(before);
  });

  test('with initialize in it, empty, or with anything else than messages is 400, and nothing of it is sent', async () => {
    const client = await open();
    const before = evil.requests.length;
    const initialize = { jsonrpc: '2.0', id: 'i', method: 'initialize', params: initializeParams('2025-03-26') };
    for (const batch of [[request(1), initialize], [], [[request(1)]], [request(1), 7], [request(1), null]]) {
      expect([batch, await client.post(batch)]).toEqual([batch, 400]);
    }
    expect(await BareStreamable.at(gateway.url, `up-${kind}`).post([initialize])).toBe(400);
    expect(evil.requests.length).toBe(before);
  });
});

test.each(['2025-06-18', '2025-11-25'])('batches are refused on %s', async (version) => {
  const client = await BareStreamable.open(gateway.url, 'up-sse', version);
  expect(await client.post([request(1)])).toBe(400);
  expect(await client.request('tools/list')).toHaveProperty('result');
});

test('batches are refused on HTTP+SSE', async () => {
  const client = await BareSse.open(gateway.url, 'up-sse', '2024-11-05');
  expect(await client.post([request(1)])).toBe(400);
  client.close();
});

/** Everything a parser would change on the way: numbers, escapes, order, white space inside, members nobody knows. */
const ODD =
  '"arguments":{"a":1e2,"b":1.0,"c":12345678901234567890,"d":-0,"e":1E+2,"f":0.1000,"z":"\\u0041\\/\\ud83d\\ude00",' +
  '"_":[ 1 ,2 ],"2":2,"1":1},"unknown":{"kept":null},"_meta":{"vendor/x":[1.50]}';

describe.each(CLIENT_KINDS.flatMap((client) => CLIENT_KINDS.map((upstream) => ({ client, upstream }))))(
  'bytes between a $client client and a $upstream upstream',
  (pair) => {
    test('go up as they came', async () => {
      const client = await openBare(pair.client, gateway.url, `up-${pair.upstream}`);
      const body = `{"jsonrpc":"2.0","extra":1.0,"id":"${pair.client} ${pair.upstream}","method":"tools/call","params":{"name":"echo",${ODD}}}`;
      await client.post(body);
      const sent = await waitFor(
        'the call upstream',
        () => evil.requestsOf('tools/call').find((each) => each.body.toString() === body),
        PATIENCE_MS,
      );
      expect(sent.headers['content-type']).toBe('application/json');
      client.close();
    });

    test('come down as they came', async () => {
      const client = await openBare(pair.client, gateway.url, `up-${pair.upstream}`);
      // No request goes out before the upstream has a stream to speak on.
      await client.request('tools/list');
      const text = `{"jsonrpc":"2.0","extra":1.0,"method":"notifications/message","params":{"level":"info","data":{${ODD}}}}`;
      const stream = client instanceof BareStreamable ? await client.openGeneral() : (client as BareSse).stream;
      evil.push(`data: ${text}\n\n`);
      const isMessage = ({ data }: { data: string }) => data.includes('notifications/message');
      const event = await waitFor('the message', () => stream.events.find(isMessage), PATIENCE_MS);
      expect(event.data).toBe(text);
      client.close();
    });
  },
);
