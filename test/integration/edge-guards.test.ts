/** Which names and which web pages are answered, and where a route is reached by its own host name. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { RawConnection, rawRequest } from '../helpers/raw-http.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import { getText, POST_HEADERS, postText, rawRequestText, refusal } from './edge-support.js';

const APP = 'https://app.example.com';

let upstream: EvilUpstream;
let local: InProcessGateway;
let named: InProcessGateway;
let open: InProcessGateway;

beforeAll(async () => {
  upstream = await EvilUpstream.start();
  const upstreams = [
    { url: upstream.mcpUrl, prefix: 'sumit' },
    { url: upstream.mcpUrl, prefix: 'company' },
  ];
  [local, named, open] = await Promise.all([
    startTestGateway({ server: { allowedOrigins: [APP, 'http://localhost:5173'] }, upstreams, default: 'sumit' }),
    startTestGateway({
      server: {
        domain: 'gateway.example.com',
        publicUrl: 'https://public.example.net/base',
        allowedHosts: ['alias.example.org'],
      },
      upstreams,
    }),
    startTestGateway({ server: { host: '0.0.0.0', insecure: true, allowedOrigins: [APP] }, upstreams }),
  ]);
});

afterAll(async () => {
  await Promise.all([local.stop(), named.stop(), open.stop()]);
  await upstream.close();
});

async function statusFor(gateway: InProcessGateway, path: string, headers: readonly string[]): Promise<number> {
  const response = await rawRequest(gateway.port, getText(path, headers));
  if (response.status >= 400) refusal(response);
  return response.status;
}

/** The `endpoint` event of a fresh SSE session. */
async function endpointOf(gateway: InProcessGateway, path: string, host: string): Promise<string> {
  const connection = await RawConnection.open(gateway.port);
  connection.send(getText(path, [`Host: ${host}`, 'Accept: text/event-stream']));
  const data = await waitFor(
    'the endpoint event',
    () => /event: endpoint\ndata: (\S+)\n/.exec(connection.received)?.[1],
  );
  connection.destroy();
  return data;
}

describe('the Host guard on loopback', () => {
  test.each(['localhost', '127.0.0.1', '[::1]', 'LOCALHOST', 'localhost:1', '127.0.0.1:65535', '[::1]:8080'])(
    'answers to %s',
    async (host) => {
      expect(await statusFor(local, '/status', [`Host: ${host}`])).toBe(200);
    },
  );

  const foreign = [
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    'evil-localhost',
    'localhost.',
    'localhost@evil.example',
    'evil.example#localhost',
    '127.0.0.1.nip.io',
    '127.0.0.2',
    '2130706433',
    '0.0.0.0',
    '[::]',
    '[::1',
    '[::ffff:127.0.0.1]',
    'local host',
    'localhost:port',
    'localhost/',
    '*',
    '',
  ];
  test.each(foreign)('answers 403 to "%s"', async (host) => {
    expect(await statusFor(local, '/status', [`Host: ${host}`])).toBe(403);
    const post = await rawRequest(
      local.port,
      postText('/sumit/mcp', [`Host: ${host}`, ...POST_HEADERS.filter((line) => !line.startsWith('Host'))]),
    );
    expect(post.status).toBe(403);
    expect(upstream.connections).toBe(0);
  });

  test('believes no forwarded host', async () => {
    const headers = ['Host: evil.example', 'X-Forwarded-Host: localhost', 'Forwarded: host=localhost'];
    expect(await statusFor(local, '/status', headers)).toBe(403);
  });

  test.each(['/livez', '/readyz', '/healthz'])('lets a probe of %s come under any name', async (path) => {
    expect(await statusFor(local, path, ['Host: 10.0.0.7:8080'])).toBe(200);
    const old = await rawRequest(local.port, `GET ${path} HTTP/1.0\r\n\r\n`);
    expect(old.status).toBe(200);
    expect(Object.keys(JSON.parse(old.body) as object)).toEqual(['status']);
  });

  test('lets nothing else through without a Host', async () => {
    const response = await rawRequest(local.port, 'GET /status HTTP/1.0\r\n\r\n');
    expect(response.status).toBe(403);
  });
});

describe('the Host guard with names configured', () => {
  test.each([
    'localhost',
    'gateway.example.com',
    'sumit.gateway.example.com',
    'COMPANY.Gateway.Example.COM:443',
    'public.example.net',
    'alias.example.org:1234',
  ])('answers to %s', async (host) => {
    expect(await statusFor(named, '/status', [`Host: ${host}`])).toBe(200);
  });

  test.each(['other.gateway.example.com', 'a.sumit.gateway.example.com', 'example.com', 'xgateway.example.com'])(
    'answers 403 to %s',
    async (host) => {
      expect(await statusFor(named, '/status', [`Host: ${host}`])).toBe(403);
    },
  );

  test('is off beyond loopback when nothing names us, but a host must still be one', async () => {
    expect(await statusFor(open, '/status', ['Host: whatever.example'])).toBe(200);
    expect(await statusFor(open, '/status', ['Host: what ever'])).toBe(403);
  });
});

