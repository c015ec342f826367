import { expect, test } from 'vitest';
import { RedisKeys } from '../../../src/redis/keys.js';

const keys = new RedisKeys('p');

/** What Redis Cluster hashes. */
function slotOf(key: string): string {
  const open = key.indexOf('{');
  const close = key.indexOf('}', open);
  return open === -1 || close <= open + 1 ? key : key.slice(open + 1, close);
}

test('keys start with the prefix and the version of the layout', () => {
  expect(keys.session('d')).toBe('p:1:{d}:session');
  expect(keys.limit('config:a:-')).toBe('p:1:{limits}:config:a:-');
  expect(keys.policyDocument('n', 'h')).toBe('p:1:{policy:n}:doc:h');
});

test('keys that one script touches share a slot, whatever the names in them', () => {
  expect(new Set([keys.fleetMembers, keys.fleetFacts, keys.policyVersion, keys.policyNames].map(slotOf)).size).toBe(1);
  expect(slotOf(keys.journal('d'))).toBe(slotOf(keys.session('d')));
  expect(slotOf(keys.journal('d'))).not.toBe(slotOf(keys.session('e')));
  expect(slotOf(keys.limit('a{b}c'))).toBe(slotOf(keys.limit('}{')));
  expect(slotOf(keys.policyHistory('n'))).toBe(slotOf(keys.policy('n')));
  expect(slotOf(keys.policyDocument('n', 'h'))).toBe(slotOf(keys.policy('n')));
});

test('no two keys are the same', () => {
  const all = [
    keys.fleetMembers,
    keys.fleetFacts,
    keys.policyVersion,
    keys.policyNames,
    keys.session('x'),
    keys.journal('x'),
    keys.limit('x'),
    keys.pins('x'),
    keys.verdicts('x'),
    keys.policy('x'),
    keys.policyHistory('x'),
    keys.policyDocument('x', 'x'),
  ];
  expect(new Set(all).size).toBe(all.length);
});
