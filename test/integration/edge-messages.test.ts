/** What is no message, or could be read as two different ones, is refused on every transport and never reaches an upstream. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { type RawResponse, rawRequest } from '../helpers/raw-http.js';
import type { SseStream } from '../helpers/sse-client.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { delay, waitFor } from '../helpers/wait.js';
import { type ErrorBody, INITIALIZE, POST_HEADERS, postText, refusal } from './edge-support.js';
import { Canary, type ClientKind, TestClient } from './faults-support.js';

let upstream: EvilUpstream;
let other: EvilUpstream;
let gateway: InProcessGateway;
let canary: Canary;

beforeAll(async () => {
  [upstream, other] = await Promise.all([EvilUpstream.start(), EvilUpstream.start()]);
  gateway = await startTestGateway({
    server: { limits: { jsonDepth: 16, jsonTokens: 500 } },
    upstreams: [
      { url: upstream.mcpUrl, prefix: 'target' },
      { url: other.mcpUrl, prefix: 'other' },
    ],
  });
  canary = await Canary.start(gateway.url, '/other');
});

afterAll(async () => {
  const problems = await canary.stop();
  await gateway.stop();
  await Promise.all([upstream.close(), other.close()]);
  expect(problems).toEqual([]);
});

/** A way for bytes to reach the scanner. */
interface Door {
  readonly name: string;
  post(body: string | Buffer): Promise<RawResponse>;
}

const doors: Door[] = [
  {
    name: 'a Streamable HTTP session',
    post: (body) => postTo('/target/mcp', `Mcp-Session-Id: ${streamable.sessionId}`, body),
  },
  { name: 'Streamable HTTP without a session', post: (body) => postTo('/target/mcp', 'X-None: 1', body) },
  { name: 'an HTTP+SSE session', post: (body) => postTo(sse.endpointPath, 'X-None: 1', body) },
];

let streamable: TestClient;
let sse: TestClient;

beforeAll(async () => {
  streamable = await TestClient.connect(gateway.url, '/target', 'streamable-http');
  sse = await TestClient.connect(gateway.url, '/target', 'sse');
});

afterAll(() => {
  streamable.close();
  sse.close();
});

beforeEach(() => {
  upstream.requests.length = 0;
});

function postTo(path: string, header: string, body: string | Buffer): Promise<RawResponse> {
  const head = postText(path, [...POST_HEADERS, header], '').replace(
    'Content-Length: 0',
    `Content-Length: ${Buffer.byteLength(body)}`,
  );
  return rawRequest(gateway.port, Buffer.concat([Buffer.from(head), Buffer.from(body)]));
}

/** Waits until whatever was sent before has certainly arrived upstream. */
async function settled(): Promise<string[]> {
  await streamable.request('tools/list');
  return upstream.requests.filter((request) => request.method === 'POST').map((request) => request.rpcMethod ?? '?');
}

const CALL = '"jsonrpc":"2.0","id":7,"method":"tools/call"';
const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

type Bad = [name: string, body: string | Buffer, id?: number];

const notJson: Bad[] = [
  ['nothing', ''],
  ['white space', '  \r\n'],
  ['an open object', '{'],
  ['a byte order mark', `\ufeff${INITIALIZE}`],
  ['bytes behind the message', `${INITIALIZE}x`],
  ['two messages', `${INITIALIZE}${INITIALIZE}`],
  ['two messages on two lines', `${INITIALIZE}\n${INITIALIZE}`],
  ['a comment', `/* */${INITIALIZE}`],
  ['a trailing comma', `{${CALL},}`],
  ['single quotes', `{'jsonrpc':'2.0','id':7,'method':'tools/call'}`],
  ['a bare word', `{${CALL},"params":{"a":NaN}}`],
  ['a leading zero', `{${CALL},"params":{"a":01}}`],
  ['a plus sign', `{${CALL},"params":{"a":+1}}`],
  ['a number without digits', `{${CALL},"params":{"a":1.}}`],
  ['a raw line break in a string', `{${CALL},"params":{"name":"a\nb"}}`],
  ['a raw NUL in a string', `{${CALL},"params":{"name":"a\0b"}}`],
  ['an unknown escape', `{${CALL},"params":{"name":"\\x41"}}`],
  ['half an escape', `{${CALL},"params":{"name":"\\u00"}}`],
  ['invalid UTF-8', Buffer.from(`{${CALL},"params":{"name":"\xff"}}`, 'latin1')],
  ['an overlong slash', Buffer.from(`{${CALL},"params":{"name":"\xc0\xaf"}}`, 'latin1')],
  ['an encoded surrogate', Buffer.from(`{${CALL},"params":{"name":"\xed\xa0\x80"}}`, 'latin1')],
  ['UTF-16', Buffer.from(INITIALIZE, 'utf16le')],
];

