import { describe, expect, test } from 'vitest';
import { explain } from '../../../src/policy/explain.js';
import { call, compile, verdict } from './helpers.js';

const SOURCE = `version: "2.0"
name: P
default: deny
roles:
  admin: { allow: ["*"] }
  user: { inherits: [guest], allow: ["post_*"], deny: ["*_bulks*"], limit: 60/m }
  guest: { allow: ["get_*_status", "odd name"], resources: { allow: ["docs://*"], deny: ["*secret*"] }, prompts: { allow: ["*"] } }
  empty: {}
tools:
  - { match: "put_*", effect: deny, reason: "bulk updates need change control" }
  - { match: post_x, limit: 10/m, when: 'principal.tenant == "acme" && size(args.text) < 10' }
  - { match: "post_*", limit: 20/m }
tenants:
  acme: { roles: { user: { allow: [get_report], limit: 5/s }, guest: { allow: [hello] }, auditor: { inherits: [guest] } } }
`;
const policy = compile(SOURCE);

test.each([
  ['post_sms', 'user', undefined, 'allow role roles.user.allow "post_*"'],
  ['post_bulks_1', 'user', undefined, 'deny role roles.user.deny "*_bulks*"'],
  ['get_1_status', 'user', undefined, 'allow role roles.guest.allow "get_*_status"'],
  ['get_1_bulks_status', 'user', undefined, 'deny role roles.user.deny "*_bulks*"'],
  ['get_1_bulks_status', 'guest', undefined, 'allow role roles.guest.allow "get_*_status"'],
  ['get_report', 'user', undefined, 'deny role default'],
  ['get_report', 'user', 'acme', 'allow role tenants.acme.roles.user.allow "get_report"'],
  ['hello', 'user', 'acme', 'allow role tenants.acme.roles.guest.allow "hello"'],
  ['hello', 'auditor', 'acme', 'allow role tenants.acme.roles.guest.allow "hello"'],
  ['hello', 'auditor', undefined, 'deny default default'],
  ['hello', 'auditor', 'other', 'deny default default'],
  ['put_it', 'admin', undefined, 'deny tool_rule tools[0] "put_*"'],
  ['put_it', 'stranger', undefined, 'deny tool_rule tools[0] "put_*"'],
  ['anything', 'empty', undefined, 'deny role default'],
  ['anything', undefined, undefined, 'deny default default'],
])('%s for %s of %s: %s', (name, role, tenant, expected) => {
  expect(verdict(policy, name, { role, ...(tenant ? { tenant } : {}) })).toBe(expected);
});

test.each([
  ['resource', 'docs://a/b', 'guest', 'allow role roles.guest.resources.allow "docs://*"'],
  ['resource', 'docs://a/secret', 'guest', 'deny role roles.guest.resources.deny "*secret*"'],
  ['resource', 'file:///etc', 'guest', 'deny default default'],
  ['resource', 'docs://a/b', 'user', 'allow role roles.guest.resources.allow "docs://*"'],
  ['resource', 'docs://a/b', 'admin', 'deny default default'],
  ['prompt', 'greet', 'guest', 'allow role roles.guest.prompts.allow "*"'],
  ['prompt', 'gr eet', 'guest', 'deny default default'],
  ['prompt', 'put_it', 'guest', 'allow role roles.guest.prompts.allow "*"'],
] as const)('%s %s for %s: %s', (kind, name, role, expected) => {
  expect(verdict(policy, name, { kind, role })).toBe(expected);
});

test('the answer of a failed condition says so, and an allowed one carries no violation', () => {
  const options = { role: 'user', tenant: 'acme', args: { text: 'long enough to fail' } };
  expect(policy.decide(call('post_x', options))).toMatchObject({
    effect: 'deny',
    layer: 'tool_rule',
    rule: 'tools[1] "post_x"',
    reason: 'tools[1] "post_x" (when): its condition does not hold',
    violation: { kind: 'when' },
    policy: 'P',
    policyHash: policy.hash,
    source: { file: 'policy.yaml', line: 11 },
  });
  expect(policy.decide(call('post_x', { ...options, args: { text: 'ok' } }))).not.toHaveProperty('violation');
});

test('an error in a condition denies as policy_error', () => {
  const decision = policy.decide(call('post_x', { role: 'user', tenant: 'acme', args: { text: 5 } }));
  expect(decision).toMatchObject({ effect: 'deny', reason: 'policy_error', violation: { kind: 'when' } });
  expect(decision.error).toMatch(/no matching overload/);
});

test('arguments that throw when they are parsed deny', () => {
  const request = { ...call('post_x', { role: 'user', tenant: 'acme' }), args: () => JSON.parse('{') };
  expect(policy.decide(request)).toMatchObject({ effect: 'deny', reason: 'policy_error' });
});

test('a tool is listed unless a rule denies it whatever its arguments are', () => {
  const listed = (name: string, tenant?: string): boolean =>
    policy.isListed(call(name, { role: 'user', ...(tenant ? { tenant } : {}) }));
  expect(listed('post_x', 'acme')).toBe(true);
  expect(listed('post_x', 'other')).toBe(false);
  expect(listed('put_it')).toBe(false);
  expect(listed('post_bulks_1')).toBe(false);
  expect(listed('unknown')).toBe(false);
});

