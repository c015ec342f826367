/** The edge as an attacker meets it: what could be read in two ways is refused before anything acts on it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { RawConnection, rawRequest } from '../helpers/raw-http.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import {
  exchangeRaw,
  expectSecurityHeaders,
  getText,
  INITIALIZE,
  POST_HEADERS,
  postText,
  rawRequestText,
  refusal,
} from './edge-support.js';
import { Canary } from './faults-support.js';

let upstream: EvilUpstream;
let healthy: EvilUpstream;
let gateway: InProcessGateway;
let canary: Canary;

beforeAll(async () => {
  [upstream, healthy] = await Promise.all([EvilUpstream.start(), EvilUpstream.start()]);
  gateway = await startTestGateway({
    server: {
      limits: { bodyBytes: '64KiB' },
      allowedOrigins: ['https://app.example.com'],
    },
    upstreams: [
      { url: upstream.mcpUrl, prefix: 'target' },
      { url: healthy.mcpUrl, prefix: 'healthy' },
    ],
  });
  canary = await Canary.start(gateway.url, '/healthy');
});

afterAll(async () => {
  const problems = await canary.stop();
  await gateway.stop();
  await Promise.all([upstream.close(), healthy.close()]);
  expect(problems).toEqual([]);
});

const LENGTH = Buffer.byteLength(INITIALIZE);
const CHUNKED = `${LENGTH.toString(16)}\r\n${INITIALIZE}\r\n0\r\n\r\n`;

function post(headers: readonly string[], body: string): string {
  return rawRequestText('POST /target/mcp HTTP/1.1', [...POST_HEADERS, ...headers], body);
}

describe('requests that two parsers could delimit in two ways', () => {
  const variants: [name: string, bytes: string][] = [
    ['a length and a transfer coding', post([`Content-Length: ${LENGTH}`, 'Transfer-Encoding: chunked'], CHUNKED)],
    ['a transfer coding and a length', post(['Transfer-Encoding: chunked', `Content-Length: ${LENGTH}`], CHUNKED)],
    ['two different lengths', post([`Content-Length: ${LENGTH}`, `Content-Length: ${LENGTH + 1}`], INITIALIZE)],
    ['the same length twice', post([`Content-Length: ${LENGTH}`, `Content-Length: ${LENGTH}`], INITIALIZE)],
    ['a list of lengths', post([`Content-Length: ${LENGTH}, ${LENGTH}`], INITIALIZE)],
    ['a signed length', post([`Content-Length: +${LENGTH}`], INITIALIZE)],
    ['a hexadecimal length', post([`Content-Length: 0x${LENGTH.toString(16)}`], INITIALIZE)],
    ['a negative length', post(['Content-Length: -1'], INITIALIZE)],
    ['a length beyond 64 bits', post([`Content-Length: ${'9'.repeat(40)}`], INITIALIZE)],
    ['an unknown transfer coding', post(['Transfer-Encoding: xchunked'], CHUNKED)],
    ['a coding before chunked', post(['Transfer-Encoding: gzip, chunked'], CHUNKED)],
    ['chunked before another coding', post(['Transfer-Encoding: chunked, gzip'], CHUNKED)],
    ['chunked twice', post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], CHUNKED)],
    ['chunked in quotes', post(['Transfer-Encoding: "chunked"'], CHUNKED)],
    ['identity beside chunked', post(['Transfer-Encoding: identity', 'Transfer-Encoding: chunked'], CHUNKED)],
    ['a space before the colon', post([`Content-Length : ${LENGTH}`], INITIALIZE)],
    ['a folded header', post([`X-Folded: a\r\n b`, `Content-Length: ${LENGTH}`], INITIALIZE)],
    ['a header without a name', post([': empty', `Content-Length: ${LENGTH}`], INITIALIZE)],
    ['a NUL in a header', post([`X-Nul: a\0b`, `Content-Length: ${LENGTH}`], INITIALIZE)],
    ['a carriage return in a header', post([`X-Cr: a\rb`, `Content-Length: ${LENGTH}`], INITIALIZE)],
    ['lines ended by LF alone', post([`Content-Length: ${LENGTH}`], INITIALIZE).replaceAll('\r\n', '\n')],
    ['one header line ended by LF alone', post([`X-A: b\nContent-Length: ${LENGTH}`], INITIALIZE)],
    ['a chunk size that is no number', post(['Transfer-Encoding: chunked'], `zz\r\n${INITIALIZE}\r\n0\r\n\r\n`)],
    ['a signed chunk size', post(['Transfer-Encoding: chunked'], `+${CHUNKED}`)],
    ['a chunk longer than its size', post(['Transfer-Encoding: chunked'], `4\r\n${INITIALIZE}\r\n0\r\n\r\n`)],
    ['a chunk size line ended by LF', post(['Transfer-Encoding: chunked'], CHUNKED.replace('\r\n', '\n'))],
    ['a tab in the request line', post([`Content-Length: ${LENGTH}`], INITIALIZE).replace('POST ', 'POST\t')],
    ['another protocol', `SSH-2.0-OpenSSH_9.6\r\n${post([`Content-Length: ${LENGTH}`], INITIALIZE)}`],
    ['HTTP/2 without being asked', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a TLS hello on a plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello hello hello hello'],
  ];

  test.each(variants)('refuses %s and closes', async (_name, bytes) => {
    const { response, connection } = await exchangeRaw(gateway.port, Buffer.from(bytes, 'latin1'));
    expect(response.status).toBe(400);
    refusal(response);
    await connection.closed();
    connection.destroy();
    // Nothing that stood behind it may have been taken for a second request.
    expect(connection.received).toBe('');
    expect(upstream.connections).toBe(0);
  });

  test('refuses a transfer coding in HTTP/1.0', async () => {
    const bytes = post(['Transfer-Encoding: chunked'], CHUNKED).replace('HTTP/1.1', 'HTTP/1.0');
    const { response, connection } = await exchangeRaw(gateway.port, bytes);
    expect(response.status).toBe(400);
    await connection.closed();
    connection.destroy();
    expect(upstream.connections).toBe(0);
  });
});

describe('headers that may come once', () => {
  const twice: [name: string, values: readonly [string, string]][] = [
    ['Host', ['127.0.0.1', 'evil.example']],
    ['Host', ['127.0.0.1', '127.0.0.1']],
    ['Origin', ['https://app.example.com', 'https://evil.example']],
    ['Authorization', ['Bearer a', 'Bearer b']],
    ['Content-Type', ['application/json', 'text/plain']],
    ['Content-Encoding', ['identity', 'gzip']],
    ['Mcp-Session-Id', ['one', 'two']],
    ['MCP-Protocol-Version', ['2025-06-18', '2025-11-25']],
    ['Last-Event-ID', ['one', 'two']],
    ['X-API-Key', ['one', 'two']],
  ];

  test.each(twice)('refuses %s sent twice: %j', async (name, values) => {
    const others = POST_HEADERS.filter((line) => !line.toLowerCase().startsWith(`${name.toLowerCase()}:`));
    const lines = [...others, `${name}: ${values[0]}`, `${name.toUpperCase()}: ${values[1]}`];
    const { response, connection } = await exchangeRaw(gateway.port, postText('/target/mcp', lines));
    expect(response.status).toBe(400);
    refusal(response);
    connection.destroy();
    expect(upstream.connections).toBe(0);
  });
});

describe('the request target', () => {
  test.each(['http://127.0.0.1/target/mcp', 'http://evil.example/target/mcp', '*', 'target/mcp', '?x', '127.0.0.1:80'])(
    'refuses %s, which is no path',
    async (target) => {
      const { response, connection } = await exchangeRaw(gateway.port, postText(target, POST_HEADERS));
      expect(response.status).toBe(400);
      refusal(response);
      connection.destroy();
      expect(upstream.connections).toBe(0);
    },
  );

  test('refuses a request without a Host', async () => {
    const headers = POST_HEADERS.filter((line) => !line.startsWith('Host:'));
    const { response, connection } = await exchangeRaw(gateway.port, postText('/target/mcp', headers));
    expect(response.status).toBe(400);
    refusal(response);
    connection.destroy();
  });

  const tricks = [
    '/target/..%2fhealthy/mcp',
    '/target/%2e%2e/healthy/mcp',
    '/target/../healthy/mcp',
    '/target\\..\\healthy\\mcp',
    '/target%5c..%5chealthy/mcp',
    '//target/mcp',
    '/target//mcp',
    '/./target/mcp',
    '/target/mcp%00',
    '/target/mcp%00.json',
    '/target%2fmcp',
    '/%zz/mcp',
    '/%ff/mcp',
  ];
  test.each(tricks)('refuses %s as ambiguous', async (path) => {
    const { response, connection } = await exchangeRaw(gateway.port, postText(path, POST_HEADERS));
    expect(response.status).toBe(400);
    refusal(response);
    connection.destroy();
    expect(upstream.connections).toBe(0);
  });

  const unknown = [
    '/TARGET/mcp',
    '/target/MCP',
    '/target/mcp/',
    '/target;x=1/mcp',
    '/target/mcp;x=1',
    '/target/mcp#x',
    '/target%20/mcp',
    '/targe%74x/mcp',
    '/mcp',
    '/',
    '/target',
    '/constructor/mcp',
    '/__proto__/mcp',
    '/target/STATUS',
    '/target/status/',
    '/STATUS',
    '/Livez',
  ];
  test.each(unknown)('knows no %s', async (path) => {
    const { response, connection } = await exchangeRaw(gateway.port, getText(path));
    expect(response.status).toBe(404);
    refusal(response);
    connection.destroy();
  });

  test('reads percent-encoding once', async () => {
    const { response, connection } = await exchangeRaw(gateway.port, postText('/t%61rget/mcp', POST_HEADERS, '{'));
    expect(response.status).toBe(400);
    expect(refusal(response).error.code).toBe(-32700);
    connection.destroy();
    const twice = await rawRequest(gateway.port, postText('/t%2561rget/mcp', POST_HEADERS, '{'));
    expect(twice.status).toBe(404);
  });

  test('takes no upstream from the request', async () => {
    const headers = [
      ...POST_HEADERS,
      'X-Forwarded-Host: evil.example',
      'X-Original-URL: /healthy/mcp',
      'X-Rewrite-URL: /x',
    ];
    const response = await rawRequest(gateway.port, postText(`/target/mcp?url=${healthy.mcpUrl}`, headers, '{'));
    expect(response.status).toBe(400);
    expect(refusal(response).error.code).toBe(-32700);
  });
});

describe('bodies', () => {
  const types = [
    'text/plain',
    'text/plain;charset=utf-8',
    'application/json; charset=utf-16',
    'application/json; charset=utf-16le',
    'application/json;charset=iso-8859-1',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'application/json, text/plain',
    'text/json',
    '',
  ];
  test.each(['/target/mcp', '/target/messages?sessionId=x'])('takes JSON in UTF-8 only at %s', async (path) => {
    for (const type of types) {
      const headers = ['Host: localhost', 'Accept: */*', `Content-Type: ${type}`];
      const response = await rawRequest(gateway.port, postText(path, headers));
      expect([type, response.status]).toEqual([type, 415]);
      refusal(response);
    }
    const untyped = await rawRequest(gateway.port, postText(path, ['Host: localhost', 'Accept: */*']));
    expect(untyped.status).toBe(415);
    refusal(untyped);
    expect(upstream.connections).toBe(0);
  });

  test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"'])(
    'takes %s',
    async (type) => {
      const headers = ['Host: localhost', 'Accept: */*', `Content-Type: ${type}`];
      const response = await rawRequest(gateway.port, postText('/target/mcp', headers, '{'));
      expect(refusal(response).error.code).toBe(-32700);
    },
  );

  test.each(['gzip', 'br', 'deflate', 'gzip, gzip', 'zstd', 'x-unknown'])(
    'refuses a body encoded as %s',
    async (encoding) => {
      const headers = [...POST_HEADERS, `Content-Encoding: ${encoding}`];
      const response = await rawRequest(gateway.port, postText('/target/mcp', headers));
      expect(response.status).toBe(415);
      refusal(response);
      expect(upstream.connections).toBe(0);
    },
  );

  const tooLarge = 8 * 1024 * 1024;

  test('answers 413 to a length over the limit, readable while the client still sends', async () => {
    const connection = await RawConnection.open(gateway.port);
    connection.send(rawRequestText('POST /target/mcp HTTP/1.1', [...POST_HEADERS, `Content-Length: ${tooLarge}`]));
    connection.send(Buffer.alloc(tooLarge, 0x20));
    const response = await connection.response();
    expect(response.status).toBe(413);
    refusal(response);
    expect(response.headers.get('connection')).toBe('close');
    await connection.closed(10_000);
    expect(connection.wasReset).toBe(false);
    connection.destroy();
  });

  test('answers 413 to chunks that add up to too much, readable while the client still sends', async () => {
    const connection = await RawConnection.open(gateway.port);
    connection.send(rawRequestText('POST /target/mcp HTTP/1.1', [...POST_HEADERS, 'Transfer-Encoding: chunked']));
    const chunk = Buffer.concat([Buffer.from('8000\r\n'), Buffer.alloc(0x8000, 0x20), Buffer.from('\r\n')]);
    for (let i = 0; i < tooLarge / 0x8000; i += 1) connection.send(chunk);
    connection.send('0\r\n\r\n');
    const response = await connection.response();
    expect(response.status).toBe(413);
    refusal(response);
    await connection.closed(10_000);
    expect(connection.wasReset).toBe(false);
    connection.destroy();
  });

  test('answers other refusals readably too while a large body is on its way', async () => {
    const connection = await RawConnection.open(gateway.port);
    const headers = ['Host: evil.example', 'Content-Type: application/json', `Content-Length: ${tooLarge}`];
    connection.send(rawRequestText('POST /target/mcp HTTP/1.1', headers));
    connection.send(Buffer.alloc(tooLarge, 0x20));
    const response = await connection.response();
    expect(response.status).toBe(403);
    refusal(response);
    await connection.closed(10_000);
    expect(connection.wasReset).toBe(false);
    connection.destroy();
  });

  test('takes a body of exactly the limit', async () => {
    const body = `${' '.repeat(64 * 1024 - 1)}{`;
    const response = await rawRequest(gateway.port, postText('/target/mcp', POST_HEADERS, body));
    expect(refusal(response).error.code).toBe(-32700);
    const larger = await rawRequest(gateway.port, postText('/target/mcp', POST_HEADERS, ` ${body}`));
    expect(larger.status).toBe(413);
  });
});