const notMessages: Bad[] = [
  ['a string', '"hello"'],
  ['a number', '17'],
  ['null', 'null'],
  ['no version', '{"id":7,"method":"tools/call"}', 7],
  ['version 1.0', '{"jsonrpc":"1.0","id":7,"method":"tools/call"}', 7],
  ['a version that is a number', '{"jsonrpc":2.0,"id":7,"method":"tools/call"}', 7],
  ['no method', '{"jsonrpc":"2.0","id":7}', 7],
  ['a method that is no string', '{"jsonrpc":"2.0","id":7,"method":["tools/call"]}', 7],
  ['a method and a result', `{${CALL},"result":{}}`, 7],
  ['a result and an error', '{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":"x"}}', 7],
  ['an id of null', '{"jsonrpc":"2.0","id":null,"method":"tools/call"}'],
  ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"tools/call"}'],
  ['an id that is a list', '{"jsonrpc":"2.0","id":[7],"method":"tools/call"}'],
  ['an id that is a truth value', '{"jsonrpc":"2.0","id":true,"method":"tools/call"}'],
  ['an id with a fraction', '{"jsonrpc":"2.0","id":7.5,"method":"tools/call"}'],
  ['an id with an exponent', '{"jsonrpc":"2.0","id":7e0,"method":"tools/call"}'],
  ['an id beyond the safe integers', '{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call"}'],
  ['an id of 400 digits', `{"jsonrpc":"2.0","id":${'9'.repeat(400)},"method":"tools/call"}`],
  ['an id of a kilobyte', `{"jsonrpc":"2.0","id":"${'x'.repeat(1024)}","method":"tools/call"}`],
  ['params that are a list', `{${CALL},"params":["echo"]}`, 7],
  ['params that are null', `{${CALL},"params":null}`, 7],
  ['an infinite number', `{${CALL},"params":{"arguments":{"a":1e400}}}`, 7],
  ['the method twice', `{${CALL},"method":"ping"}`, 7],
  ['the id twice', '{"jsonrpc":"2.0","id":7,"id":8,"method":"tools/call"}'],
  ['the tool twice', `{${CALL},"params":{"name":"safe","name":"evil"}}`, 7],
  ['the tool twice, once escaped', `{${CALL},"params":{"name":"safe","n\\u0061me":"evil"}}`, 7],
  ['an argument twice', `{${CALL},"params":{"name":"x","arguments":{"p":1,"p":2}}}`, 7],
  ['a key twice, deep inside', `{${CALL},"params":{"arguments":{"a":[{"b":{"c":1,"c":2}}]}}}`, 7],
  ['a method in capitals', `{${CALL},"Method":"ping"}`],
  ['a tool in capitals', `{${CALL},"params":{"name":"safe","NAME":"evil"}}`, 7],
  ['a long s', `{${CALL},"param\u017f":{"name":"evil"}}`],
  ['a Kelvin sign', `{${CALL},"params":{"name":"x","progressTo\u212aen":1}}`, 7],
  ['a key with a NUL behind it', `{${CALL},"params":{"name":"safe","name\\u0000":"evil"}}`, 7],
  ['a full-width key', `{${CALL},"params":{"name":"safe","\uff4e\uff41\uff4d\uff45":"evil"}}`, 7],
  ['an invisible character in a key', `{${CALL},"params":{"name":"safe","na\u200bme":"evil"}}`, 7],
  ['half a surrogate pair as a name', `{${CALL},"params":{"name":"\\ud800"}}`, 7],
  ['too many levels', `{${CALL},"params":{"arguments":${deep(20)}}}`, 7],
  ['too many values', `{${CALL},"params":{"arguments":{"a":[${'0,'.repeat(600)}0]}}}`, 7],
];

