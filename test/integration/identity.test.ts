/** Who may come in: credentials, refusals as clients see them, the metadata that leads to a token, and what only operators see. */
import {
  discoverOAuthProtectedResourceMetadata,
  extractWWWAuthenticateParams,
} from '@modelcontextprotocol/sdk/client/auth.js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { type Issuer, startIssuer } from '../helpers/issuer.js';
import { RawConnection, rawRequest } from '../helpers/raw-http.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import { apiKey, bearer, INITIALIZE, openSession, refused, send } from './identity-support.js';

const CI_KEY = 'canary-ci-key-0123456789';
const OPS_KEY = 'canary-ops-key-0123456789';

let issuer: Issuer;
let upstream: EvilUpstream;
const open: InProcessGateway[] = [];

beforeAll(async () => {
  [issuer, upstream] = await Promise.all([startIssuer(), EvilUpstream.start()]);
});

afterEach(async () => {
  for (const each of open.splice(0)) await each.stop();
});

afterAll(() => Promise.all([issuer.close(), upstream.close()]));

async function gatewayWith(auth: object | undefined, server: object = {}): Promise<InProcessGateway> {
  const upstreams = [
    { url: upstream.mcpUrl, prefix: 'sumit', transport: 'streamable-http' },
    { url: upstream.mcpUrl, prefix: 'other' },
  ];
  const gateway = await startTestGateway({
    server,
    upstreams,
    default: 'sumit',
    ...(auth === undefined ? {} : { auth }),
  });
  open.push(gateway);
  return gateway;
}

function everyMethod(scopes: string[] = []): object {
  const apiKeys = [apiKey('ci', CI_KEY, { role: 'user' }), apiKey('ops', OPS_KEY, { role: 'admin' })];
  return { apiKeys, jwt: [{ ...issuer.options, requiredScopes: scopes }] };
}

