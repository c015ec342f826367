/** Names and addresses that look like others: what is compared is code points, and a `*` never helps a disguise. */
import { afterEach, describe, expect, test } from 'vitest';
import { foldKey } from '../../../src/policy/text.js';
import { isPlainUri } from '../../../src/policy/uris.js';
import { call, compile, verdict } from './helpers.js';

afterEach(() => {
  expect(({} as Record<string, unknown>).x).toBeUndefined();
});

const policy = compile(`version: "2.0"
name: N
default: deny
roles:
  user: { allow: ["delete_*", "read", "ünïcode tool", "constructor"], deny: ["delete_all*"] }
  all: { allow: ["*"], deny: ["delete*"] }
tools: [{ match: "guard*", effect: deny }]
`);

describe('a disguised name is not allowed by a pattern or a literal', () => {
  test.each([
    ['upper case', 'READ'],
    ['a trailing space', 'read '],
    ['NUL', 'read\0'],
    ['a zero-width space', 'delete_\u200bx'],
    ['a bidi override', 'delete_\u202ex'],
    ['a homoglyph', 'r\u0435ad'],
    ['full width', 'ｒｅａｄ'],
    ['NFD for NFC', 'u\u0308nïcode tool'],
    ['a new line', 'delete_x\n'],
    ['half a surrogate pair', 'delete_\ud800'],
    ['ten kilobytes', `delete_${'x'.repeat(10_000)}`],
    ['129 characters', `delete_${'x'.repeat(122)}`],
    ['__proto__', '__proto__'],
    ['nothing', ''],
  ])('%s', (_what, name) => {
    expect(policy.decide(call(name, { role: 'user' })).effect).toBe('deny');
    expect(policy.isListed(call(name, { role: 'user' }))).toBe(false);
  });
});

test.each([
  ['delete_x', 'user'],
  [`delete_${'x'.repeat(121)}`, 'user'],
  ['ünïcode tool', 'user'],
  ['constructor', 'user'],
  ['a.b-c_D9', 'all'],
])('%s is allowed for %s', (name, role) => {
  expect(policy.decide(call(name, { role })).effect).toBe('allow');
});

test.each(['delete_all\u200b', 'delete_all ', 'delete_all\ud800', 'delete_all\n', 'delete_allé'])(
  'a deny pattern is not dodged by %j',
  (name) => {
    expect(policy.decide(call(name, { role: 'user' })).effect).toBe('deny');
    const open = compile('version: "1.0"\nname: o\ndefault: allow\ndeny: ["delete_all*"]');
    expect(open.decide(call(name)).effect).toBe('deny');
  },
);

test.each(['guard', 'guard\u200b', 'guard it', 'guardé', 'guard\0'])('a tool rule is not dodged by %j', (name) => {
  expect(verdict(policy, name, { role: 'all' })).toBe('deny tool_rule tools[0] "guard*"');
});

test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype'])(
  '%s as a role or tenant means nothing',
  (name) => {
    expect(verdict(policy, 'read', { role: name })).toBe('deny default default');
    expect(policy.toolLimits('read', name, name)).toEqual([]);
    expect(verdict(policy, 'read', { role: 'user', tenant: name })).toBe('allow role roles.user.allow "read"');
  },
);

test('half a surrogate pair is denied even where the default allows', () => {
  const open = compile('version: "2.0"\nname: o\ndefault: allow');
  for (const kind of ['tool', 'resource', 'prompt'] as const) {
    expect(open.decide(call('a\udc00', { kind })).effect).toBe('deny');
  }
});

describe('globs', () => {
  test.each([
    ['*', 'a', true],
    ['a*', 'a', true],
    ['*a', 'ba', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['*a*b*', 'xaxbx', true],
    ['*a*b*', 'xbxax', false],
    ['a*b*c', 'abbcbc', true],
    ['*.*', 'a.b', true],
    ['a.c', 'abc', false],
    ['a*é', 'a-é', true],
    ['a*é', 'aéé', false],
    ['[ab]', 'a', false],
    ['a?', 'ab', false],
    ['*x', `${'x'.repeat(127)}x`, true],
  ])('%s on %s: %s', (pattern, name, expected) => {
    const one = compile(JSON.stringify({ version: '1.0', name: 'g', default: 'deny', allow: [pattern] }));
    expect(one.decide(call(name)).effect === 'allow').toBe(expected);
  });

  test('a pattern with many stars takes no time', () => {
    const slow = compile(
      JSON.stringify({ version: '1.0', name: 'g', default: 'allow', deny: [`${'a*'.repeat(200)}b`] }),
    );
    const started = performance.now();
    expect(slow.decide(call('a'.repeat(100_000))).effect).toBe('allow');
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('resource addresses', () => {
  test.each([
    'docs://a',
    'docs://public/a/b.txt?x=1#y',
    'file:///data/a%20b.txt',
    'docs://{page}',
    'https://example.com/a',
    'https://example.com:8443/a',
    'https://example.com',
    'urn:a:b',
    'http://[2001:db8::1]/x',
    'docs://Reports/Q1',
  ])('%s is plain', (uri) => {
    expect(isPlainUri(uri)).toBe(true);
  });

  test.each([
    'docs://public/../private',
    'docs://public/..',
    'docs://public/./x',
    'docs://public/%2e%2e/private',
    'docs://public/%2E./private',
    'docs://public/..;/private',
    'docs://public%2fprivate',
    'docs://public\\private',
    'docs://public%5cprivate',
    'docs://a%00b',
    'docs://a%0ab',
    'docs://%61dmin',
    'docs://a%252e',
    'docs://a%zz',
    'DOCS://a',
    'FILE:///etc/passwd',
    'docs://a b',
    'docs://é',
    'docs://a\nb',
    ' docs://a',
    'https://user@example.com/',
    'https://EXAMPLE.com/',
    'https://example.com./',
    'http://2130706433/',
    'http://0x7f.1/',
    'https://example.com:443/',
    'https:example.com',
    'https:///example.com',
    '//example.com',
    `docs://${'a'.repeat(2048)}`,
  ])('%j is not, so no pattern allows it', (uri) => {
    expect(isPlainUri(uri)).toBe(false);
    const any = compile('version: "2.0"\nname: r\ndefault: deny\nroles: { a: { resources: { allow: ["*"] } } }');
    expect(any.decide(call(uri, { kind: 'resource', role: 'a' })).effect).toBe('deny');
  });

  test('an odd address can be allowed literally', () => {
    const literal = compile(
      'version: "2.0"\nname: r\ndefault: deny\nroles: { a: { resources: { allow: ["DOCS://a b"] } } }',
    );
    expect(literal.decide(call('DOCS://a b', { kind: 'resource', role: 'a' })).effect).toBe('allow');
  });
});

test.each([
  ['Path', 'path'],
  ['PATH', 'path'],
  ['pathſ', 'paths'],
  ['\u212Aey', 'key'],
  ['path\0', 'path'],
  ['pa\u200bth', 'path'],
  ['ｐath', 'path'],
  [' path', 'path'],
  ['straße', 'STRASSE'],
  ['ıd', 'id'],
])('%j folds to the same key as %j', (a, b) => {
  expect(foldKey(a)).toBe(foldKey(b));
});

test.each([
  ['path', 'paths'],
  ['a_b', 'ab'],
  ['a1', 'a2'],
  ['é', 'e'],
  ['о', 'o'],
])('%j and %j are different keys', (a, b) => {
  expect(foldKey(a)).not.toBe(foldKey(b));
});