describe('heads that are too large', () => {
  test('answers 431 to 20 kB in one header', async () => {
    const headers = [...POST_HEADERS, `X-Big: ${'x'.repeat(20_000)}`];
    const { response, connection } = await exchangeRaw(gateway.port, postText('/target/mcp', headers));
    expect(response.status).toBe(431);
    refusal(response);
    connection.destroy();
  });

  test.each([120, 2000])('answers 431 to %i headers', async (count) => {
    const many = Array.from({ length: count }, (_, index) => `a${index}: 1`);
    const { response, connection } = await exchangeRaw(
      gateway.port,
      postText('/target/mcp', [...POST_HEADERS, ...many]),
    );
    expect(response.status).toBe(431);
    refusal(response);
    connection.destroy();
  });

  test('answers 431 to a request line of a megabyte', async () => {
    const { response, connection } = await exchangeRaw(gateway.port, getText(`/target/${'x'.repeat(1_000_000)}`));
    expect(response.status).toBe(431);
    refusal(response);
    connection.destroy();
  });
});

describe('methods', () => {
  const wrong: [method: string, path: string, allow: string][] = [
    ['GET', '/target/messages', 'POST, OPTIONS'],
    ['DELETE', '/target/messages', 'POST, OPTIONS'],
    ['POST', '/target/sse', 'GET, OPTIONS'],
    ['DELETE', '/target/sse', 'GET, OPTIONS'],
    ['PUT', '/target/mcp', 'POST, GET, DELETE, OPTIONS'],
    ['PATCH', '/target/mcp', 'POST, GET, DELETE, OPTIONS'],
    ['TRACE', '/target/mcp', 'POST, GET, DELETE, OPTIONS'],
    ['PROPFIND', '/target/mcp', 'POST, GET, DELETE, OPTIONS'],
  ];
  test.each(wrong)('answers 405 to %s %s and names the right ones', async (method, path, allow) => {
    const response = await rawRequest(gateway.port, rawRequestText(`${method} ${path} HTTP/1.1`, ['Host: localhost']));
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe(allow);
    refusal(response);
  });

  test.each(['/status', '/target/status', '/livez'])('answers 405 to DELETE %s', async (path) => {
    const response = await rawRequest(gateway.port, rawRequestText(`DELETE ${path} HTTP/1.1`, ['Host: localhost']));
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toMatch(/GET/);
    refusal(response);
  });

  test('does not say back what TRACE sent', async () => {
    const headers = ['Host: localhost', 'X-Secret: canary-7731'];
    const response = await rawRequest(gateway.port, rawRequestText('TRACE /target/mcp HTTP/1.1', headers));
    expect(response.body).not.toContain('canary-7731');
  });

  test('is no tunnel', async () => {
    const target = `127.0.0.1:${upstream.port}`;
    const { response, connection } = await exchangeRaw(
      gateway.port,
      rawRequestText(`CONNECT ${target} HTTP/1.1`, [`Host: ${target}`]),
    );
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBeTruthy();
    refusal(response);
    await connection.closed();
    connection.destroy();
    expect(upstream.connections).toBe(0);
  });

  test('refuses a method nobody knows', async () => {
    const { response, connection } = await exchangeRaw(gateway.port, getText('/target/mcp').replace('GET', 'FROB'));
    expect(response.status).toBe(400);
    refusal(response);
    connection.destroy();
  });

  test.each(['h2c', 'websocket', 'TLS/1.0'])('ignores an upgrade to %s', async (protocol) => {
    const headers = [
      ...POST_HEADERS,
      `Upgrade: ${protocol}`,
      'Connection: Upgrade, HTTP2-Settings',
      'HTTP2-Settings: AAMAAABk',
    ];
    const response = await rawRequest(gateway.port, postText('/target/mcp', headers, '{'));
    expect(response.status).toBe(400);
    expect(refusal(response).error.code).toBe(-32700);
  });

  test('refuses an expectation other than 100-continue', async () => {
    const response = await rawRequest(
      gateway.port,
      postText('/target/mcp', [...POST_HEADERS, 'Expect: 200-maybe'], '{'),
    );
    expect(response.status).toBe(417);
    refusal(response);
  });
});