describe.each(doors)('$name', (door) => {
  test.each(notJson)('refuses %s with -32700', async (_name, body) => {
    const error = await refused(door, body);
    expect(error.error.code).toBe(-32700);
    expect(error).not.toHaveProperty('id');
  });

  test.each(notMessages)('refuses %s with -32600', async (_name, body, id) => {
    const error = await refused(door, body);
    expect(error.error.code).toBe(-32600);
    if (id === undefined) expect(error).not.toHaveProperty('id');
    else expect(error.id).toBe(id);
  });

  test('passes nothing of all that on', async () => {
    for (const [, body] of [...notJson, ...notMessages]) await door.post(body);
    expect(await settled()).toEqual(['tools/list']);
  });
});

async function refused(door: Door, body: string | Buffer): Promise<ErrorBody> {
  const response = await door.post(body);
  expect(response.status).toBe(400);
  return refusal(response);
}

describe('batches', () => {
  const ping = (id: number) => ({ jsonrpc: '2.0', id, method: 'ping' });

  test('are refused where the revision has none', async () => {
    const body = JSON.stringify([ping(1), { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'echo' } }]);
    for (const door of doors) {
      const response = await door.post(body);
      expect(response.status).toBe(400);
      refusal(response);
    }
    expect(await settled()).toEqual(['tools/list']);
  });

  test.each([
    ['an empty one', '[]'],
    ['33 entries', JSON.stringify(Array.from({ length: 33 }, (_, index) => ping(index)))],
    ['a bad entry among good ones', `[${JSON.stringify(ping(1))},{"jsonrpc":"2.0"}]`],
    ['a batch in a batch', `[[${JSON.stringify(ping(1))}]]`],
  ])('are refused as a whole: %s', async (_name, body) => {
    for (const door of doors) {
      const response = await door.post(body);
      expect(response.status).toBe(400);
      expect(refusal(response).error.code).toBe(-32600);
    }
  });
});

describe.each<ClientKind>(['sse', 'streamable-http'])('%s clients', (kind) => {
  let client: TestClient;
  let victim: TestClient;

  beforeAll(async () => {
    upstream.requests.length = 0;
    client = await TestClient.connect(gateway.url, '/target', kind);
    victim = await TestClient.connect(gateway.url, '/target', kind);
    // What was accepted is on its way, and may arrive after the client was told so.
    await waitFor('both handshakes', () => upstream.requestsOf('notifications/initialized').length === 2);
  });

  afterAll(() => {
    client.close();
    victim.close();
  });

  test('cannot answer what nobody asked', async () => {
    for (const id of ['forged', 1, 0]) {
      for (const outcome of [{ result: { action: 'accept' } }, { error: { code: -1, message: 'no' } }]) {
        expect((await client.send({ id, ...outcome })).status).toBe(202);
      }
    }
    expect(await settled()).toEqual(['tools/list']);
  });

  test('cannot cancel what is not theirs', async () => {
    upstream.inject('tools/call', { kind: 'hang', at: 'headers' }, 1);
    const body = { id: 'mine', method: 'tools/call', params: { name: 'echo', arguments: {} } };
    const pending = victim.send(body);
    await waitFor('the call upstream', () => upstream.requestsOf('tools/call').length === 1);
    for (const requestId of ['mine', 'never', 1, 'gw:1']) {
      const answer = await client.send({ method: 'notifications/cancelled', params: { requestId } });
      expect(answer.status).toBe(202);
    }
    await settled();
    expect(upstream.requestsOf('notifications/cancelled')).toEqual([]);
    await victim.send({ method: 'notifications/cancelled', params: { requestId: 'mine' } });
    await waitFor('the cancellation upstream', () => upstream.requestsOf('notifications/cancelled').length === 1);
    victim.close();
    await pending.catch(() => {});
  });

  test('can use 1 and "1" at the same time', async () => {
    const call = (id: string | number, nonce: string) =>
      client.send({ id, method: 'tools/call', params: { name: 'echo', arguments: { nonce } } });
    await Promise.all([call(101, 'number'), call('101', 'text')]);
    const [byNumber, byText] = await waitFor('both answers', () => {
      const answers = [client.repliesTo(101)[0], client.repliesTo('101')[0]];
      return answers.every((answer) => answer !== undefined) && answers;
    });
    expect(byNumber?.result?.content?.[0]?.text).toBe('{"nonce":"number"}');
    expect(byText?.result?.content?.[0]?.text).toBe('{"nonce":"text"}');
    await delay(0);
    expect(client.repliesTo(101)).toHaveLength(1);
    expect(client.repliesTo('101')).toHaveLength(1);
  });
});

