import type { LookupAddress } from 'node:dns';

import { describe, expect, test } from 'vitest';

import { guardedLookup, keySetUrlProblem } from '../../../src/auth/key-set-url.js';

describe('the URL of a key set', () => {
  test.each([
    'https://idp.example/jwks',
    'https://10.0.0.7/jwks',
    'https://keycloak.auth.svc:8443/jwks',
    'http://localhost:8080/jwks',
    'http://idp.localhost/jwks',
    'http://127.0.0.1/jwks',
    'http://2130706433/jwks',
    'http://[::1]:8080/jwks',
    'https://127.0.0.1/jwks',
  ])('may be %s', (url) => {
    expect(keySetUrlProblem(url)).toBeUndefined();
  });

  test.each([
    ['/jwks', 'absolute'],
    ['', 'absolute'],
    ['http://idp.example/jwks', 'https'],
    ['http://localhost.example/jwks', 'https'],
    ['http://10.0.0.7/jwks', 'https'],
    ['http://127.0.0.1.nip.io/jwks', 'https'],
    ['ftp://localhost/jwks', 'https'],
    ['file:///etc/passwd', 'https'],
    ['data:application/json,{}', 'https'],
    ['https://user:secret@idp.example/jwks', 'password'],
    ['https://169.254.169.254/latest', 'link-local'],
    ['https://0xA9FEA9FE/latest', 'link-local'],
    ['https://[::ffff:169.254.169.254]/latest', 'link-local'],
    ['https://[fe80::1]/', 'link-local'],
    ['https://0.0.0.0/', 'link-local'],
    ['https://[::]/', 'link-local'],
  ])('may not be %s', (url, word) => {
    expect(keySetUrlProblem(url)).toContain(word);
  });
});

describe('the address behind a name', () => {
  type Resolve = NonNullable<Parameters<typeof guardedLookup>[1]>;

  /** Looks `host` up where the resolver answers `addresses`. */
  function resolveTo(host: string, addresses: string[], all: boolean): Promise<unknown> {
    const answer = addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }));
    const fake = ((_name: string, _options: unknown, callback: (error: null, found: LookupAddress[]) => void) =>
      callback(null, answer)) as unknown as Resolve;
    return new Promise((resolve, reject) => {
      guardedLookup(host, fake)(host, { all }, (error, found) => (error === null ? resolve(found) : reject(error)));
    });
  }

  test.each([
    ['idp.example', '93.184.216.34'],
    ['idp.example', '10.1.2.3'],
    ['idp.example', '2001:db8::1'],
    ['localhost', '127.0.0.1'],
    ['localhost', '::1'],
  ])('%s may be %s', async (host, address) => {
    expect(await resolveTo(host, [address], false)).toBe(address);
    expect(await resolveTo(host, [address], true)).toEqual([{ address, family: expect.any(Number) }]);
  });

  test.each([
    ['idp.example', ['127.0.0.1']],
    ['idp.example', ['::1']],
    ['idp.example', ['::ffff:127.0.0.1']],
    ['idp.example', ['169.254.169.254']],
    ['idp.example', ['fd00:ec2::254']],
    ['idp.example', ['0.0.0.0']],
    ['idp.example', ['93.184.216.34', '169.254.169.254']],
    ['localhost', ['93.184.216.34']],
  ])('%s may not be %s', async (host, addresses) => {
    await expect(resolveTo(host, addresses, true)).rejects.toThrow('not allowed');
  });

  test('a failed resolution stays a failure', async () => {
    const failing = ((_name: string, _options: unknown, callback: (error: Error) => void) =>
      callback(new Error('ENOTFOUND'))) as unknown as Resolve;
    const outcome = new Promise((resolve) => {
      guardedLookup('idp.example', failing)('idp.example', {}, (error) => resolve(error));
    });
    expect(await outcome).toMatchObject({ message: 'ENOTFOUND' });
  });
});
