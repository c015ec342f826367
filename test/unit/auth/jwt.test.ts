import { exportSPKI, SignJWT } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';

import type { AuthResult } from '../../../src/auth/refusals.js';
import {
  AUDIENCE,
  bearer,
  createHarness,
  createKey,
  encodeSegment,
  type FakeClock,
  type Harness,
  ISSUER,
  jwtOptions,
  keySetText,
  type SigningKey,
  sign,
  type TokenOptions,
} from './harness.js';

let rsa: SigningKey;
let ec: SigningKey;
let ed: SigningKey;
let stranger: SigningKey;

beforeAll(async () => {
  [rsa, ec, ed, stranger] = await Promise.all([
    createKey('RS256', 'rsa-1'),
    createKey('ES256', 'ec-1'),
    createKey('EdDSA', 'ed-1'),
    createKey('RS256', 'rsa-1'),
  ]);
});

function start(overrides: Record<string, unknown> = {}): Harness {
  return createHarness(jwtOptions(overrides), async () => keySetText(rsa, ec, ed));
}

async function judge(harness: Harness, token: string): Promise<AuthResult> {
  return harness.authenticator.authenticate(bearer(token));
}

/** Signs `header` and `claims` exactly as given, which `SignJWT` would refuse to do for some of them. */
function forged(header: Record<string, unknown>, clock: FakeClock, signature = ''): string {
  const nowS = Math.floor(clock.wallTimeS);
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', iat: nowS, exp: nowS + 300 };
  return `${encodeSegment(header)}.${encodeSegment(claims)}.${signature}`;
}

/** A genuine signature over a header and claims that `SignJWT` would refuse; `extra` is JSON text that goes after the claims. */
async function signExactly(header: Record<string, unknown>, extra: string, clock: FakeClock): Promise<string> {
  const claims = [`"iss":"${ISSUER}","aud":"${AUDIENCE}","sub":"alice","exp":${clock.wallTimeS + 9}`, extra];
  const payload = `{${claims.filter((part) => part !== '').join(',')}}`;
  const input = `${encodeSegment({ alg: 'EdDSA', kid: 'ed-1', ...header })}.${encodeSegment(payload)}`;
  const signature = await crypto.subtle.sign('Ed25519', ed.privateKey, Buffer.from(input));
  return `${input}.${Buffer.from(signature).toString('base64url')}`;
}