test('arguments are only fetched when a rule needs them, and once', () => {
  let fetched = 0;
  const counting = (name: string) => ({
    ...call(name, { role: 'user', tenant: 'acme' }),
    args: () => ({ text: `${fetched++}` }),
  });
  policy.decide(counting('post_y'));
  policy.isListed(counting('post_x'));
  expect(fetched).toBe(0);
  policy.decide(counting('post_x'));
  expect(fetched).toBe(1);
  expect(policy.needsArguments('post_x')).toBe(true);
  expect(policy.needsArguments('post_y')).toBe(false);
});

test('limits of the rules that match and of the role, a tenant before the general one', () => {
  expect(policy.toolLimits('post_x', 'user')).toEqual([
    { name: 'tool:post_x', limit: '10/m', scope: 'tool' },
    { name: 'tool:post_*', limit: '20/m', scope: 'tool' },
    { name: 'role:user', limit: '60/m', scope: 'role' },
  ]);
  expect(policy.toolLimits('get', 'user', 'acme')).toEqual([{ name: 'role:user', limit: '5/s', scope: 'role' }]);
  expect(policy.toolLimits('get', 'admin')).toEqual([]);
  expect(policy.toolLimits('get', undefined)).toEqual([]);
  const heir = compile('version: "2.0"\nname: a\ndefault: deny\nroles: { a: { limit: 1/s }, b: { inherits: [a] } }');
  expect(heir.toolLimits('x', 'b')).toEqual([{ name: 'role:a', limit: '1/s', scope: 'role' }]);
});

test('version 1.0: deny beats allow beats default, tools only', () => {
  const basic = compile('{"version":"1.0","name":"B","default":"allow","allow":["a_bulks","b c"],"deny":["*_bulks*"]}');
  expect(verdict(basic, 'a_bulks')).toBe('deny tool_rule deny "*_bulks*"');
  expect(verdict(basic, 'b c')).toBe('allow tool_rule allow "b c"');
  expect(verdict(basic, 'other')).toBe('allow default default');
  expect([basic.governs('tool'), basic.governs('resource'), basic.governs('prompt')]).toEqual([true, false, false]);
  expect(verdict(basic, 'x_bulks', { kind: 'prompt' })).toBe('allow default default');
  expect(policy.governs('prompt')).toBe(true);
});

describe('what a filtered list depends on', () => {
  const of = (when: string) =>
    compile(`version: "2.0"\nname: a\ndefault: deny\ntools: [{ match: a, when: '${when}' }]`).listingDependsOn('tool');
  const none = { caller: false, request: false, time: false };
  test.each([
    ['principal.tenant == "a" && principal.role == "b"', none],
    ['principal.id == "a" && args.n == 1', { ...none, caller: true }],
    ['args.who == principal.id', none],
    ['principal["claims"].x == 1', { ...none, caller: true }],
    ['request.ip == "1" && now > timestamp("2024-01-01T00:00:00Z")', { ...none, request: true, time: true }],
    ['tool == "a" || (route == "b" && args.n == now.getSeconds())', none],
  ])('%s', (when, expected) => {
    expect(of(when)).toEqual(expected);
    expect(policy.listingDependsOn('resource')).toEqual(none);
  });
});

test('explain shows every layer in order, and who decided where', () => {
  const { decision, source, steps } = explain(policy, call('post_sms', { role: 'user' }));
  expect(decision.effect).toBe('allow');
  expect(source).toBe('policy.yaml:6');
  expect(steps.map(({ layer, rule, verdict: said }) => `${layer} ${rule}: ${said}`)).toEqual([
    'tool_rule tools[0] "put_*": no match',
    'tool_rule tools[1] "post_x": no match',
    'tool_rule tools[2] "post_*": pass',
    'role roles.user.allow "post_*": allow',
    'default default: not reached',
  ]);
  const denied = explain(policy, call('put_it', { role: 'nobody' }));
  expect(denied.source).toBe('policy.yaml:10');
  expect(denied.steps.map(({ layer, verdict: said }) => `${layer}: ${said}`)).toEqual([
    'tool_rule: deny',
    'role: not reached',
    'default: not reached',
  ]);
  const fallback = explain(policy, call('x', { role: 'nobody' }));
  expect(fallback.steps.slice(3).map(({ layer, verdict: said }) => `${layer}: ${said}`)).toEqual([
    'role: no match',
    'default: deny',
  ]);
  expect(fallback.source).toBe('policy.yaml:3');
});

test('shadow decides exactly as enforce does', () => {
  const shadow = compile(SOURCE.replace('default: deny', 'default: deny\nmode: shadow'));
  expect(shadow.mode).toBe('shadow');
  for (const name of ['post_sms', 'put_it', 'post_bulks_1']) {
    expect(shadow.decide(call(name, { role: 'user' })).effect).toBe(policy.decide(call(name, { role: 'user' })).effect);
  }
});

test('a decision cannot be changed by who receives it', () => {
  const decision = policy.decide(call('post_sms', { role: 'user' }));
  expect(Object.isFrozen(decision)).toBe(true);
});

test('a known role decides alone: the default opens nothing to it but unmatched resources and prompts', () => {
  const open = compile('version: "2.0"\nname: o\ndefault: allow\nroles: { user: { allow: [a] } }');
  expect(verdict(open, 'b', { role: 'user' })).toBe('deny role default');
  expect(verdict(open, 'b', { role: 'stranger' })).toBe('allow default default');
  expect(verdict(open, 'docs://b', { role: 'user', kind: 'resource' })).toBe('allow default default');
});
