import { describe, expect, test } from 'vitest';

import { createAuthenticator } from '../../../src/auth/create-authenticator.js';
import type { Credentials } from '../../../src/auth/credentials.js';
import { RemoteKeySets } from '../../../src/auth/remote-key-set.js';
import {
  bearer,
  createHarness,
  createKey,
  ISSUER,
  jwtOptions,
  keySetText,
  NO_CREDENTIALS,
  sha256Hex,
  sign,
} from './harness.js';

const noFetch = async (): Promise<string> => {
  throw new Error('nothing is to be fetched here');
};

const ciKey = { name: 'ci', sha256: sha256Hex('s3cret-key'), role: 'user', tenant: 'acme' };
const opsKey = { name: 'ops', sha256: sha256Hex('other-key').toUpperCase() };

function credentials(overrides: Partial<Credentials>): Credentials {
  return { ...NO_CREDENTIALS, ...overrides };
}

describe('without an auth section', () => {
  const open = createHarness(undefined, noFetch).authenticator;

  test('everyone is anonymous with no role, whatever the headers say', () => {
    const anonymous = { ok: true, principal: { id: 'anonymous', kind: 'anonymous', role: undefined } };
    expect(open.authenticate(NO_CREDENTIALS)).toMatchObject(anonymous);
    expect(open.authenticate(bearer('anything'))).toMatchObject(anonymous);
  });

  test('a credential in the URL is still refused', () => {
    expect(open.authenticate(credentials({ queryHasCredential: true }))).toMatchObject({ ok: false, status: 400 });
  });

  test('an empty section is the same as none', () => {
    expect(createHarness({}, noFetch).authenticator.authenticate(NO_CREDENTIALS)).toMatchObject({ ok: true });
  });
});

describe('API keys', () => {
  const { authenticator } = createHarness({ apiKeys: [ciKey, opsKey] }, noFetch);

  test.each([
    ['as bearer', { authorization: 'Bearer s3cret-key' }],
    ['as bearer in other case, with more spaces', { authorization: 'bEARER   s3cret-key ' }],
    ['as X-API-Key', { apiKey: 's3cret-key' }],
    ['in both headers', { authorization: 'Bearer s3cret-key', apiKey: 's3cret-key' }],
  ])('are accepted %s', (_name, sent) => {
    expect(authenticator.authenticate(credentials(sent))).toEqual({
      ok: true,
      principal: {
        id: 'apikey|ci',
        kind: 'api-key',
        role: 'user',
        tenant: 'acme',
        claims: Object.create(null),
        expiresAtMs: undefined,
      },
    });
  });

  test('may be configured with an upper-case digest, and need no role', () => {
    expect(authenticator.authenticate(bearer('other-key'))).toMatchObject({
      ok: true,
      principal: { id: 'apikey|ops', role: undefined, tenant: undefined },
    });
  });

  test.each(['s3cret-ke', 's3cret-key1', 'S3cret-key', 's3cret-kez', ciKey.sha256])(
    'no other is accepted: %s',
    (key) => {
      expect(authenticator.authenticate(bearer(key))).toMatchObject({
        ok: false,
        status: 401,
        error: 'invalid_token',
        reason: 'not_accepted',
      });
    },
  );

  test('two different credentials are ambiguous', () => {
    const both = credentials({ authorization: 'Bearer s3cret-key', apiKey: 'other-key' });
    expect(authenticator.authenticate(both)).toMatchObject({ ok: false, status: 400, error: 'invalid_request' });
  });

  test('none at all is 401', () => {
    expect(authenticator.authenticate(NO_CREDENTIALS)).toMatchObject({ ok: false, status: 401, error: 'missing' });
  });

  test('a credential in the URL is refused before anything else', () => {
    const both = { ...bearer('s3cret-key'), queryHasCredential: true };
    expect(authenticator.authenticate(both)).toMatchObject({ ok: false, status: 400, reason: 'credential_in_url' });
  });
});