describe('session ids in the wrong place', () => {
  const ping = '{"jsonrpc":"2.0","id":5,"method":"ping"}';

  test.each([
    ['no id at all', '/target/mcp', 'X-None: 1', 400],
    ['the id of Streamable HTTP in the URL', '/target/mcp?sessionId=STREAMABLE', 'X-None: 1', 400],
    ['the id of HTTP+SSE in the header', '/target/messages', 'Mcp-Session-Id: SSE', 400],
    ['an empty id in the URL', '/target/messages?sessionId=', 'X-None: 1', 400],
    ['an id twice in the URL', '/target/messages?sessionId=SSE&sessionId=SSE', 'X-None: 1', 400],
    ['an id twice in the URL, once encoded', '/target/messages?sessionId=SSE&session%49d=SSE', 'X-None: 1', 400],
    ['an HTTP+SSE id used for Streamable HTTP', '/target/mcp', 'Mcp-Session-Id: SSE', 404],
    ['a Streamable HTTP id used for HTTP+SSE', '/target/messages?sessionId=STREAMABLE', 'X-None: 1', 404],
    ["another route's id in the header", '/other/mcp', 'Mcp-Session-Id: STREAMABLE', 404],
    ["another route's id in the URL", '/other/messages?sessionId=SSE', 'X-None: 1', 404],
    ['an id nobody minted', '/target/mcp', 'Mcp-Session-Id: AAAA', 404],
    ['__proto__', '/target/mcp', 'Mcp-Session-Id: __proto__', 404],
    ['constructor', '/target/messages?sessionId=constructor', 'X-None: 1', 404],
  ])('are refused: %s', async (_name, path, header, status) => {
    const fill = (text: string) =>
      text
        .replaceAll('STREAMABLE', streamable.sessionId ?? '')
        .replaceAll('=SSE', `=${sse.endpointId}`)
        .replace(': SSE', `: ${sse.endpointId}`);
    const response = await postTo(fill(path), fill(header), ping);
    expect(response.status).toBe(status);
    refusal(response);
    expect(await settled()).toEqual(['tools/list']);
  });

  test('say the same to all who may not have the session', async () => {
    const forged = await postTo('/target/mcp', 'Mcp-Session-Id: AAAA', ping);
    const foreign = await postTo('/other/mcp', `Mcp-Session-Id: ${streamable.sessionId}`, ping);
    const otherKind = await postTo('/target/mcp', `Mcp-Session-Id: ${sse.endpointId}`, ping);
    expect(foreign.body).toBe(forged.body);
    expect(otherKind.body).toBe(forged.body);
  });

  test('are never chosen by the client', async () => {
    const stream: SseStream = await streamable.send(JSON.parse(INITIALIZE) as object);
    expect(stream.status).toBe(400);
    const response = await postTo('/target/mcp', 'Mcp-Session-Id: my-own-choice', INITIALIZE);
    expect(response.status).toBe(200);
    expect(response.headers.get('mcp-session-id')).toMatch(/^[\w-]{50,}$/);
  });
});