describe('the Origin guard', () => {
  const foreign = [
    'null',
    'https://evil.example',
    'https://app.example.com.evil.example',
    'https://app.example.com:8443',
    'http://app.example.com',
    'https://user@app.example.com',
    'https://APP.example.com',
    'https://app.example.com/',
    'https://app.example.com, https://evil.example',
    'http://localhost:1',
    'file://',
    'chrome-extension://abcdef',
    '*',
    '',
  ];
  test.each(foreign)('answers 403 to "%s", and grants it nothing', async (origin) => {
    const response = await rawRequest(local.port, postText('/sumit/mcp', [...POST_HEADERS, `Origin: ${origin}`]));
    expect(response.status).toBe(403);
    refusal(response);
    expect(response.headers.has('access-control-allow-origin')).toBe(false);
    expect(upstream.connections).toBe(0);
    expect(await statusFor(local, '/status', ['Host: localhost', `Origin: ${origin}`])).toBe(403);
    const preflight = await rawRequest(
      local.port,
      rawRequestText('OPTIONS /sumit/mcp HTTP/1.1', ['Host: 127.0.0.1', `Origin: ${origin}`]),
    );
    expect(preflight.status).toBe(403);
    expect([...preflight.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  test('lets a page of our own call', async () => {
    const headers = ['Host: localhost:4000', 'Origin: http://localhost:4000'];
    expect(await statusFor(local, '/status', headers)).toBe(200);
  });

  test('does not take a page for our own when any host name goes', async () => {
    const headers = ['Host: evil.example', 'Origin: http://evil.example'];
    expect(await statusFor(open, '/status', headers)).toBe(403);
  });

  test.each([
    ['a message that is refused', postText('/sumit/mcp', [...POST_HEADERS, `Origin: ${APP}`], '{'), 400],
    ['a wrong method', rawRequestText('PUT /sumit/mcp HTTP/1.1', ['Host: localhost', `Origin: ${APP}`]), 405],
    ['the status', getText('/status', ['Host: localhost', `Origin: ${APP}`]), 200],
    ['an unknown path', getText('/nowhere', ['Host: localhost', `Origin: ${APP}`]), 404],
  ])('lets a listed page read the answer to %s', async (_name, bytes, status) => {
    const response = await rawRequest(local.port, bytes);
    expect(response.status).toBe(status);
    expect(response.headers.get('access-control-allow-origin')).toBe(APP);
    expect(response.headers.get('vary')).toBe('Origin');
    expect(response.headers.get('access-control-expose-headers')).toBe('Mcp-Session-Id, WWW-Authenticate, Retry-After');
    expect(response.headers.has('access-control-allow-credentials')).toBe(false);
  });

  test('lets a listed page read an event stream', async () => {
    const connection = await RawConnection.open(local.port);
    connection.send(getText('/sumit/sse', ['Host: localhost', 'Origin: http://localhost:5173']));
    const head = await connection.head();
    expect(head.status).toBe(200);
    expect(head.headers.get('access-control-allow-origin')).toBe('http://localhost:5173');
    expect(head.headers.get('vary')).toBe('Origin');
    connection.destroy();
  });

  test.each([
    ['/sumit/mcp', 'POST, GET, DELETE, OPTIONS'],
    ['/sumit/messages', 'POST, OPTIONS'],
    ['/sse', 'GET, OPTIONS'],
  ])('answers the preflight for %s', async (path, methods) => {
    const headers = [
      'Host: localhost',
      `Origin: ${APP}`,
      'Access-Control-Request-Method: POST',
      'Access-Control-Request-Headers: content-type, mcp-session-id',
    ];
    const response = await rawRequest(local.port, rawRequestText(`OPTIONS ${path} HTTP/1.1`, headers));
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-origin')).toBe(APP);
    expect(response.headers.get('access-control-allow-methods')).toBe(methods);
    const allowed = response.headers.get('access-control-allow-headers')?.toLowerCase() ?? '';
    for (const name of ['content-type', 'authorization', 'mcp-session-id', 'mcp-protocol-version', 'last-event-id']) {
      expect(allowed).toContain(name);
    }
    expect(response.headers.get('vary')).toBe('Origin');
  });
});

describe('names and paths we hand out', () => {
  test.each([
    ['/sumit/sse', 'localhost', /^\/sumit\/messages\?sessionId=[\w-]+$/],
    ['/sse', 'localhost', /^\/sumit\/messages\?sessionId=[\w-]+$/],
    ['/company/sse', 'localhost', /^\/company\/messages\?sessionId=[\w-]+$/],
  ])('are the path alone: %s at %s', async (path, host, expected) => {
    expect(await endpointOf(local, path, host)).toMatch(expected);
  });

  test.each([
    ['/sumit/sse', 'localhost', /^\/base\/sumit\/messages\?sessionId=[\w-]+$/],
    ['/sumit/sse', 'public.example.net', /^\/base\/sumit\/messages\?sessionId=[\w-]+$/],
    ['/sse', 'sumit.gateway.example.com', /^\/messages\?sessionId=[\w-]+$/],
    ['/sse', 'company.gateway.example.com:8443', /^\/messages\?sessionId=[\w-]+$/],
    ['/sumit/sse', 'sumit.gateway.example.com', /messages\?sessionId=[\w-]+$/],
    ['/company/sse', 'sumit.gateway.example.com', /company\/messages\?sessionId=[\w-]+$/],
  ])('follow publicUrl and host names: %s at %s', async (path, host, expected) => {
    expect(await endpointOf(named, path, host)).toMatch(expected);
  });

  test('lead each host name to its own route', async () => {
    const endpoint = await endpointOf(named, '/sse', 'sumit.gateway.example.com');
    const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
    const at = (host: string) =>
      rawRequest(
        named.port,
        postText(endpoint, [`Host: ${host}`, 'Content-Type: application/json', 'Accept: */*'], ping),
      );
    expect((await at('sumit.gateway.example.com')).status).toBe(202);
    expect((await at('company.gateway.example.com')).status).toBe(404);
    expect((await at('gateway.example.com')).status).toBe(404);
  });
});