describe('a token in order', () => {
  test.each(['RS256', 'ES256', 'EdDSA'])('is accepted when signed with %s', async (alg) => {
    const harness = start();
    const key = [rsa, ec, ed].find((candidate) => candidate.alg === alg) as SigningKey;
    const token = await sign(key, harness.clock, { claims: { role: 'user', tenant: ['acme', 'other'] } });
    const result = await judge(harness, token);
    expect(result).toMatchObject({
      ok: true,
      principal: { id: `${ISSUER}|alice`, kind: 'jwt', role: 'user', tenant: 'acme' },
    });
  });

  test.each([undefined, 'JWT', 'at+jwt', 'application/at+jwt'])('may be of type %s', async (typ) => {
    const harness = start();
    expect(await judge(harness, await sign(rsa, harness.clock, { header: { typ } }))).toMatchObject({ ok: true });
  });

  test('may be meant for several audiences, and the gateway may have several names', async () => {
    const harness = start({ audience: ['other', AUDIENCE] });
    const token = await sign(rsa, harness.clock, { claims: { aud: ['elsewhere', AUDIENCE] } });
    expect(await judge(harness, token)).toMatchObject({ ok: true });
  });

  test('keeps its principal id when it is refreshed', async () => {
    const harness = start();
    const first = await judge(harness, await sign(rsa, harness.clock));
    harness.clock.advance(120_000);
    const second = await judge(harness, await sign(ec, harness.clock, { claims: { jti: 'next' } }));
    expect([first, second].map((result) => result.ok && result.principal.id)).toEqual([
      `${ISSUER}|alice`,
      `${ISSUER}|alice`,
    ]);
  });

  test('ends 30 s after its exp', async () => {
    const harness = start();
    const exp = Math.floor(harness.clock.wallTimeS) + 90;
    const result = await judge(harness, await sign(rsa, harness.clock, { claims: { exp } }));
    expect(result.ok && result.principal.expiresAtMs).toBe(exp * 1000 + 30_000);
  });

  test('hands over claims that inherit nothing and cannot be changed', async () => {
    const harness = start();
    const token = await sign(rsa, harness.clock, { claims: { nested: { list: [{ a: 1 }] } } });
    const result = await judge(harness, token);
    if (!result.ok) throw new Error(result.description);
    const { claims } = result.principal;
    const nested = claims.nested as { list: object[] };
    expect(claims.constructor).toBeUndefined();
    expect([claims, nested, nested.list, nested.list[0]].map((value) => Object.isFrozen(value))).toEqual(
      Array(4).fill(true),
    );
    expect(Object.getPrototypeOf(nested.list[0])).toBeNull();
  });

  test.each([
    [31, true],
    [32, false],
    [5000, false],
  ])('may nest its claims only so deep: %d levels', async (levels, ok) => {
    const harness = start();
    const token = await signExactly({}, `"a":${'['.repeat(levels)}1${']'.repeat(levels)}`, harness.clock);
    expect((await judge(harness, token)).ok).toBe(ok);
  });

  test('without a key id is tried with each key that fits', async () => {
    const other = await createKey('RS256', 'rsa-2');
    const harness = createHarness(jwtOptions(), async () => keySetText(stranger, other, rsa));
    expect(await judge(harness, await sign(rsa, harness.clock, { header: { kid: undefined } }))).toMatchObject({
      ok: true,
    });
  });

  test('without a key id is refused when no key fits, after four of them', async () => {
    const others = await Promise.all(['a', 'b', 'c', 'd'].map((kid) => createKey('ES256', kid)));
    const harness = createHarness(jwtOptions(), async () => keySetText(...others, ec));
    expect(await judge(harness, await sign(ec, harness.clock, { header: { kid: undefined } }))).toMatchObject({
      ok: false,
      reason: 'bad_signature',
    });
  });
});

