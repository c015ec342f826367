import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteBuilder } from '../../../src/core/byte-builder.js';

const pieces = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: 8000, max: 20_000 }).map((length) => new Uint8Array(length).fill(length % 251)),
  ),
  { maxLength: 12 },
);

test('gives back what it was given, in order, whatever the sizes, and starts anew', () => {
  const builder = new ByteBuilder();
  fc.assert(
    fc.property(pieces, (list) => {
      for (const piece of list) builder.append(Buffer.concat([Buffer.of(1), piece, Buffer.of(2)]), 1, piece.length + 1);
      const whole = Buffer.concat(list);
      expect(builder.length).toBe(whole.length);
      expect(builder.take().equals(whole)).toBe(true);
      expect(builder.length).toBe(0);
    }),
  );
});

test('takes single bytes between pieces of any size', () => {
  const builder = new ByteBuilder();
  const large = Buffer.alloc(9000, 7);
  builder.appendByte(1);
  builder.append(large, 0, large.length);
  builder.appendByte(2);
  builder.append(Buffer.from('abc'), 1, 2);
  expect(builder.take()).toEqual(Buffer.concat([Buffer.of(1), large, Buffer.from([2, 0x62])]));
});

test('copies small pieces at once, so that what they were cut from can be used again', () => {
  const builder = new ByteBuilder();
  const source = Buffer.from('first');
  builder.append(source, 0, 5);
  source.fill(0);
  expect(builder.take().toString()).toBe('first');
});
