/** Real key servers on a real port: those that serve, rotate, redirect, hang, break off and drown whoever asks. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { afterEach, beforeAll, describe, expect, test } from 'vitest';

import { createAuthenticator } from '../../src/auth/create-authenticator.js';
import { FailureLimiter } from '../../src/auth/failure-limiter.js';
import { fetchKeySet } from '../../src/auth/fetch-key-set.js';
import { authOptions } from '../../src/auth/options.js';
import { RemoteKeySets } from '../../src/auth/remote-key-set.js';
import {
  AUDIENCE,
  bearer,
  createKey,
  FakeClock,
  ISSUER,
  keySetText,
  type SigningKey,
  sign,
} from '../unit/auth/harness.js';

let first: SigningKey;
let second: SigningKey;
const servers: Server[] = [];

beforeAll(async () => {
  [first, second] = await Promise.all([createKey('ES256', 'first'), createKey('ES256', 'second')]);
});

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** @returns the URL of a key set that `listener` answers for */
async function serve(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`, server };
}

describe('reading a key set', () => {
  test('returns what the server says and leaves no connection behind', async () => {
    const { url, server } = await serve((_request, response) => response.end('{"keys":[]}'));
    expect(await fetchKeySet(url)).toBe('{"keys":[]}');
    await delay(20);
    const connections = await new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
    expect(connections).toBe(0);
  });

  test('accepts exactly 256 KiB', async () => {
    const { url } = await serve((_request, response) => response.end('x'.repeat(256 * 1024)));
    expect(await fetchKeySet(url)).toHaveLength(256 * 1024);
  });

  const bad: [name: string, listener: RequestListener, message: RegExp][] = [
    ['answers 500', (_request, response) => response.writeHead(500).end('{"keys":[]}'), /answered 500/],
    ['answers 204', (_request, response) => response.writeHead(204).end(), /answered 204/],
    ['breaks off', (_request, response) => void response.write('{', () => response.destroy()), /key set/],
    ['sends one byte too many', (_request, response) => response.end('x'.repeat(256 * 1024 + 1)), /larger than 262144/],
    [
      'sends a huge header',
      (_request, response) => response.writeHead(200, { x: 'y'.repeat(20_000) }).end(),
      /key set/i,
    ],
  ];

  test.each(bad)('fails when the server %s', async (_name, listener, message) => {
    const { url } = await serve(listener);
    await expect(fetchKeySet(url)).rejects.toThrow(message);
  });

  test('follows no redirect', async () => {
    let visited = 0;
    const target = await serve((_request, response) => {
      visited += 1;
      response.end('{"keys":[]}');
    });
    const { url } = await serve((_request, response) => response.writeHead(302, { location: target.url }).end());
    await expect(fetchKeySet(url)).rejects.toThrow('answered 302');
    expect(visited).toBe(0);
  });

  test('stops an endless answer soon after the limit', async () => {
    let sentBytes = 0;
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const { url } = await serve((_request, response) => {
      const pump = (): void => {
        while (!response.destroyed && sentBytes < 1024 ** 3) {
          sentBytes += chunk.length;
          if (!response.write(chunk)) return void response.once('drain', pump);
        }
      };
      pump();
    });
    await expect(fetchKeySet(url)).rejects.toThrow(/larger than/);
    await delay(50);
    expect(sentBytes).toBeLessThan(16 * 1024 ** 2);
  });

  test.each<[string, RequestListener]>([
    ['before its headers', () => {}],
    ['after its headers', (_request, response) => void response.writeHead(200).write('{"keys":')],
  ])('gives up in time on a server that hangs %s', async (_name, listener) => {
    const { url } = await serve(listener);
    await expect(fetchKeySet(url, { timeoutMs: 150, maxBytes: 1000 })).rejects.toThrow(/key set/);
  });

  test('gives up in time on a server that drips', async () => {
    const { url } = await serve((_request, response) => {
      const drip = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drip));
    });
    await expect(fetchKeySet(url, { timeoutMs: 150, maxBytes: 100_000 })).rejects.toThrow(/key set/);
  });

  test('does not even connect where a key set must not come from', async () => {
    await expect(fetchKeySet('https://169.254.169.254/jwks')).rejects.toThrow('link-local');
    await expect(fetchKeySet('http://idp.example/jwks')).rejects.toThrow('must be https');
  });
});

describe('an authenticator with a real key server', () => {
  async function start(listener: RequestListener) {
    let requests = 0;
    const { url } = await serve((request, response) => {
      requests += 1;
      listener(request, response);
    });
    const clock = new FakeClock();
    const problems: string[] = [];
    const onProblem = (problem: string): void => void problems.push(problem);
    const fetch = (from: string): Promise<string> => fetchKeySet(from, { timeoutMs: 200, maxBytes: 10_000 });
    const keySets = new RemoteKeySets({ clock, fetch, onProblem });
    const options = authOptions.parse({ jwt: [{ issuer: ISSUER, audience: AUDIENCE, jwksUri: url }] });
    const build = () =>
      createAuthenticator(options, { clock, keySets, failures: new FailureLimiter(clock), onProblem });
    return { clock, problems, build, requests: () => requests };
  }

  test('lets tokens through a rotation, a breakdown and a reload of the configuration', async () => {
    let answer: RequestListener = (_request, response) => response.end(keySetText(first));
    const { clock, build, requests } = await start((request, response) => answer(request, response));
    const before = build();
    expect(await before.authenticate(bearer(await sign(first, clock)))).toMatchObject({ ok: true });

    answer = (_request, response) => response.end(keySetText(first, second));
    clock.advance(30_000);
    expect(await before.authenticate(bearer(await sign(second, clock)))).toMatchObject({ ok: true });

    answer = (_request, response) => response.writeHead(503).end();
    clock.advance(3_600_000);
    const after = build();
    expect(await after.authenticate(bearer(await sign(second, clock)))).toMatchObject({ ok: true });
    await expect.poll(requests).toBe(3);
  });

  test.each<[string, RequestListener]>([
    ['hangs', () => {}],
    ['answers 500', (_request, response) => response.writeHead(500).end(keySetText(first))],
    ['answers HTML', (_request, response) => response.end('<html>Sign in</html>')],
    ['answers nothing', (_request, response) => response.end()],
    ['publishes no key', (_request, response) => response.end('{"keys":[]}')],
    ['answers far too much', (_request, response) => response.end(' '.repeat(20_000) + keySetText(first))],
    ['resets', (request) => request.socket.resetAndDestroy()],
  ])('lets nobody in while the server %s, and asks it once', async (_name, listener) => {
    const { clock, problems, build, requests } = await start(listener);
    const authenticator = build();
    const tokens = await Promise.all([1, 2, 3, 4].map((jti) => sign(first, clock, { claims: { jti: String(jti) } })));
    const results = await Promise.all(tokens.map(async (token) => authenticator.authenticate(bearer(token))));
    expect(results.map((result) => !result.ok && result.reason)).toEqual(Array(4).fill('keys_unavailable'));
    expect(requests()).toBe(1);
    expect(problems).toHaveLength(1);
  });
});