describe('one connection after another request', () => {
  test('answers pipelined requests in order', async () => {
    const connection = await RawConnection.open(gateway.port);
    const bad = (body: string) => postText('/target/mcp', POST_HEADERS, body);
    connection.send(getText('/livez') + bad('{') + getText('/nowhere') + bad('[]') + getText('/readyz'));
    const statuses: number[] = [];
    for (let i = 0; i < 5; i += 1) statuses.push((await connection.response()).status);
    expect(statuses).toEqual([200, 400, 404, 400, 200]);
    connection.destroy();
  });

  test('does not write a refusal into an answer that has begun', async () => {
    const connection = await RawConnection.open(gateway.port);
    connection.send(getText('/healthy/sse', ['Host: localhost', 'Accept: text/event-stream']));
    await connection.head();
    connection.send('GARBAGE\r\n\r\n');
    await connection.closed();
    expect(connection.received).not.toContain('HTTP/1.1 400');
    connection.destroy();
  });

  test('keeps a connection that was refused something small', async () => {
    const connection = await RawConnection.open(gateway.port);
    for (let i = 0; i < 3; i += 1) {
      connection.send(postText('/target/mcp', ['Host: localhost', 'Content-Type: text/plain']));
      expect((await connection.response()).status).toBe(415);
    }
    connection.destroy();
  });
});

