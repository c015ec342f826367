/** Every complete policy in the documentation loads, and what the text says of some of them is true. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { call, compile, load, verdict } from './helpers.js';

const text = readFileSync(new URL('../../../docs/policies.md', import.meta.url), 'utf8');
const policies = [...text.matchAll(/^```yaml\n(version:[\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');
const named = (name: string): string => policies.find((policy) => policy.includes(`name: ${name}\n`)) ?? '';

test('the documentation has its policies', () => {
  expect(policies.length).toBe(6);
});

test.each(policies.map((policy) => [/^name: (.*)$/m.exec(policy)?.[1], policy]))(
  '%s loads without warnings',
  (_name, policy) => {
    expect(load(policy ?? '', 'docs/policies.md').warnings).toEqual([]);
  },
);

test('roles', () => {
  const policy = compile(named('Three roles'));
  expect(verdict(policy, 'get_x_status', { role: 'user' })).toMatch(/^allow role roles.guest/);
  expect(verdict(policy, 'docs://secret/a', { role: 'guest', kind: 'resource' })).toMatch(/^deny role/);
  expect(verdict(policy, 'unlisted', { role: 'guest' })).toBe('deny role default');
});

test('tenants', () => {
  const policy = compile(named('Two tenants'));
  const allowed = (role: string, tenant?: string) =>
    ['hello', 'help', 'report', 'post_x', 'post_bulk'].filter(
      (name) => policy.decide(call(name, { role, ...(tenant ? { tenant } : {}) })).effect === 'allow',
    );
  expect(allowed('user', 'acme')).toEqual(['hello', 'help', 'report', 'post_x']);
  expect(allowed('user')).toEqual(['hello', 'post_x', 'post_bulk']);
  expect(allowed('auditor', 'acme')).toEqual(['hello', 'help']);
  expect(allowed('auditor')).toEqual([]);
  expect(policy.toolLimits('post_x', 'user', 'acme')).toEqual([{ name: 'role:user', limit: '600/m', scope: 'role' }]);
});

test('conditions', () => {
  const policy = compile(named('Conditions'));
  const effect = (name: string, args: unknown, more = {}) =>
    policy.decide(call(name, { role: 'user', args, ...more })).effect;
  expect(effect('post_sms_3_messages', { text: 'hi' }, { tenant: 'acme' })).toBe('allow');
  expect(policy.isListed(call('post_sms_3_messages', { role: 'user', tenant: 'other' }))).toBe(false);
  expect(effect('fetch', { url: 'https://example.com/x' })).toBe('allow');
  expect(effect('fetch', { url: 'https://example.org/x' })).toBe('deny');
  expect(effect('read_file', { path: '/data/a.txt' })).toBe('allow');
  expect(effect('read_file', { path: '/data/a.key' })).toBe('deny');
  expect(effect('read_file', { path: '/data/../etc/passwd' })).toBe('deny');
  expect(effect('delete_x', { confirm: true }, { claims: { groups: ['ops'] } })).toBe('allow');
  expect(effect('delete_x', {}, { claims: { groups: ['ops'] } })).toBe('deny');
  expect(effect('restart', {}, { nowMs: 9 * 3_600_000 })).toBe('allow');
  expect(effect('restart', {}, { nowMs: 7 * 3_600_000 })).toBe('deny');
});