describe('a forged token', () => {
  const cases: [name: string, forge: (clock: FakeClock) => Promise<string> | string][] = [
    ['alg none', (clock) => forged({ alg: 'none' }, clock)],
    ['alg None', (clock) => forged({ alg: 'None', kid: 'rsa-1' }, clock, 'AAAA')],
    ['no alg', (clock) => forged({ kid: 'rsa-1' }, clock, 'AAAA')],
    ['alg that is no text', (clock) => forged({ alg: ['RS256'], kid: 'rsa-1' }, clock, 'AAAA')],
    [
      'HS256 with the public key as secret',
      async (clock) => {
        const secret = Buffer.from(await exportSPKI(rsa.publicKey));
        const nowS = Math.floor(clock.wallTimeS);
        return new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'alice', exp: nowS + 300 })
          .setProtectedHeader({ alg: 'HS256', kid: 'rsa-1' })
          .sign(secret);
      },
    ],
    ["another key under the issuer's key id", (clock) => sign(stranger, clock)],
    ['embedded jwk', (clock) => sign(stranger, clock, { header: { jwk: stranger.jwk, kid: undefined } })],
    ['jku', (clock) => sign(stranger, clock, { header: { jku: 'https://evil.example/jwks' } })],
    ['x5u', (clock) => sign(stranger, clock, { header: { x5u: 'https://evil.example/cert' } })],
    ['x5c', (clock) => sign(stranger, clock, { header: { x5c: ['AAAA'] } })],
    ['crit', (clock) => forged({ alg: 'RS256', kid: 'rsa-1', crit: ['exp'], exp: 1 }, clock, 'AAAA')],
    ['b64 false', (clock) => forged({ alg: 'RS256', kid: 'rsa-1', b64: false, crit: ['b64'] }, clock, 'AAAA')],
    ['another purpose (typ)', (clock) => sign(rsa, clock, { header: { typ: 'logout+jwt' } })],
    ['typ that is no text', (clock) => forged({ alg: 'RS256', kid: 'rsa-1', typ: 7 }, clock, 'AAAA')],
    ['ES256 signature of zeros', (clock) => forged({ alg: 'ES256', kid: 'ec-1' }, clock, 'A'.repeat(86))],
    ['empty signature', (clock) => forged({ alg: 'EdDSA', kid: 'ed-1' }, clock)],
    ['alg of another key type', (clock) => forged({ alg: 'ES256', kid: 'rsa-1' }, clock, 'A'.repeat(86))],
    ['an algorithm that is not configured', (clock) => forged({ alg: 'PS256', kid: 'rsa-1' }, clock, 'AAAA')],
    ['key id that is a path', (clock) => sign(stranger, clock, { header: { kid: '../../../dev/null' } })],
    ['key id that is SQL', (clock) => sign(stranger, clock, { header: { kid: "x' UNION SELECT 'k" } })],
    ['key id that is a URL', (clock) => sign(stranger, clock, { header: { kid: 'https://evil.example/k' } })],
    ['key id __proto__', (clock) => sign(stranger, clock, { header: { kid: '__proto__' } })],
    ['key id that is no text', (clock) => forged({ alg: 'RS256', kid: { a: 1 } }, clock, 'AAAA')],
    [
      'payload swapped under a good signature',
      async (clock) => {
        const [header, , signature] = (await sign(rsa, clock)).split('.');
        const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'root', exp: clock.wallTimeS + 300 };
        return `${header}.${encodeSegment(claims)}.${signature}`;
      },
    ],
    ['one bit of the signature flipped', async (clock) => flipLastBit(await sign(ec, clock))],
    ['a fourth segment', async (clock) => `${await sign(rsa, clock)}.AAAA`],
    ['payload that is a list', () => `${encodeSegment({ alg: 'RS256' })}.${encodeSegment([1])}.AAAA`],
    ['payload that is no JSON', () => `${encodeSegment({ alg: 'RS256' })}.${encodeSegment('{')}.AAAA`],
  ];

  test.each(cases)('is refused: %s', async (_name, forge) => {
    const harness = start();
    const result = await judge(harness, await forge(harness.clock));
    expect(result).toMatchObject({ ok: false, status: 401, error: 'invalid_token' });
  });

  test('is refused when the only key set holds a shared secret', async () => {
    const harness = createHarness(jwtOptions(), async () =>
      JSON.stringify({ keys: [{ kty: 'oct', kid: 'rsa-1', k: 'c2VjcmV0' }] }),
    );
    expect(await judge(harness, await sign(rsa, harness.clock))).toMatchObject({ reason: 'keys_unavailable' });
    expect(harness.problems).toEqual([expect.stringContaining('no public key')]);
  });
});

describe('a genuine signature does not make up for', () => {
  test.each<[string, Record<string, unknown>]>([
    ['crit that jose understands', { crit: ['b64'], b64: true }],
    ['crit that nobody understands', { crit: ['exp'], exp: 1 }],
    ['crit that is empty', { crit: [] }],
    ['another purpose', { typ: 'dpop+jwt' }],
    ['a type that is no text', { typ: 7 }],
    ['a type that is null', { typ: null }],
  ])('%s', async (_name, header) => {
    const harness = start();
    expect(await judge(harness, await signExactly({}, '', harness.clock))).toMatchObject({ ok: true });
    const result = await judge(harness, await signExactly(header, '', harness.clock));
    expect(result).toMatchObject({ ok: false, status: 401, reason: 'not_accepted' });
  });
});

