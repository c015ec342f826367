/** The upstream HTTP client over TLS; the certificates under `test/fixtures/tls` are good for nothing else. */
import { readFileSync } from 'node:fs';
import { connect, createServer as createTcpServer } from 'node:net';
import { createServer, type TlsOptions, type TLSSocket } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import type { HttpClient } from '../../src/http-client/client.js';
import type { HttpClientOptions } from '../../src/http-client/types.js';
import { type Loopback, listenOnLoopback } from '../helpers/loopback.js';
import { waitFor, within } from '../helpers/wait.js';
import { GET, newClient, ok, post, Recorder, send } from './http-client-support.js';

const fixture = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url));
const ca = fixture('ca.pem');
const serverIdentity = { cert: fixture('server.pem'), key: fixture('server.key') };
const clientIdentity = { cert: fixture('client.pem'), key: fixture('client.key') };

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of open.splice(0)) await within('the end', each.close());
});

async function serveTls(
  onData: (socket: TLSSocket, data: Buffer) => void,
  options: TlsOptions = {},
): Promise<Loopback> {
  const tlsServer = createServer({ ...serverIdentity, ALPNProtocols: ['h2', 'http/1.1'], ...options }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => onData(socket, data));
  });
  tlsServer.on('tlsClientError', () => {});
  const server = await listenOnLoopback(tlsServer);
  open.push(server);
  return server;
}

function connectTo(port: number, options: Partial<HttpClientOptions> = {}, host = 'localhost'): HttpClient {
  const client = newClient(port, { origin: new URL(`https://${host}:${port}`), tls: { ca }, ...options });
  open.unshift(client);
  return client;
}

const hello = (socket: TLSSocket): void => void socket.write(ok('hello'));

test.each(['localhost', '127.0.0.1'])(
  'trusts a given CA for %s, speaks HTTP/1.1, and keeps the connection',
  async (host) => {
    const { port, sockets } = await serveTls((socket) => {
      socket.write(ok(`${socket.alpnProtocol} ${socket.getProtocol()}`));
    });
    const client = connectTo(port, {}, host);
    expect((await send(client)).body).toBe('http/1.1 TLSv1.3');
    expect((await send(client, post('x'))).body).toBe('http/1.1 TLSv1.3');
    expect(sockets.size).toBe(1);
  },
);

test('resumes its TLS session on the next connection', async () => {
  const { port } = await serveTls((socket) =>
    socket.end(ok(String(socket.isSessionReused()), 'connection: close\r\n')),
  );
  const client = connectTo(port);
  expect((await send(client)).body).toBe('false');
  expect((await send(client)).body).toBe('true');
});

const untrusted: readonly [string, Partial<HttpClientOptions>, TlsOptions, string][] = [
  ['an unknown CA', { tls: {} }, {}, 'localhost'],
  ['a certificate for another name', {}, {}, '127.0.0.2'],
  ['a certificate that is no server’s', {}, clientIdentity, 'localhost'],
  ['TLS 1.1', {}, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }, 'localhost'],
];

test.each(untrusted)('refuses %s, and sends nothing', async (_, options, serverOptions, host) => {
  let received = 0;
  const { port } = await serveTls((_socket, data) => {
    received += data.length;
  }, serverOptions);
  // 127.0.0.2 reaches a server on 127.0.0.1 only when it listens on all addresses: a forwarder stands there.
  const forwarder = host === '127.0.0.2' ? await forward(host, port) : port;
  const answer = await send(connectTo(forwarder, options, host), post('secret'));
  expect(answer.error).toMatchObject({ reason: 'tls', sent: 'no' });
  expect(received).toBe(0);
});

test('cannot be talked out of verification by the environment', async () => {
  const { port } = await serveTls(hello);
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  try {
    expect((await send(connectTo(port, { tls: {} }))).error).toMatchObject({ reason: 'tls', sent: 'no' });
  } finally {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
  }
});

test('shows its own certificate when it has one', async () => {
  const { port } = await serveTls((socket) => socket.write(ok(String(socket.getPeerCertificate().subject.CN))), {
    ca,
    requestCert: true,
    rejectUnauthorized: true,
  });
  expect((await send(connectTo(port, { tls: { ca, ...clientIdentity } }))).body).toBe('client');
  expect((await send(connectTo(port))).events).toEqual(['error']);
});

test('fails at once on a certificate that cannot be read', () => {
  expect(() => connectTo(1, { tls: { cert: Buffer.from('nonsense'), key: Buffer.from('nonsense') } })).toThrow();
});

test('a server that speaks no TLS: tls', async () => {
  const server = await listenOnLoopback(
    createTcpServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad\r\n\r\n')),
  );
  open.push(server);
  expect((await send(connectTo(server.port))).error).toMatchObject({ reason: 'tls', sent: 'no' });
});

test('a handshake that never ends: connect_timeout', async () => {
  const server = await listenOnLoopback(createTcpServer((socket) => socket.on('error', () => {})));
  open.push(server);
  const { error } = await send(connectTo(server.port, { connectTimeoutMs: 40 }));
  expect(error).toMatchObject({ reason: 'connect_timeout', sent: 'no', timeoutMs: 40 });
});

test('nobody listening: connect', async () => {
  const server = await serveTls(hello);
  await server.close();
  expect((await send(connectTo(server.port))).error).toMatchObject({ reason: 'connect', sent: 'no' });
});

test('carries megabytes both ways, and pauses', async () => {
  const body = Buffer.alloc(3 * 1024 * 1024, 'abcdefg');
  let left = body.length;
  const { port } = await serveTls((socket, data) => {
    const head = left === body.length ? data.indexOf('\r\n\r\n') + 4 : 0;
    left -= data.length - head;
    if (left === 0) socket.write(ok(body.toString('latin1')));
  });
  const client = connectTo(port);
  const answer = new Recorder();
  const onData = answer.onData.bind(answer);
  answer.onData = (chunk) => {
    onData(chunk);
    call.pause();
    setImmediate(() => call.resume());
  };
  const call = client.request(post(body), answer);
  await answer.over();
  expect(answer.error).toBeUndefined();
  expect(Buffer.concat(answer.chunks).equals(body)).toBe(true);
  expect(client.openSockets).toBe(1);
});

test('sees a server that closes an idle connection', async () => {
  const server = await serveTls(hello);
  const client = connectTo(server.port);
  await send(client, GET);
  server.killConnections();
  await waitFor('the socket to close', () => client.openSockets === 0);
  expect((await send(client)).body).toBe('hello');
});

/** Accepts on `host` and passes everything to a port on 127.0.0.1. */
async function forward(host: string, target: number): Promise<number> {
  const server = createTcpServer((socket) => {
    const upstream = connect(target, '127.0.0.1');
    socket.on('error', () => upstream.destroy()).pipe(upstream);
    upstream.on('error', () => socket.destroy()).pipe(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, host, resolve);
  });
  open.push({
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