describe('anonymous callers', () => {
  const { authenticator } = createHarness({ anonymous: { role: 'guest' }, apiKeys: [ciKey] }, noFetch);

  test('are let in with their role when they send nothing', () => {
    expect(authenticator.authenticate(NO_CREDENTIALS)).toMatchObject({
      ok: true,
      principal: { id: 'anonymous', role: 'guest' },
    });
  });

  test.each<[string, Partial<Credentials>]>([
    ['an unknown key', { authorization: 'Bearer nope' }],
    ['an unknown X-API-Key', { apiKey: 'nope' }],
    ['an empty Authorization', { authorization: '' }],
    ['an empty X-API-Key', { apiKey: '' }],
    ['Bearer without anything', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: 'Basic czNjcmV0LWtleQ==' }],
    ['a bare key', { authorization: 's3cret-key' }],
    ['two tokens', { authorization: 'Bearer s3cret-key nope' }],
    ['a header folded from two', { authorization: 'Bearer s3cret-key, Bearer nope' }],
    ['a control character', { authorization: 'Bearer s3cret-key\u0000' }],
    ['a good key beside a garbled one', { authorization: 'Bearer s3cret-key', apiKey: 'ä' }],
  ])('are never what a bad credential becomes: %s', (_name, sent) => {
    expect(authenticator.authenticate(credentials(sent))).toMatchObject({
      ok: false,
      status: 401,
      error: 'invalid_token',
    });
  });

  test.each<[string, Partial<Credentials>]>([
    ['Authorization', { authorization: `Bearer ${'a'.repeat(16_384)}` }],
    ['X-API-Key', { apiKey: 'a'.repeat(16_385) }],
  ])('are not what an endless %s becomes, and it is not even hashed', (_name, sent) => {
    expect(authenticator.authenticate(credentials(sent))).toMatchObject({ reason: 'malformed' });
  });

  test('alone cannot vouch for a credential', () => {
    const only = createHarness({ anonymous: {} }, noFetch).authenticator;
    expect(only.authenticate(NO_CREDENTIALS)).toMatchObject({ ok: true, principal: { role: undefined } });
    expect(only.authenticate(bearer('anything'))).toMatchObject({ ok: false, status: 401 });
  });
});

describe('keys and tokens together', () => {
  test('each kind is found, and the scope to ask for is told to those without', async () => {
    const key = await createKey('ES256', 'k');
    const options = { apiKeys: [ciKey], ...jwtOptions({ requiredScopes: ['mcp'] }) };
    const { authenticator, clock } = createHarness(options, async () => keySetText(key));
    const token = await sign(key, clock, { claims: { scope: 'mcp' } });
    expect(authenticator.authenticate(bearer('s3cret-key'))).toMatchObject({ principal: { kind: 'api-key' } });
    expect(await authenticator.authenticate(bearer(token))).toMatchObject({ principal: { kind: 'jwt' } });
    expect(authenticator.authenticate(NO_CREDENTIALS)).toMatchObject({ error: 'missing', scope: 'mcp' });
    expect(authenticator.authenticate(bearer('nope'))).toMatchObject({ error: 'invalid_token', scope: 'mcp' });
  });
});

describe('a verified token', () => {
  async function start(expiresInS: number) {
    const key = await createKey('EdDSA', 'k');
    const harness = createHarness(jwtOptions(), async () => keySetText(key));
    const exp = harness.clock.wallTimeS + expiresInS;
    return { ...harness, token: await sign(key, harness.clock, { claims: { exp } }) };
  }

  test('is answered at once for a minute, then verified anew', async () => {
    const { authenticator, clock, token } = await start(300);
    const first = authenticator.authenticate(bearer(token));
    expect(first).toBeInstanceOf(Promise);
    const result = await first;
    expect(authenticator.authenticate(bearer(token))).toBe(result);
    clock.advance(59_999);
    expect(authenticator.authenticate(bearer(token))).toBe(result);
    clock.advance(1);
    const again = authenticator.authenticate(bearer(token));
    expect(again).toBeInstanceOf(Promise);
    expect(await again).toEqual(result);
  });

  test('is not answered from memory past its exp', async () => {
    const { authenticator, clock, token } = await start(10);
    await authenticator.authenticate(bearer(token));
    clock.advance(9999);
    expect(authenticator.authenticate(bearer(token))).toMatchObject({ ok: true });
    clock.advance(1);
    const withinSkew = authenticator.authenticate(bearer(token));
    expect(withinSkew).toBeInstanceOf(Promise);
    expect(await withinSkew).toMatchObject({ ok: true });
    clock.advance(30_000);
    expect(await authenticator.authenticate(bearer(token))).toMatchObject({ ok: false, reason: 'expired' });
  });

  test('that was refused is not remembered', async () => {
    const key = await createKey('EdDSA', 'k');
    let served = JSON.stringify({ keys: [] });
    const { authenticator, clock } = createHarness(jwtOptions(), async () => served);
    const token = await sign(key, clock);
    expect(await authenticator.authenticate(bearer(token))).toMatchObject({ reason: 'keys_unavailable' });
    served = keySetText(key);
    clock.advance(30_000);
    expect(await authenticator.authenticate(bearer(token))).toMatchObject({ ok: true });
  });
});

