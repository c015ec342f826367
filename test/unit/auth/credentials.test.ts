import { describe, expect, test } from 'vitest';

import { hasQueryCredential } from '../../../src/auth/credentials.js';

describe('a query string', () => {
  test.each([
    'access_token=x',
    '?access_token=x',
    'sessionId=1&token=x',
    'API_KEY=x',
    'apikey',
    'api-key=',
    'X-API-Key=x',
    'Authorization=Bearer%20x',
    'acc%65ss_token=x',
    '%61uth_token=x',
    'id_token=x&cursor=1',
  ])('carries a credential: %s', (query) => {
    expect(hasQueryCredential(query)).toBe(true);
  });

  test.each(['', '?', 'sessionId=access_token', '?sessionId=abc&cursor=0&wait=25s', 'tokens=1', '__proto__=1', '%'])(
    'carries none: %s',
    (query) => {
      expect(hasQueryCredential(query)).toBe(false);
    },
  );
});
