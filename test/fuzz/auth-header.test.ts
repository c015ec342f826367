/** Whatever arrives in the headers: no exception, no way in, and an answer that can be written into a header. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';

import { hasQueryCredential } from '../../src/auth/credentials.js';
import { wwwAuthenticate } from '../../src/auth/protected-resource.js';
import type { AuthResult } from '../../src/auth/refusals.js';
import {
  createHarness,
  createKey,
  encodeSegment,
  ISSUER,
  jwtOptions,
  keySetText,
  type SigningKey,
  sha256Hex,
  sign,
} from '../unit/auth/harness.js';

let key: SigningKey;
let genuine: string;

beforeAll(async () => {
  key = await createKey('ES256', 'k');
  genuine = await sign(key, start().clock);
});

function start() {
  const apiKeys = [{ name: 'ci', sha256: sha256Hex('never-generated-s3cret') }];
  return createHarness({ apiKeys, ...jwtOptions() }, async () => keySetText(key));
}

const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.base64String());
const json = fc.oneof(
  fc.json(),
  fc.constant(`{"iss":"${ISSUER}"}`),
  fc.json().map((value) => `{"iss":"${ISSUER}","x":${value}}`),
);
const header = fc.record(
  {
    alg: fc.oneof(fc.constantFrom('ES256', 'RS256', 'EdDSA', 'none', 'HS256', ''), fc.jsonValue()),
    kid: fc.oneof(fc.constant('k'), fc.jsonValue()),
    typ: fc.oneof(fc.constantFrom('JWT', 'at+jwt'), fc.jsonValue()),
    crit: fc.jsonValue(),
    jwk: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
const tokenLike = fc
  .tuple(
    fc.oneof(
      header.map((value) => JSON.stringify(value)),
      json,
    ),
    json,
    fc.base64String(),
  )
  .map(([head, payload, signature]) => `${encodeSegment(head)}.${encodeSegment(payload)}.${signature}`);
const authorization = fc.oneof(
  text,
  text.map((rest) => `Bearer ${rest}`),
  tokenLike.map((token) => `Bearer ${token}`),
  fc
    .tuple(fc.constantFrom('bearer', 'BEARER\t', 'Basic', 'Digest', ''), text)
    .map(([scheme, rest]) => `${scheme} ${rest}`),
);

function expectRefused(result: AuthResult): void {
  expect(result.ok).toBe(false);
  if (result.ok || result.status === 429) throw new Error('expected a refusal');
  expect([400, 401]).toContain(result.status);
  expect(wwwAuthenticate(result, 'https://gw.example/m')).toMatch(/^Bearer [\x20-\x7e]+$/);
}

describe('headers of any content', () => {
  test('never throw and never let anyone in', async () => {
    const { authenticator } = start();
    await fc.assert(
      fc.asyncProperty(
        fc.option(authorization, { nil: undefined }),
        fc.option(text, { nil: undefined }),
        async (auth, apiKey) => {
          expectRefused(await authenticator.authenticate({ authorization: auth, apiKey, queryHasCredential: false }));
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('a genuine token with any one character changed is refused', async () => {
    const { authenticator } = start();
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=!';
    expect(
      await authenticator.authenticate({
        authorization: `Bearer ${genuine}`,
        apiKey: undefined,
        queryHasCredential: false,
      }),
    ).toMatchObject({ ok: true });
    await fc.assert(
      fc.asyncProperty(fc.nat(genuine.length - 1), fc.constantFrom(...alphabet.split('')), async (index, character) => {
        const changed = genuine.slice(0, index) + character + genuine.slice(index + 1);
        fc.pre(!sameBytes(changed, genuine));
        const credentials = { authorization: `Bearer ${changed}`, apiKey: undefined, queryHasCredential: false };
        expectRefused(await authenticator.authenticate(credentials));
      }),
      { numRuns: 1500 },
    );
  });

  test('any query string is read without a throw', () => {
    fc.assert(
      fc.property(text, (query) => {
        expect(typeof hasQueryCredential(query)).toBe('boolean');
        expect(hasQueryCredential(new URLSearchParams({ [query]: query, access_token: query }).toString())).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});

/** The last character of a segment may differ in bits that decode to nothing; then it is still the same signature. */
function sameBytes(one: string, other: string): boolean {
  const [head, payload, signature = ''] = one.split('.');
  const [otherHead, otherPayload, otherSignature = ''] = other.split('.');
  const sameSignature = Buffer.from(signature, 'base64url').equals(Buffer.from(otherSignature, 'base64url'));
  return head === otherHead && payload === otherPayload && sameSignature;
}