describe('claims', () => {
  const cases: [name: string, token: TokenOptions, reason: string][] = [
    ['no aud', { without: ['aud'] }, 'wrong_audience'],
    ['another aud', { claims: { aud: 'https://other.example' } }, 'wrong_audience'],
    ['aud that only starts like ours', { claims: { aud: `${AUDIENCE}/more` } }, 'wrong_audience'],
    [
      'aud that holds ours in a nested list',
      { claims: { aud: [[AUDIENCE]] as unknown as string[] } },
      'wrong_audience',
    ],
    ['no iss', { without: ['iss'] }, 'not_accepted'],
    ['iss without its trailing slash', { claims: { iss: ISSUER.slice(0, -1) } }, 'not_accepted'],
    ['iss in other case', { claims: { iss: ISSUER.toUpperCase() } }, 'not_accepted'],
    ['iss in a list', { claims: { iss: [ISSUER] as unknown as string } }, 'not_accepted'],
    ['no sub', { without: ['sub'] }, 'not_accepted'],
    ['empty sub', { claims: { sub: '' } }, 'not_accepted'],
    ['sub that is no text', { claims: { sub: 7 as unknown as string } }, 'not_accepted'],
    ['no exp', { without: ['exp'] }, 'not_accepted'],
    ['exp as text', { claims: { exp: '99999999999' as unknown as number } }, 'not_accepted'],
    ['exp past the end of time', { claims: { exp: 1e300 } }, 'not_accepted'],
    ['nbf as text', { claims: { nbf: '1' as unknown as number } }, 'not_accepted'],
    ['iat as text', { claims: { iat: '1' as unknown as number } }, 'not_accepted'],
  ];

  test.each(cases)('are refused: %s', async (_name, token, reason) => {
    const harness = start();
    expect(await judge(harness, await sign(rsa, harness.clock, token))).toMatchObject({
      ok: false,
      status: 401,
      reason,
    });
  });

  test('exp that JSON reads as infinity is refused', async () => {
    const harness = start();
    const token = await signExactly({}, '"exp":1e999', harness.clock);
    expect(await judge(harness, token)).toMatchObject({ ok: false, reason: 'not_accepted' });
  });

  const edges: [claim: 'exp' | 'nbf' | 'iat', offsetS: number, outcome: string][] = [
    ['exp', -29, 'ok'],
    ['exp', -29.5, 'ok'],
    ['exp', -30, 'expired'],
    ['exp', -300, 'expired'],
    ['nbf', 30, 'ok'],
    ['nbf', 30.5, 'not_yet_valid'],
    ['nbf', 31, 'not_yet_valid'],
    ['nbf', 300, 'not_yet_valid'],
    ['iat', 30, 'ok'],
    ['iat', 31, 'not_yet_valid'],
    ['iat', 300, 'not_yet_valid'],
  ];

  test.each(edges)('%s %d s from now: %s', async (claim, offsetS, outcome) => {
    const harness = start();
    const token = await sign(ec, harness.clock, { claims: { [claim]: harness.clock.wallTimeS + offsetS } });
    const result = await judge(harness, token);
    expect(result.ok ? 'ok' : result.reason).toBe(outcome);
  });

  test('the skew is exact below a second', async () => {
    const harness = start();
    const exp = harness.clock.wallTimeS + 0.5;
    const token = await sign(ec, harness.clock, { claims: { exp } });
    harness.clock.advance(30_499);
    expect(await judge(harness, token)).toMatchObject({ ok: true });
    harness.clock.advance(1);
    expect(await judge(harness, token)).toMatchObject({ ok: false, reason: 'expired' });
  });

  test('an expired token with a bad signature is not told that it expired', async () => {
    const harness = start();
    const token = await sign(stranger, harness.clock, { claims: { exp: 1 } });
    expect(await judge(harness, token)).toMatchObject({ reason: 'bad_signature' });
  });
});

