import { expect, test } from 'vitest';
import { ClusterSecrets } from '../../../src/cluster/secrets.js';

test('derives the same keys from the same secret on every replica', () => {
  const [one] = new ClusterSecrets(['a secret']).keysFor('payload');
  const [other] = new ClusterSecrets(['a secret']).keysFor('payload');
  expect(one).toEqual(other);
  expect(one?.key).toHaveLength(32);
  expect(one?.keyId).toBeGreaterThanOrEqual(0);
});

test('keys of different purposes and secrets have nothing in common', () => {
  const secrets = new ClusterSecrets(['one', 'two']);
  const keys = (['session-id', 'payload', 'forward'] as const).flatMap((purpose) => secrets.keysFor(purpose));
  expect(new Set(keys.map(({ key }) => key.toString('hex'))).size).toBe(6);
});

test('the first secret comes first, and the same one twice counts once', () => {
  const rotated = new ClusterSecrets(['new', 'old', 'new']).keysFor('forward');
  expect(rotated).toEqual([
    ...new ClusterSecrets(['new']).keysFor('forward'),
    ...new ClusterSecrets(['old']).keysFor('forward'),
  ]);
});

test('there has to be a secret', () => {
  expect(() => new ClusterSecrets([])).toThrow(RangeError);
  expect(() => new ClusterSecrets(['a', ''])).toThrow(RangeError);
});