describe('repeated failures', () => {
  const attacker = '203.0.113.7';

  test('block an address after twenty, for credentials good and bad', () => {
    const { authenticator, clock } = createHarness({ apiKeys: [ciKey], anonymous: {} }, noFetch);
    for (let attempt = 0; attempt < 20; attempt += 1) {
      expect(authenticator.authenticate(bearer(`guess-${attempt}`, attacker))).toMatchObject({ status: 401 });
    }
    expect(authenticator.authenticate(bearer('guess-20', attacker))).toMatchObject({
      ok: false,
      status: 429,
      retryAfterMs: 60_000,
    });
    expect(authenticator.authenticate(bearer('s3cret-key', attacker))).toMatchObject({ status: 429 });
    expect(authenticator.authenticate(bearer('s3cret-key', '203.0.113.8'))).toMatchObject({ ok: true });
    // Remembered from the other address, and still no way in from this one.
    expect(authenticator.authenticate(bearer('s3cret-key', attacker))).toMatchObject({ status: 429 });
    expect(authenticator.authenticate({ ...NO_CREDENTIALS, ip: attacker })).toMatchObject({ ok: true });
    clock.advance(60_000);
    expect(authenticator.authenticate(bearer('s3cret-key', attacker))).toMatchObject({ ok: true });
  });

  test('do not lock out a caller that was let in from the same address', async () => {
    const { authenticator } = createHarness({ apiKeys: [ciKey, opsKey] }, noFetch);
    expect(authenticator.authenticate(bearer('s3cret-key', attacker))).toMatchObject({ ok: true });
    for (let attempt = 0; attempt < 20; attempt += 1) await authenticator.authenticate(bearer('nope', attacker));
    expect(authenticator.authenticate(bearer('s3cret-key', attacker))).toMatchObject({ ok: true });
    expect(authenticator.authenticate(bearer('other-key', attacker))).toMatchObject({ status: 429 });
  });

  test('count forged tokens and garbled headers', async () => {
    const [key, stranger] = await Promise.all([createKey('EdDSA', 'k'), createKey('EdDSA', 'k')]);
    const { authenticator, clock } = createHarness(jwtOptions(), async () => keySetText(key));
    const token = await sign(stranger, clock);
    for (let attempt = 0; attempt < 10; attempt += 1) {
      expect(await authenticator.authenticate(bearer(token, attacker))).toMatchObject({ reason: 'bad_signature' });
      expect(authenticator.authenticate(credentials({ apiKey: '', ip: attacker }))).toMatchObject({ status: 401 });
    }
    expect(authenticator.authenticate(bearer(token, attacker))).toMatchObject({ status: 429 });
  });

  test('do not count what is no guess: nothing sent, expired, too few scopes, keys that are late', async () => {
    const [key, next] = await Promise.all([createKey('EdDSA', 'k'), createKey('EdDSA', 'next')]);
    const { authenticator, clock, failures } = createHarness(jwtOptions({ requiredScopes: ['mcp'] }), async () =>
      keySetText(key),
    );
    const tokens = await Promise.all([sign(key, clock, { claims: { exp: 1 } }), sign(key, clock), sign(next, clock)]);
    const reasons = new Set<string>();
    for (const token of tokens) {
      for (let attempt = 0; attempt < 25; attempt += 1) {
        const result = await authenticator.authenticate(bearer(token, attacker));
        if (!result.ok) reasons.add(result.reason);
      }
    }
    for (let attempt = 0; attempt < 25; attempt += 1)
      await authenticator.authenticate({ ...NO_CREDENTIALS, ip: attacker });
    expect([...reasons]).toEqual(['expired', 'insufficient_scope', 'unknown_key']);
    expect(failures.size).toBe(0);
  });
});

test('an issuer whose keys are nowhere is a mistake that does not pass', () => {
  const { clock, failures } = createHarness(undefined, noFetch);
  const onProblem = () => {};
  const deps = { clock, failures, onProblem, keySets: new RemoteKeySets({ clock, fetch: noFetch, onProblem }) };
  const issuer = {
    issuer: ISSUER,
    audience: 'a',
    algorithms: [],
    roleClaim: 'r',
    tenantClaim: 't',
    requiredScopes: [],
  };
  expect(() => createAuthenticator({ jwt: [issuer] }, deps)).toThrow(ISSUER);
});