describe('security headers', () => {
  test('stand on every kind of answer', async () => {
    const answers = await Promise.all([
      rawRequest(gateway.port, getText('/livez')),
      rawRequest(gateway.port, getText('/status')),
      rawRequest(gateway.port, getText('/nowhere')),
      rawRequest(gateway.port, postText('/healthy/mcp', POST_HEADERS)),
      rawRequest(gateway.port, postText('/healthy/mcp', POST_HEADERS, '{')),
      rawRequest(gateway.port, rawRequestText('OPTIONS /healthy/mcp HTTP/1.1', ['Host: localhost'])),
    ]);
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 404, 200, 400, 204]);
    for (const answer of answers) {
      expectSecurityHeaders(answer);
      expect(answer.headers.get('cache-control')).toContain('no-store');
    }
  });

  test('stand on event streams, with what keeps them unbuffered', async () => {
    const connection = await RawConnection.open(gateway.port);
    connection.send(getText('/healthy/sse', ['Host: localhost', 'Accept: text/event-stream']));
    const head = await connection.head();
    expectSecurityHeaders(head);
    expect(head.headers.get('content-type')).toBe('text/event-stream');
    expect(head.headers.get('cache-control')).toBe('no-cache, no-transform');
    expect(head.headers.get('x-accel-buffering')).toBe('no');
    connection.destroy();
  });
});

describe('slow clients', () => {
  test.concurrent('are cut with 408 when the head does not come', async () => {
    const connection = await RawConnection.open(gateway.port);
    connection.send('POST /target/mcp HTTP/1.1\r\nHost: localhost\r\n');
    const response = await connection.response(20_000);
    expect(response.status).toBe(408);
    refusal(response);
    await connection.closed();
    connection.destroy();
  }, 30_000);
});