describe('a credential', () => {
  test('is a key or a token, in either header', async () => {
    const { url } = await gatewayWith(everyMethod());
    const token = await issuer.token('alice');
    for (const headers of [bearer(CI_KEY), { 'x-api-key': CI_KEY }, bearer(token), { 'x-api-key': token }]) {
      expect((await send('POST', `${url}/sumit/mcp`, headers, INITIALIZE)).status).toBe(200);
    }
  });

  test('is wanted on every endpoint and for every method', async () => {
    const { url } = await gatewayWith(everyMethod());
    const answers = await Promise.all([
      send('GET', `${url}/sumit/sse`),
      send('POST', `${url}/sumit/messages?sessionId=x`, {}, INITIALIZE),
      send('POST', `${url}/sumit/mcp`, {}, INITIALIZE),
      send('GET', `${url}/sumit/mcp`),
      send('DELETE', `${url}/sumit/mcp`),
      send('GET', `${url}/sse`),
      send('POST', `${url}/mcp`, {}, INITIALIZE),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 401));
    expect(answers.map(({ body }) => body)).toEqual(answers.map(() => refused('a credential is required')));
  });

  test('that is bad is never an anonymous caller', async () => {
    const { url } = await gatewayWith({ ...everyMethod(), anonymous: { role: 'guest' } });
    expect((await send('POST', `${url}/sumit/mcp`, {}, INITIALIZE)).status).toBe(200);
    for (const headers of [bearer('nonsense'), { authorization: 'Basic YTpi' }, { 'x-api-key': 'nonsense' }]) {
      expect((await send('POST', `${url}/sumit/mcp`, headers, INITIALIZE)).status).toBe(401);
    }
  });

  test.each(['access_token', 'TOKEN', 'api_key', 'authorization'])(
    'in the URL as %s is 400, with or without auth',
    async (name) => {
      for (const auth of [everyMethod(), undefined]) {
        const { url } = await gatewayWith(auth);
        for (const path of [
          `/sumit/sse?${name}=x`,
          `/sumit/mcp?a=1&${name}=x`,
          `/sumit/messages?sessionId=a&${name}=x`,
        ]) {
          const answer = await send(path.includes('sse') ? 'GET' : 'POST', url + path, bearer(CI_KEY));
          expect(answer.status).toBe(400);
          expect(answer.body).toEqual(refused('credentials belong in a header, never in the URL'));
          expect(answer.headers.get('www-authenticate')).toContain('error="invalid_request"');
        }
      }
    },
  );

  test('is not asked of a preflight, and a refusal keeps its CORS headers', async () => {
    const { url } = await gatewayWith(everyMethod(), { allowedOrigins: ['https://app.example'] });
    const origin = { origin: 'https://app.example' };
    expect((await send('OPTIONS', `${url}/sumit/mcp`, origin)).status).toBe(204);
    const answer = await send('POST', `${url}/sumit/mcp`, origin, INITIALIZE);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect(answer.headers.get('access-control-expose-headers')).toContain('WWW-Authenticate');
    expect((await send('POST', `${url}/sumit/mcp`, { origin: 'https://evil.example' }, INITIALIZE)).status).toBe(403);
  });

  test('is verified once for many requests', async () => {
    const own = await startIssuer();
    const { url } = await gatewayWith({ jwt: [own.options] });
    const headers = bearer(await own.token('alice'));
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => send('POST', `${url}/sumit/mcp`, headers, INITIALIZE)),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(own.reads).toBe(1);
    await own.close();
  });

  test('of a client that left while it was verified opens nothing', async () => {
    const slow = await startIssuer(200);
    const gateway = await gatewayWith({ jwt: [slow.options], apiKeys: [apiKey('ops', OPS_KEY, { role: 'admin' })] });
    const connection = await RawConnection.open(gateway.port);
    const token = await slow.token('alice');
    connection.send(`GET /sumit/sse HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    await waitFor('the keys to be asked for', () => slow.reads === 1);
    connection.reset();
    // The same keys serve this one, so the first request was judged by now.
    expect((await send('GET', `${gateway.url}/sumit/sse`, bearer(await slow.token('bob')))).status).toBe(200);
    const status = await send('GET', `${gateway.url}/sumit/status`, bearer(OPS_KEY));
    expect(status.body).toMatchObject({ connections: 1 });
    await slow.close();
  });
});

describe('a refusal', () => {
  test('says where a token is to be had, and nothing of an error to a caller that sent none', async () => {
    const { url } = await gatewayWith(everyMethod(['mcp']));
    const { headers } = await send('POST', `${url}/sumit/mcp`, {}, INITIALIZE);
    const metadata = `${url}/.well-known/oauth-protected-resource/sumit/mcp`;
    expect(headers.get('www-authenticate')).toBe(`Bearer scope="mcp", resource_metadata="${metadata}"`);
    expect(headers.get('cache-control')).toBe('no-store');
  });

  test('of a bad token names the error', async () => {
    const { url } = await gatewayWith(everyMethod());
    const metadata = `resource_metadata="${url}/.well-known/oauth-protected-resource/sumit/sse"`;
    const expired = await send('GET', `${url}/sumit/sse`, bearer(await issuer.token('alice', {}, -31)));
    expect([expired.status, expired.headers.get('www-authenticate')]).toEqual([
      401,
      `Bearer error="invalid_token", error_description="the token has expired", ${metadata}`,
    ]);
    const posted = await send('POST', `${url}/sumit/messages?sessionId=x`, bearer('nonsense'), INITIALIZE);
    expect([posted.status, posted.headers.get('www-authenticate')]).toEqual([
      401,
      `Bearer error="invalid_token", error_description="the credential is not accepted", ${metadata}`,
    ]);
  });

  test('for want of a scope is 403 and names the scope', async () => {
    const { url } = await gatewayWith(everyMethod(['mcp', 'tools']));
    const { status, headers, body } = await send(
      'POST',
      `${url}/mcp`,
      bearer(await issuer.token('alice', { scope: 'mcp' })),
      INITIALIZE,
    );
    expect(status).toBe(403);
    expect(body).toEqual(refused('the token lacks a required scope'));
    expect(headers.get('www-authenticate')).toBe(
      'Bearer error="insufficient_scope", error_description="the token lacks a required scope", scope="mcp tools", ' +
        `resource_metadata="${url}/.well-known/oauth-protected-resource/mcp"`,
    );
  });

  test('with keys alone names no metadata', async () => {
    const { url } = await gatewayWith({ apiKeys: [apiKey('ci', CI_KEY)] });
    const { headers } = await send('POST', `${url}/sumit/mcp`, {}, INITIALIZE);
    expect(headers.get('www-authenticate')).toBe('Bearer');
    expect((await send('GET', `${url}/.well-known/oauth-protected-resource/sumit/mcp`)).status).toBe(404);
  });

  test('repeats nothing of the credential, in the answer or in the log', async () => {
    const gateway = await gatewayWith(everyMethod());
    const answer = await send('POST', `${gateway.url}/sumit/mcp`, bearer('canary-wrong-credential'), INITIALIZE);
    expect(answer.status).toBe(401);
    await openSession(`${gateway.url}/sumit/mcp`, bearer(CI_KEY));
    const shown = JSON.stringify([answer.body, [...answer.headers], gateway.log.lines]);
    expect(shown).not.toContain('canary');
  });

  test('comes after too many guesses as 429, for that address alone', async () => {
    const { url } = await gatewayWith(everyMethod(), { trustedProxies: ['127.0.0.0/8'] });
    const from = (ip: string) => ({ 'x-forwarded-for': ip });
    for (let guess = 0; guess < 20; guess += 1) {
      const headers = { ...bearer(`guess-${guess}`), ...from('203.0.113.9') };
      expect((await send('POST', `${url}/sumit/mcp`, headers, INITIALIZE)).status).toBe(401);
    }
    const blocked = await send('POST', `${url}/sumit/mcp`, { ...bearer(CI_KEY), ...from('203.0.113.9') }, INITIALIZE);
    expect([blocked.status, blocked.body]).toEqual([429, refused('too many failed attempts from this address', 1429)]);
    expect(Number(blocked.headers.get('retry-after'))).toBeGreaterThan(50);
    expect(blocked.headers.get('www-authenticate')).toBeNull();
    const other = { ...bearer(CI_KEY), ...from('203.0.113.10') };
    expect((await send('POST', `${url}/sumit/mcp`, other, INITIALIZE)).status).toBe(200);
  });
});

describe('protected resource metadata', () => {
  test('is open to all and names the endpoint as the client wrote it', async () => {
    const { url } = await gatewayWith(everyMethod(['mcp']));
    for (const path of ['/sumit/mcp', '/sumit/sse', '/other/mcp', '/mcp', '/sse']) {
      const answer = await send('GET', `${url}/.well-known/oauth-protected-resource${path}`);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
      expect(answer.body).toEqual({
        resource: url + path,
        authorization_servers: [issuer.name],
        bearer_methods_supported: ['header'],
        scopes_supported: ['mcp'],
      });
    }
  });

  test('exists for nothing else', async () => {
    const { url } = await gatewayWith(everyMethod());
    for (const path of ['', '/', '/sumit', '/sumit/messages', '/nobody/mcp', '/sumit/mcp/', '/sumit/status']) {
      expect((await send('GET', `${url}/.well-known/oauth-protected-resource${path}`)).status).toBe(404);
    }
    const posted = await send('POST', `${url}/.well-known/oauth-protected-resource/sumit/mcp`, {}, INITIALIZE);
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, OPTIONS']);
  });

  test('has absolute URLs of the public address, found with its path and without', async () => {
    const publicUrl = 'https://gw.example.com/base';
    const { url } = await gatewayWith(everyMethod(), { publicUrl });
    const { headers } = await send('POST', `${url}/sumit/mcp`, {}, INITIALIZE);
    expect(headers.get('www-authenticate')).toBe(
      'Bearer resource_metadata="https://gw.example.com/.well-known/oauth-protected-resource/base/sumit/mcp"',
    );
    for (const path of ['/base/sumit/mcp', '/sumit/mcp']) {
      const answer = await send('GET', `${url}/.well-known/oauth-protected-resource${path}`);
      expect(answer.body).toMatchObject({ resource: 'https://gw.example.com/base/sumit/mcp' });
    }
  });

  test('knows routes by their host names, and the scheme from a trusted proxy', async () => {
    const gateway = await gatewayWith(everyMethod(), { domain: 'gw.test', trustedProxies: ['127.0.0.1/32'] });
    const { body } = await rawRequest(
      gateway.port,
      'GET /.well-known/oauth-protected-resource/mcp HTTP/1.1\r\nHost: sumit.gw.test\r\nX-Forwarded-Proto: https\r\n\r\n',
    );
    expect(JSON.parse(body)).toMatchObject({ resource: 'https://sumit.gw.test/mcp' });
  });

  test('is what the SDK finds by following the challenge', async () => {
    const { url } = await gatewayWith(everyMethod());
    const refusedResponse = await fetch(`${url}/sumit/mcp`, { method: 'POST' });
    const { resourceMetadataUrl } = extractWWWAuthenticateParams(refusedResponse);
    expect(resourceMetadataUrl?.href).toBe(`${url}/.well-known/oauth-protected-resource/sumit/mcp`);
    for (const options of [{}, { resourceMetadataUrl }] as { resourceMetadataUrl?: URL }[]) {
      const metadata = await discoverOAuthProtectedResourceMetadata(`${url}/sumit/mcp`, options);
      expect(metadata).toMatchObject({ resource: `${url}/sumit/mcp`, authorization_servers: [issuer.name] });
    }
  });
});

describe('status and metrics', () => {
  const paths = ['/status', '/sumit/status', '/metrics'];

  test.each(paths)('%s takes the role admin', async (path) => {
    const { url } = await gatewayWith({ ...everyMethod(), anonymous: { role: 'guest' } });
    const refusal = refused('this takes the role admin');
    expect(await send('GET', url + path)).toMatchObject({ status: 403, body: refusal });
    expect(await send('GET', url + path, bearer(CI_KEY))).toMatchObject({ status: 403, body: refusal });
    expect((await send('GET', url + path, bearer('nonsense'))).status).toBe(401);
    expect((await fetch(url + path, { headers: bearer(OPS_KEY) })).status).toBe(200);
    const admin = bearer(await issuer.token('root', { role: 'admin' }));
    expect((await fetch(url + path, { headers: admin })).status).toBe(200);
  });

  test.each(paths)('%s wants a credential, and is open where nobody has one', async (path) => {
    const closed = await gatewayWith(everyMethod());
    const answer = await send('GET', closed.url + path);
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    const openGateway = await gatewayWith(undefined);
    expect((await fetch(openGateway.url + path)).status).toBe(200);
  });

  test('are not what the role of a route gives', async () => {
    const gateway = await startTestGateway({
      upstreams: [{ url: upstream.mcpUrl, prefix: 'sumit', role: 'admin' }],
      auth: { apiKeys: [apiKey('plain', CI_KEY)] },
    });
    open.push(gateway);
    expect((await send('GET', `${gateway.url}/status`, bearer(CI_KEY))).status).toBe(403);
  });

  test('leave the probes open', async () => {
    const { url } = await gatewayWith(everyMethod());
    for (const path of ['/livez', '/readyz', '/healthz']) expect((await send('GET', url + path)).status).toBe(200);
  });
});
