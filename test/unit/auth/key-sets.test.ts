import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { KeySetInvalidError } from '../../../src/auth/errors.js';
import { parseKeySet } from '../../../src/auth/key-set.js';
import { bearer, createHarness, createKey, jwtOptions, keySetText, type SigningKey, sign } from './harness.js';

let first: SigningKey;
let second: SigningKey;

beforeAll(async () => {
  [first, second] = await Promise.all([createKey('EdDSA', 'first'), createKey('EdDSA', 'second')]);
});

describe('a key set is refused', () => {
  test.each([
    ['HTML', '<html></html>'],
    ['nothing', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ['no keys', '{}'],
    ['keys that are no list', '{"keys":{}}'],
    ['an empty list', '{"keys":[]}'],
    ['keys that are no objects', '{"keys":[1]}'],
    ['shared secrets only', '{"keys":[{"kty":"oct","k":"AAAA"}]}'],
    ['private keys only', '{"keys":[{"kty":"RSA","n":"AA","e":"AQAB","d":"AA"}]}'],
  ])('when it is %s', (_name, text) => {
    expect(() => parseKeySet(text, 'https://idp.example/jwks')).toThrow(KeySetInvalidError);
  });
});

describe('keys behind a URL', () => {
  /** A server that answers with `served.text`, or fails when that is undefined. */
  function start() {
    const served: { text: string | undefined } = { text: keySetText(first) };
    const harness = createHarness(jwtOptions(), async () => {
      if (served.text === undefined) throw new Error('connect ECONNREFUSED');
      return served.text;
    });
    const judge = async (key: SigningKey, kid = key.kid) =>
      harness.authenticator.authenticate(
        bearer(await sign(key, harness.clock, { header: { kid }, claims: { jti: String(Math.random()) } })),
      );
    return { ...harness, served, judge };
  }

  test('are read once for many tokens at a time', async () => {
    let publish: (text: string) => void = () => {};
    const answer = new Promise<string>((resolve) => {
      publish = resolve;
    });
    const { authenticator, clock, fetches } = createHarness(jwtOptions(), () => answer);
    const tokens = await Promise.all(Array.from({ length: 20 }, () => sign(first, clock)));
    const results = tokens.map(async (token) => authenticator.authenticate(bearer(token)));
    await new Promise((resolve) => setImmediate(resolve));
    publish(keySetText(first));
    expect((await Promise.all(results)).every((result) => result.ok)).toBe(true);
    expect(fetches()).toBe(1);
  });

  test('are read again when a token names a new one', async () => {
    const { judge, served, clock, fetches } = start();
    await judge(first);
    served.text = keySetText(second);
    clock.advance(30_000);
    expect(await judge(second)).toMatchObject({ ok: true });
    expect(await judge(first)).toMatchObject({ ok: false, reason: 'unknown_key' });
    expect(fetches()).toBe(2);
  });

  test('are not asked for more than once in 30 s, however many unknown key ids come', async () => {
    const { judge, clock, fetches } = start();
    await judge(first);
    for (let window = 1; window <= 3; window += 1) {
      clock.advance(29_999);
      await Promise.all(Array.from({ length: 25 }, (_, index) => judge(second, `made-up-${window}-${index}`)));
      expect(fetches()).toBe(window);
      clock.advance(1);
      await Promise.all(Array.from({ length: 25 }, (_, index) => judge(second, `more-${window}-${index}`)));
      expect(fetches()).toBe(window + 1);
    }
  });

  test('keep working while the URL is down, slow or answers rubbish', async () => {
    const { judge, served, clock, fetches, problems } = start();
    await judge(first);
    for (const rubbish of [undefined, '<html>', '{"keys":[]}', '']) {
      served.text = rubbish;
      clock.advance(700_000);
      expect(await judge(second)).toMatchObject({ ok: false, reason: 'unknown_key' });
      expect(await judge(first)).toMatchObject({ ok: true });
    }
    expect(fetches()).toBe(5);
    expect(problems).toHaveLength(4);
  });

  test('are never missed in favour of letting someone in', async () => {
    const { judge, served, clock, fetches } = start();
    served.text = undefined;
    for (let attempt = 0; attempt < 10; attempt += 1) {
      expect(await judge(first)).toMatchObject({ ok: false, status: 401, reason: 'keys_unavailable' });
    }
    expect(fetches()).toBe(1);
    served.text = keySetText(first);
    clock.advance(30_000);
    expect(await judge(first)).toMatchObject({ ok: true });
  });

  test('are read again in the background after ten minutes, so a withdrawn one goes away', async () => {
    const { judge, served, clock, fetches } = start();
    await judge(first);
    served.text = keySetText(second);
    clock.advance(600_001);
    expect(await judge(first)).toMatchObject({ ok: true });
    expect(fetches()).toBe(2);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await judge(first)).toMatchObject({ ok: false, reason: 'unknown_key' });
    expect(fetches()).toBe(2);
  });
});

describe('keys in a file', () => {
  let directory: string;
  let file: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'jwks-'));
    file = join(directory, 'jwks.json');
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  const noFetch = async (): Promise<string> => {
    throw new Error('nothing is to be fetched here');
  };

  function start() {
    const harness = createHarness(jwtOptions({ jwksUri: undefined, jwksFile: file }), noFetch);
    const judge = async (key: SigningKey) => harness.authenticator.authenticate(bearer(await sign(key, harness.clock)));
    return { ...harness, judge };
  }

  function replace(text: string): void {
    writeFileSync(`${file}.next`, text);
    renameSync(`${file}.next`, file);
  }

  test('are used, and read again when the file was replaced, within five seconds', async () => {
    writeFileSync(file, keySetText(first));
    const { judge, clock } = start();
    expect(await judge(first)).toMatchObject({ ok: true });
    replace(keySetText(second));
    clock.advance(4999);
    expect(await judge(second)).toMatchObject({ ok: false, reason: 'unknown_key' });
    clock.advance(1);
    expect(await judge(second)).toMatchObject({ ok: true });
  });

  test('are followed through a symbolic link that is swapped', async () => {
    writeFileSync(join(directory, 'a'), keySetText(first));
    writeFileSync(join(directory, 'b'), keySetText(second));
    symlinkSync('a', file);
    const { judge, clock } = start();
    symlinkSync('b', `${file}.next`);
    renameSync(`${file}.next`, file);
    clock.advance(5000);
    expect(await judge(second)).toMatchObject({ ok: true });
  });

  test.each([
    ['rubbish', 'rubbish'],
    ['too large', 300_000],
  ])('stay as they were when the new file is %s, and that is reported', async (_name, content) => {
    writeFileSync(file, keySetText(first));
    const { judge, clock, problems } = start();
    replace(typeof content === 'number' ? keySetText(second) + ' '.repeat(content) : content);
    clock.advance(5000);
    expect(await judge(first)).toMatchObject({ ok: true });
    expect(problems).toEqual([expect.stringContaining(file)]);
  });

  test('stay as they were when the file is gone', async () => {
    writeFileSync(file, keySetText(first));
    const { judge, clock, problems } = start();
    rmSync(file);
    clock.advance(5000);
    expect(await judge(first)).toMatchObject({ ok: true });
    expect(problems).toHaveLength(1);
  });

  test.each([
    ['missing', undefined],
    ['rubbish', 'rubbish'],
    ['too large', 300_000],
  ])('refuse to start when the file is %s', (_name, content) => {
    const text = typeof content === 'number' ? keySetText(first) + ' '.repeat(content) : content;
    if (text !== undefined) writeFileSync(file, text);
    expect(start).toThrow(KeySetInvalidError);
  });
});
