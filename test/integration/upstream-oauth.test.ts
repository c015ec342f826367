/** Upstreams that want a token of the gateway's own, and credentials that stay where they belong. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { TokenServer, tokenOf } from '../helpers/token-server.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import { type Answer, apiKey, connectSdk, INITIALIZE, send } from './identity-support.js';
import { type BareClient, CLIENT_KINDS, openBare, PATIENCE_MS, type Reply, textOf } from './sessions-support.js';

const SECRET = 'canary client:secret/+ü';
const UNAUTHORIZED = { kind: 'status', status: 401, headers: { 'www-authenticate': 'Bearer realm="evil"' } } as const;

let tokens: TokenServer;
let upstream: EvilUpstream;
const open: { stop(): Promise<void> }[] = [];

beforeEach(async () => {
  [tokens, upstream] = await Promise.all([TokenServer.start(), EvilUpstream.start()]);
});

afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.stop();
  await Promise.all([tokens.close(), upstream.close()]);
});

type Transport = 'sse' | 'streamable-http';
const TRANSPORTS: readonly Transport[] = ['sse', 'streamable-http'];

async function gatewayTo(transport: Transport, options: object = {}): Promise<InProcessGateway> {
  const url = transport === 'sse' ? upstream.sseUrl : upstream.mcpUrl;
  const oauth = { tokenUrl: tokens.url, clientId: 'gate:way', clientSecret: '${SECRET}', scope: 'a b', resource: url };
  const gateway = await startTestGateway(
    { upstreams: [{ url, prefix: 'sumit', transport, oauth, ...options }] },
    { env: { SECRET } },
  );
  open.push(gateway);
  return gateway;
}

async function connect(gateway: InProcessGateway): Promise<BareClient> {
  const client = await openBare('streamable-http', gateway.url, 'sumit');
  open.push({ stop: async () => client.close() });
  return client;
}

/** @returns what the client gets, whatever that is */
function initialize(gateway: InProcessGateway): Promise<Answer> {
  return send('POST', `${gateway.url}/sumit/mcp`, {}, INITIALIZE);
}

function echo(client: BareClient, nonce: string): Promise<Reply> {
  return client.request('tools/call', { name: 'echo', arguments: { nonce } });
}

/** What every request to the upstream carried. */
function authorizations(): Set<string | undefined> {
  return new Set(upstream.requests.map(({ headers }) => headers.authorization));
}

function failureOf(reply: Reply): unknown {
  const meta = reply.result?.['_meta'] as Record<string, unknown> | undefined;
  return meta?.['mcp-gateway/error'];
}

