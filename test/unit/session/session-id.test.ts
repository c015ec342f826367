import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { generateSealingKey, SessionIds } from '../../../src/session/session-id.js';

const ids = new SessionIds([generateSealingKey()], 'replica-1');

describe('an id', () => {
  test('opens to what it was made for', () => {
    const opened = ids.open(ids.mint('sms', 'alice'));
    expect(opened?.isBoundTo('sms', 'alice')).toBe(true);
    expect(opened?.isBoundTo('sms', 'bob')).toBe(false);
    expect(opened?.isBoundTo('voice', 'alice')).toBe(false);
    expect(opened?.replica).toMatch(/^[0-9a-f]{16}$/);
  });

  test('is bound to route and caller as two things', () => {
    expect(ids.open(ids.mint('ab', 'c'))?.isBoundTo('a', 'bc')).toBe(false);
  });

  test('says nothing of route and caller, and is always of one size', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (route, principal) => {
        const id = ids.mint(route, principal);
        expect(id).toMatch(/^[\w-]{82}$/);
      }),
    );
  });

  test('names the replica that made it', () => {
    const key = generateSealingKey();
    const one = new SessionIds([key], 'one');
    const two = new SessionIds([key], 'two');
    expect(two.open(one.mint('r', 'p'))?.replica).toBe(one.open(one.mint('r', 'p'))?.replica);
    expect(two.open(one.mint('r', 'p'))?.replica).not.toBe(two.open(two.mint('r', 'p'))?.replica);
  });
});

describe('what is no id of ours opens to nothing', () => {
  test('any text', () => {
    fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => ids.open(text) === undefined));
  });

  test('an id with any one bit flipped', () => {
    const bytes = Buffer.from(ids.mint('sms', 'alice'), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(ids.open(flipped.toString('base64url'))).toBeUndefined();
    }
  });

  test('an id spelt in another way', () => {
    const id = ids.mint('sms', 'alice');
    for (const other of [
      `${id}=`,
      ` ${id}`,
      `${id}\n`,
      `${id}A`,
      id.slice(0, -1),
      id.replaceAll('-', '+').replaceAll('_', '/'),
    ]) {
      if (other !== id) expect(ids.open(other)).toBeUndefined();
    }
  });

  test('an id of another key', () => {
    expect(new SessionIds([generateSealingKey()], 'replica-1').open(ids.mint('sms', 'alice'))).toBeUndefined();
  });
});

test('keys are replaced without a gap: the first seals, the others still open', () => {
  const [before, after] = [1, 2].map((keyId) => ({ ...generateSealingKey(), keyId })) as [
    ReturnType<typeof generateSealingKey>,
    ReturnType<typeof generateSealingKey>,
  ];
  const id = new SessionIds([before], 'r').mint('sms', 'alice');
  const rotated = new SessionIds([after, before], 'r');
  expect(rotated.open(id)?.isBoundTo('sms', 'alice')).toBe(true);
  expect(new SessionIds([after], 'r').open(rotated.mint('sms', 'alice'))).toBeDefined();
  expect(new SessionIds([before], 'r').open(rotated.mint('sms', 'alice'))).toBeUndefined();
});

test('there is no sealing without a key', () => {
  expect(() => new SessionIds([], 'r')).toThrow(RangeError);
});
