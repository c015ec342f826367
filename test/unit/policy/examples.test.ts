import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { call, compile, verdict } from './helpers.js';

const read = (name: string): string =>
  readFileSync(new URL(`../../../examples/policies/${name}`, import.meta.url), 'utf8');

const SMS_TOOLS = [
  'get_sms_1_bulks',
  'put_sms_1_bulks',
  'get_sms_1_bulks_status',
  'put_sms_1_bulks_status',
  'get_sms_3_reports',
  'get_sms_3_logs',
  'post_sms_3_messages',
  'post_sms_1_preview',
];

test('the basic policy allows exactly two of the eight SMS tools', () => {
  const policy = compile(read('policy_basic.json'));
  expect(policy.version).toBe('1.0');
  expect(SMS_TOOLS.filter((tool) => verdict(policy, tool).startsWith('allow'))).toEqual([
    'post_sms_3_messages',
    'post_sms_1_preview',
  ]);
});

test('the production policy gives each role its tools', () => {
  const policy = compile(read('policy_production.yaml'));
  const args = { to: '+441234567890', text: 'hi' };
  const allowed = (role: string, tenant?: string): string[] =>
    SMS_TOOLS.filter((tool) =>
      verdict(policy, tool, { role, args, ...(tenant ? { tenant } : {}) }).startsWith('allow'),
    );
  expect(allowed('guest')).toEqual(['get_sms_1_bulks_status']);
  expect(allowed('user')).toEqual(['post_sms_3_messages', 'post_sms_1_preview']);
  expect(allowed('user', 'acme')).toEqual(['get_sms_3_reports', 'post_sms_3_messages', 'post_sms_1_preview']);
  expect(allowed('admin')).toEqual(SMS_TOOLS.filter((tool) => !tool.startsWith('put_')));
  expect(allowed('stranger')).toEqual([]);
});

test.each([
  ['a foreign number', { to: '+331234567890', text: 'hi' }, 'arguments', 'to'],
  ['no number', { text: 'hi' }, 'arguments', 'to'],
  ['a number as a list', { to: ['+441234567890'], text: 'hi' }, 'arguments', 'to'],
  ['a long text', { to: '+441234567890', text: 'x'.repeat(480) }, 'when', undefined],
])('the production policy refuses %s', (_name, args, kind, field) => {
  const policy = compile(read('policy_production.yaml'));
  const request = { role: 'user', args };
  expect(verdict(policy, 'post_sms_3_messages', request)).toBe('deny tool_rule tools[0] "post_sms_3_messages"');
  expect(policy.toolLimits('post_sms_3_messages', 'user')).toEqual([
    { name: 'tool:post_sms_3_messages', limit: '10/m', scope: 'tool' },
    { name: 'role:user', limit: '60/m', scope: 'role' },
  ]);
  const { violation } = policy.decide(call('post_sms_3_messages', request));
  expect(violation).toEqual(field === undefined ? { kind } : { kind, field });
});