describe('role and tenant', () => {
  test('come from the claims that are configured, by whole name or by path', async () => {
    const harness = start({ roleClaim: 'https://acme.example/role', tenantClaim: 'org.id' });
    const claims = { 'https://acme.example/role': ['admin'], org: { id: 'acme' }, role: 'ignored' };
    const result = await judge(harness, await sign(rsa, harness.clock, { claims }));
    expect(result).toMatchObject({ ok: true, principal: { role: 'admin', tenant: 'acme' } });
  });

  test('are undefined when the claims hold no text', async () => {
    const harness = start({ roleClaim: 'a.b', tenantClaim: 'constructor.name' });
    const result = await judge(harness, await sign(rsa, harness.clock, { claims: { a: { b: [1, ''] } } }));
    expect(result).toMatchObject({ ok: true, principal: { role: undefined, tenant: undefined } });
  });
});

describe('required scopes', () => {
  const cases: [name: string, claims: Record<string, unknown>, ok: boolean][] = [
    ['scope as text', { scope: 'openid mcp:read mcp:call' }, true],
    ['scp as list', { scp: ['mcp:read', 'mcp:call'] }, true],
    ['scp as text', { scp: 'mcp:call mcp:read' }, true],
    ['one in each', { scope: 'mcp:read', scp: ['mcp:call'] }, true],
    ['one missing', { scope: 'mcp:read' }, false],
    ['none', {}, false],
    ['a scope that only starts alike', { scope: 'mcp:read mcp:calls' }, false],
    ['in another case', { scope: 'MCP:READ MCP:CALL' }, false],
    ['as an object', { scope: { 'mcp:read': true, 'mcp:call': true } }, false],
  ];

  test.each(cases)('%s', async (_name, claims, ok) => {
    const harness = start({ requiredScopes: ['mcp:read', 'mcp:call'] });
    const result = await judge(harness, await sign(rsa, harness.clock, { claims }));
    if (ok) expect(result).toMatchObject({ ok: true });
    else {
      expect(result).toMatchObject({
        ok: false,
        status: 403,
        error: 'insufficient_scope',
        scope: 'mcp:read mcp:call',
      });
    }
  });

  test('of an expired token do not matter: it is 401', async () => {
    const harness = start({ requiredScopes: ['mcp:read'] });
    const token = await sign(rsa, harness.clock, { claims: { exp: 1 } });
    expect(await judge(harness, token)).toMatchObject({ status: 401, error: 'invalid_token', scope: 'mcp:read' });
  });
});

describe('issuers', () => {
  test('cannot speak for each other', async () => {
    const other = await createKey('RS256', 'other-1');
    const harness = createHarness(
      {
        jwt: [
          { issuer: ISSUER, audience: AUDIENCE, jwksUri: 'https://idp.example/jwks' },
          { issuer: 'https://other.example', audience: AUDIENCE, jwksUri: 'https://other.example/jwks' },
        ],
      },
      async (url) => keySetText(url.includes('other') ? other : rsa),
    );
    expect(await judge(harness, await sign(other, harness.clock))).toMatchObject({ ok: false, reason: 'unknown_key' });
    const own = await sign(other, harness.clock, { claims: { iss: 'https://other.example' } });
    expect(await judge(harness, own)).toMatchObject({ ok: true, principal: { id: 'https://other.example|alice' } });
  });

  test('may each have their own algorithms', async () => {
    const harness = start({ algorithms: ['EdDSA'] });
    expect(await judge(harness, await sign(ed, harness.clock))).toMatchObject({ ok: true });
    expect(await judge(harness, await sign(rsa, harness.clock))).toMatchObject({ ok: false, reason: 'not_accepted' });
  });
});

function flipLastBit(token: string): string {
  const [header, payload, signature = ''] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] ?? 0) ^ 1;
  return `${header}.${payload}.${bytes.toString('base64url')}`;
}
