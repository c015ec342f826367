import { describe, expect, test } from 'vitest';
import { z } from 'zod';

import { authOptions } from '../../../src/auth/options.js';

const sha256 = 'ab'.repeat(32);
const issuer = { issuer: 'https://idp.example', audience: 'gw', jwksUri: 'https://idp.example/jwks' };

test('an issuer has defaults for all that is optional', () => {
  expect(authOptions.parse({ jwt: [issuer] }).jwt).toEqual([
    {
      ...issuer,
      algorithms: ['RS256', 'ES256', 'EdDSA'],
      roleClaim: 'role',
      tenantClaim: 'tenant',
      requiredScopes: [],
    },
  ]);
});

test('every key is documented', () => {
  const schema = JSON.stringify(z.toJSONSchema(authOptions, { io: 'input' }));
  const undocumented: string[] = [];
  JSON.parse(schema, (_name, value: unknown) => {
    const properties = (value as { properties?: Record<string, { description?: string }> } | null)?.properties;
    for (const [key, property] of Object.entries(properties ?? {})) {
      if (property.description === undefined) undocumented.push(key);
    }
    return value;
  });
  expect(schema).toContain('jwksUri');
  expect(undocumented).toEqual([]);
});

describe('is refused, with the place of the mistake', () => {
  const cases: [name: string, options: unknown, path: string][] = [
    ['an unknown method', { mtls: {} }, ''],
    ['an unknown key', { anonymous: { roles: 'x' } }, 'anonymous'],
    ['an empty list of keys', { apiKeys: [] }, 'apiKeys'],
    ['an empty list of issuers', { jwt: [] }, 'jwt'],
    ['a key instead of its digest', { apiKeys: [{ name: 'ci', sha256: 's3cret' }] }, 'apiKeys.0.sha256'],
    [
      'a repeated name',
      {
        apiKeys: [
          { name: 'a', sha256 },
          { name: 'a', sha256: 'cd'.repeat(32) },
        ],
      },
      'apiKeys.1.name',
    ],
    [
      'a repeated digest in other case',
      {
        apiKeys: [
          { name: 'a', sha256 },
          { name: 'b', sha256: sha256.toUpperCase() },
        ],
      },
      'apiKeys.1.sha256',
    ],
    ['a repeated issuer', { jwt: [issuer, issuer] }, 'jwt.1.issuer'],
    ['an issuer that could be mistaken for an API key', { jwt: [{ ...issuer, issuer: 'apikey' }] }, 'jwt.0.issuer'],
    ['an issuer with a bar', { jwt: [{ ...issuer, issuer: 'https://a|b' }] }, 'jwt.0.issuer'],
    ['no audience', { jwt: [{ ...issuer, audience: undefined }] }, 'jwt.0.audience'],
    ['an empty list of audiences', { jwt: [{ ...issuer, audience: [] }] }, 'jwt.0.audience'],
    ['no keys at all', { jwt: [{ issuer: 'https://a', audience: 'gw' }] }, 'jwt.0'],
    ['keys from two places', { jwt: [{ ...issuer, jwksFile: './k.json' }] }, 'jwt.0'],
    ['alg none', { jwt: [{ ...issuer, algorithms: ['none'] }] }, 'jwt.0.algorithms.0'],
    ['a shared-secret algorithm', { jwt: [{ ...issuer, algorithms: ['HS256'] }] }, 'jwt.0.algorithms.0'],
    ['no algorithm', { jwt: [{ ...issuer, algorithms: [] }] }, 'jwt.0.algorithms'],
    ['a scope with a quote', { jwt: [{ ...issuer, requiredScopes: ['a"b'] }] }, 'jwt.0.requiredScopes.0'],
    ['a scope with a space', { jwt: [{ ...issuer, requiredScopes: ['a b'] }] }, 'jwt.0.requiredScopes.0'],
    ['keys over plain HTTP', { jwt: [{ ...issuer, jwksUri: 'http://idp.example/jwks' }] }, 'jwt.0.jwksUri'],
    [
      'keys from the cloud metadata address',
      { jwt: [{ ...issuer, jwksUri: 'https://169.254.169.254/' }] },
      'jwt.0.jwksUri',
    ],
  ];

  test.each(cases)('%s', (_name, options, path) => {
    const result = authOptions.safeParse(options);
    expect(result.error?.issues.map((issue) => issue.path.join('.'))).toEqual([path]);
  });
});
