import fc from 'fast-check';
import { expect, test } from 'vitest';
import { windowKey } from '../../../src/rate-limit/window-key.js';

const part = fc.option(
  fc.oneof(
    fc.string({ unit: fc.constantFrom(':', '-', '1', '0', 'a'), maxLength: 6 }),
    fc.constantFrom('__proto__', 'constructor', '\ud800', '\ud801', 'x'.repeat(300), `${'x'.repeat(300)}\ud800`),
  ),
  { nil: undefined },
);

test('different scopes never share a key, and keys stay short', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 4 }), fc.array(part, { maxLength: 4 }), (a, b) => {
      const same = a.length === b.length && a.every((value, index) => value === b[index]);
      const keys = [windowKey('config', 'limit', a), windowKey('config', 'limit', b)];
      expect(keys[0] === keys[1]).toBe(same);
      for (const key of keys) expect(key.length).toBeLessThanOrEqual(128);
    }),
    { numRuns: 3000 },
  );
});

test('long values that differ only in a lone surrogate have keys of their own', () => {
  const long = 'x'.repeat(200);
  expect(windowKey('config', 'a', [`${long}\ud800`])).not.toBe(windowKey('config', 'a', [`${long}\ud801`]));
});

test('a limit of a policy never shares a window with a configured one of its name', () => {
  expect(windowKey('policy', 'a', ['b'])).not.toBe(windowKey('config', 'a', ['b']));
});
