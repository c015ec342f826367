import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyedHash } from '../../../src/core/keyed-hash.js';

const expected = (key: Buffer, data: string | Uint8Array) => createHmac('sha256', key).update(data).digest('hex');

test('the second test case of RFC 4231', () => {
  expect(new KeyedHash(Buffer.from('Jefe')).hex('what do ya want for nothing?')).toBe(
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  );
});

test.each([0, 1, 63, 64, 65, 131])('is HMAC-SHA-256 under a key of %i bytes, whatever came before', (keyBytes) => {
  const key = Buffer.alloc(keyBytes, 0xa5);
  const keyed = new KeyedHash(key);
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array()), (data) => {
      expect(keyed.hex(data)).toBe(expected(key, data));
    }),
  );
});

test('binds bytes to a context, wherever one ends and the other begins', () => {
  const keyed = new KeyedHash(Buffer.from('k'));
  expect(keyed.boundHex('ab', Buffer.from('c'))).not.toBe(keyed.boundHex('a', Buffer.from('bc')));
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.uint8Array(), fc.constantFrom(1, 20_000), (text, some, repeat) => {
      const context = Buffer.from(text);
      const bytes = Buffer.concat(Array.from({ length: repeat }, () => some));
      const length = Buffer.alloc(4);
      length.writeUInt32BE(context.length);
      expect(keyed.boundHex(text, bytes)).toBe(expected(Buffer.from('k'), Buffer.concat([length, context, bytes])));
    }),
  );
});

test.each(['x', 'é', '日', '😀', '\ud800'])('and around the length where texts become long, in %j', (unit) => {
  const key = Buffer.from('k');
  const keyed = new KeyedHash(key);
  for (const length of [5461, 5462, 8191, 16_383, 16_384, 16_385, 20_000]) {
    const text = unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
    expect(keyed.hex(text)).toBe(expected(key, text));
    expect(keyed.hex(Buffer.from(text))).toBe(expected(key, text));
  }
});