describe.each(TRANSPORTS)('an upstream on %s', (transport) => {
  test('gets one token on every request, asked for with the client credentials', async () => {
    const gateway = await gatewayTo(transport);
    const clients = await Promise.all([connect(gateway), connect(gateway), connect(gateway)]);
    await Promise.all(clients.map((client) => echo(client, 'n')));
    expect(authorizations()).toEqual(new Set([`Bearer ${tokenOf(1)}`]));
    expect(tokens.requests.length).toBe(1);
    const [request] = tokens.requests;
    expect(request?.method).toBe('POST');
    expect(Object.fromEntries(request?.form ?? [])).toEqual({
      grant_type: 'client_credentials',
      scope: 'a b',
      resource: transport === 'sse' ? upstream.sseUrl : upstream.mcpUrl,
    });
    const basic = Buffer.from('gate%3Away:canary+client%3Asecret%2F%2B%C3%BC').toString('base64');
    expect(request?.headers.authorization).toBe(`Basic ${basic}`);
  });

  test('gets a new one before the old one ends', async () => {
    tokens.expiresInS = 2;
    const gateway = await gatewayTo(transport);
    const client = await connect(gateway);
    expect(authorizations()).toEqual(new Set([`Bearer ${tokenOf(1)}`]));
    await waitFor(
      'a token in the place of the first',
      async () => {
        expect(failureOf(await echo(client, 'n'))).toBeUndefined();
        return authorizations().has(`Bearer ${tokenOf(2)}`);
      },
      PATIENCE_MS,
    );
  });

  test('that refuses the token once gets another, and the client hears nothing of it', async () => {
    const gateway = await gatewayTo(transport);
    const client = await connect(gateway);
    upstream.inject('tools/list', UNAUTHORIZED, 1);
    const listed = await client.request('tools/list');
    expect(listed.result?.['tools']).toHaveLength(2);
    expect(tokens.requests.length).toBe(2);
    expect(upstream.requestsOf('tools/list').map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${tokenOf(1)}`,
      `Bearer ${tokenOf(2)}`,
    ]);
  });

  test('that refuses a tool call gets it only once; the next one has the new token', async () => {
    const gateway = await gatewayTo(transport);
    const client = await connect(gateway);
    upstream.inject('tools/call', UNAUTHORIZED, 1);
    expect(failureOf(await echo(client, 'refused'))).toMatchObject({ code: 'upstream_failed', executed: 'no' });
    expect(upstream.executions.get('refused')).toBe(1);
    expect(failureOf(await echo(client, 'taken'))).toBeUndefined();
    expect(upstream.requests.at(-1)?.headers.authorization).toBe(`Bearer ${tokenOf(2)}`);
  });

  test('that refuses every token is a failure like any other, and no flood on the token endpoint', async () => {
    const gateway = await gatewayTo(transport);
    const client = await connect(gateway);
    upstream.inject('tools/list', UNAUTHORIZED);
    for (let call = 0; call < 5; call += 1) {
      const { error } = await client.request('tools/list');
      expect(error).toMatchObject({ code: 1502, message: 'The upstream refused the message (HTTP 401)' });
    }
    expect(tokens.requests.length).toBeLessThanOrEqual(3);
  });

  test('that refuses at the very beginning is no wrong transport and no 401', async () => {
    const gateway = await gatewayTo(transport);
    upstream.inject('initialize', UNAUTHORIZED);
    upstream.inject('open', UNAUTHORIZED);
    const answer = await initialize(gateway);
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([200, null]);
    expect(answer.body).toMatchObject({ id: 1, error: { code: 1502 } });
  });
});

describe('a token endpoint', () => {
  const failures: [name: string, answer: NonNullable<TokenServer['answer']>][] = [
    ['refuses', { status: 401, body: '{"error":"invalid_client","error_description":"canary description"}' }],
    ['fails', { status: 500, body: 'canary page' }],
    ['redirects', { status: 307, headers: { location: '/token' }, body: '' }],
    ['answers a page', { status: 200, body: '<html>canary</html>' }],
    ['answers another kind of token', { status: 200, body: '{"access_token":"canary-mac-token","token_type":"mac"}' }],
    [
      'answers a token that would start a header',
      {
        status: 200,
        body: '{"access_token":"canary\\r\\nx-evil: 1","token_type":"Bearer"}',
      },
    ],
    ['answers too much', { status: 200, body: `{"access_token":"canary","pad":"${'x'.repeat(70_000)}"}` }],
  ];

  test.each(failures)('that %s is a failed upstream, and nothing was sent to it', async (_name, answer) => {
    const gateway = await gatewayTo('streamable-http');
    tokens.answer = answer;
    const { status, body } = await initialize(gateway);
    expect([status, body]).toMatchObject([200, { id: 1, error: { code: 1502 } }]);
    expect(JSON.stringify(body)).not.toContain('canary');
    expect(upstream.requests).toEqual([]);
    const lines = gateway.log.lines.filter(({ event }) => event === 'token_failed');
    expect(lines.length).toBeGreaterThan(0);
    expect(JSON.stringify(gateway.log.lines)).not.toContain('canary');
    // It recovers by itself.
    tokens.answer = undefined;
    const client = await connect(gateway);
    expect(failureOf(await echo(client, 'n'))).toBeUndefined();
  });

  test('that is down fails a call as not executed, and a session that stands goes on when it is back', async () => {
    tokens.expiresInS = 1;
    const gateway = await gatewayTo('streamable-http');
    const client = await connect(gateway);
    tokens.answer = { status: 503, body: '' };
    const failed = await waitFor(
      'the token to end',
      async () => failureOf(await echo(client, 'while down')),
      PATIENCE_MS,
    );
    expect(failed).toEqual({ code: 'upstream_failed', executed: 'no' });
    tokens.answer = undefined;
    expect(failureOf(await echo(client, 'back'))).toBeUndefined();
  });

  test('that is slow is waited for by all together, and no longer than it may take', async () => {
    tokens.delayMs = 300;
    const patient = await gatewayTo('streamable-http');
    await Promise.all([connect(patient), connect(patient)]);
    expect(tokens.requests.length).toBe(1);
    tokens.delayMs = 5000;
    const hasty = await gatewayTo('streamable-http', { timeouts: { connect: '200ms' } });
    expect((await initialize(hasty)).body).toMatchObject({ error: { code: 1504 } });
  });

  test('that answers while the client gives up is no trouble', async () => {
    tokens.delayMs = 300;
    const gateway = await gatewayTo('streamable-http');
    const gone = new AbortController();
    const opening = fetch(`${gateway.url}/sumit/sse`, { signal: gone.signal });
    await opening;
    gone.abort();
    const client = await connect(gateway);
    expect(failureOf(await echo(client, 'n'))).toBeUndefined();
  });
});

describe.each(CLIENT_KINDS)('an upstream that echoes what it was sent, to a client on %s', (kind) => {
  const CALLER = 'canary-caller-key-0123456789';
  const STATIC = 'canary/static-upstream+secret';

  async function echoed(options: object, callerHeaders: Record<string, string>): Promise<string> {
    const gateway = await startTestGateway({
      upstreams: [{ url: upstream.mcpUrl, prefix: 'sumit', transport: 'streamable-http', ...options }],
      auth: { apiKeys: [apiKey('caller', CALLER)] },
    });
    open.push(gateway);
    const client = await connectSdk(kind, gateway.url, 'sumit', () => callerHeaders);
    open.push({ stop: () => client.close() });
    const result = await client.callTool({ name: 'headers', arguments: {} });
    return textOf(result);
  }

  test.each([
    ['Authorization', { authorization: `Bearer ${CALLER}` }],
    ['X-API-Key', { 'x-api-key': CALLER }],
  ])('never sees the credential of the caller, sent as %s', async (_name, headers) => {
    const extra = { cookie: 'session=canary-cookie', forwarded: 'for=canary', 'proxy-authorization': 'Basic canary' };
    const text = await echoed({}, { ...headers, ...extra });
    expect(text).toContain('user-agent');
    expect(text).not.toContain('canary');
    expect(JSON.stringify(upstream.requests.map(({ rawHeaders }) => rawHeaders))).not.toContain('canary');
  });

  test('gets its own credential and cannot show it to the client', async () => {
    const headers = { Authorization: `Bearer ${STATIC}`, 'X-Team': 'blue' };
    const text = await echoed({ headers }, { authorization: `Bearer ${CALLER}` });
    expect(upstream.requests.at(-1)?.headers.authorization).toBe(`Bearer ${STATIC}`);
    expect(JSON.parse(text)).toMatchObject({ authorization: 'Bearer [redacted]', 'x-team': 'blue' });
  });

  test('gets its token and cannot show it to the client', async () => {
    const oauth = { tokenUrl: tokens.url, clientId: 'gateway', clientSecret: 'secret' };
    const text = await echoed({ oauth }, { authorization: `Bearer ${CALLER}` });
    expect(upstream.requests.at(-1)?.headers.authorization).toBe(`Bearer ${tokens.current}`);
    expect(JSON.parse(text)).toMatchObject({ authorization: 'Bearer [redacted]' });
  });
});
