import { isMap, LineCounter, parseDocument } from 'yaml';
import { describe, expect, test } from 'vitest';
import { compilePolicy } from '../../../src/policy/compile.js';
import { PolicyInvalidError } from '../../../src/policy/errors.js';
import { parsePolicy, parsePolicyNode } from '../../../src/policy/parse.js';
import { compile, formatProblem, load, problemsOf } from './helpers.js';

const HEAD = 'version: "2.0"\nname: T\ndefault: deny\n';
const lines = (source: string): string[] => problemsOf(source).map(formatProblem);

test('finds everything that is wrong in one go, each at its place', () => {
  const source = `version: "2.0"
name: Broken
defualt: deny
roles:
  user: { inherits: [gest], allow: [""], limit: 60/x }
  guest: { alow: ["*"] }
  a: { inherits: [b] }
  b: { inherits: [a] }
tools:
  - match: "put_**"
    effect: deny
  - match: post
    when: 'principal.tenat == "acme"'
  - match: post
    arguments: { properties: { to: { type: strin, pattern: "(?=a)" } } }
`;
  expect(lines(source)).toEqual([
    'policy.yaml:1:1: default is missing',
    'policy.yaml:3:1: unknown key "defualt" (did you mean "default"?)',
    'policy.yaml:5:22: there is no role "gest" (did you mean "guest"?)',
    'policy.yaml:5:37: an empty pattern matches nothing',
    'policy.yaml:5:49: expected a rate such as 10/s, 60/m or 1000/h',
    'policy.yaml:6:12: unknown key "alow" (did you mean "allow"?)',
    'policy.yaml:7:18: roles inherit in a circle: a -> b -> a',
    'policy.yaml:10:12: two * in a row mean the same as one: write *',
    'policy.yaml:13:22: No such key: tenat',
    'policy.yaml:15:44: unknown type "strin" (did you mean "string"?)',
    expect.stringContaining('policy.yaml:15:60: error parsing regexp'),
  ]);
});

test.each([
  ['a duplicate key', 'version: "1.0"\nname: a\nname: b\ndefault: deny', /^policy.yaml:3:1: Map keys must be unique/],
  [
    'an unquoted star',
    'version: "1.0"\nname: a\ndefault: deny\nallow: [*_bulks]',
    /^policy.yaml:4:9: .*quote the pattern/,
  ],
  ['a lone star', 'version: "1.0"\nname: a\ndefault: deny\nallow:\n  - *', /^policy.yaml:5:5: .*quote the pattern/],
  ['another version', 'version: "3.0"', /^policy.yaml:1:10: unknown version "3.0"/],
  ['no version', 'name: a', /^policy.yaml:1:1: version is missing/],
  ['a list', '- a', /^policy.yaml:1:1: a policy is a mapping/],
  ['nothing', '', /^policy.yaml:1:1: a policy is a mapping/],
  [
    'roles in version 1.0',
    'version: "1.0"\nname: a\ndefault: deny\nroles: {}',
    /^policy.yaml:4:1: unknown key "roles" \(this needs version: "2.0"\)/,
  ],
  [
    'an allowing tool rule',
    `${HEAD}tools:\n  - { match: a, effect: allow }`,
    /^policy.yaml:5:25: effect is deny: a tool rule cannot allow/,
  ],
  [
    'a rule that denies and asks',
    `${HEAD}tools:\n  - { match: a, effect: deny, when: "true" }`,
    /^policy.yaml:5:37: .*always denies: when has no use/,
  ],
  ['a role that is nothing', `${HEAD}roles:\n  user:`, /^policy.yaml:5:\d+: expected a mapping/],
  [
    'a name that poisons objects',
    `${HEAD}roles:\n  __proto__: { allow: ["*"] }`,
    /^policy.yaml:5:3: "__proto__" cannot be used as a key/,
  ],
  [
    'half a surrogate pair',
    '{"version":"1.0","name":"a","default":"deny","allow":["\\ud800"]}',
    /^policy.yaml:1:55: the pattern is not valid Unicode/,
  ],
  [
    'an alias bomb',
    `${HEAD}a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]`,
    /too many aliases/,
  ],
  ['an alias of itself', `${HEAD}tools: &t\n  - { match: a, arguments: { properties: { a: *t } } }`, /^policy.yaml:/],
  [
    'a bottomless schema',
    `${HEAD}tools: [{ match: a, arguments: ${'{ properties: { a: '.repeat(40)}{}${' } }'.repeat(40)} }]`,
    /nested deeper|too large/,
  ],
])('refuses %s', (_name, source, expected) => {
  expect(lines(source)[0]).toMatch(expected);
});

test('refuses a policy of more than a mebibyte without reading it', () => {
  expect(lines(`# ${'x'.repeat(1_100_000)}`)).toEqual([expect.stringContaining('at most 1048576 characters')]);
});

describe('positions inside conditions', () => {
  const bad = 'nope == 1';
  test.each([
    ['plain', `when: true && ${bad}`, '6:19'],
    ['single quotes', `when: 'tool == ''x'' && ${bad}'`, undefined],
    ['single quotes with quotes inside', `when: 'size(''a'') == 1 && ${bad}'`, '6:32'],
    ['double quotes', `when: "tool == \\"x\\" && ${bad}"`, '6:29'],
    ['a literal block', `when: |\n      true &&\n      ${bad}`, '8:7'],
  ])('%s', (_style, when, expected) => {
    const source = `${HEAD}tools:\n  - match: a\n    ${when}\n`;
    const [problem] = problemsOf(source);
    const column = source.split('\n')[(problem?.line ?? 0) - 1]?.indexOf('nope');
    expect(problem).toMatchObject({
      message: 'Unknown variable: nope',
      path: 'tools.0.when',
      column: (column ?? -2) + 1,
    });
    if (expected !== undefined) expect(`${problem?.line}:${problem?.column}`).toBe(expected);
  });
});

test('reads JSON, with tabs too, and a version without quotes', () => {
  expect(load('{\n\t"version": "1.0",\n\t"name": "a",\n\t"default": "deny"\n}', 'p.json')).toMatchObject({
    version: '1.0',
  });
  expect(load('version: 2.0\nname: a\ndefault: allow')).toMatchObject({ version: '2.0', default: 'allow' });
});

test('the hash does not depend on order, layout or format, and on everything else', () => {
  const yaml = load('version: "1.0"\nname: a\ndefault: deny # comment\nallow: [x, y]');
  const json = load('{"allow":["x","y"],"default":"deny","name":"a","version":"1.0"}', 'other.json');
  expect(yaml.hash).toMatch(/^[0-9a-f]{64}$/);
  expect(json.hash).toBe(yaml.hash);
  expect(load('version: "1.0"\nname: a\ndefault: deny\nallow: [y, x]').hash).not.toBe(yaml.hash);
});

test('a policy inside a larger file keeps the line numbers of that file', () => {
  const text = 'upstreams: []\npolicies:\n  p:\n    version: "1.0"\n    name: a\n    default: maybe\n';
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  const node = document.getIn(['policies', 'p'], true);
  const result = parsePolicyNode({
    node: isMap(node) ? node : null,
    document,
    lineCounter,
    file: 'gateway.yaml',
    text,
  });
  expect(result).toEqual([expect.objectContaining({ file: 'gateway.yaml', line: 6, column: 14, path: 'default' })]);
});

test('warns of what loads but cannot be meant', () => {
  const { warnings } = load(`version: "2.0"
name: a
default: allow
roles:
  user: { deny: ["x"], resources: { allow: ["docs://*"] } }
tools: [{ match: a }]
`);
  expect(warnings.map(({ line, message }) => `${line}: ${message}`)).toEqual([
    '5: resources.allow has no effect: what it does not name gets the default, which is allow',
    '5: role "user" denies tools but allows none',
    '6: the rule does nothing',
  ]);
});

test('a condition that needs a missing env name does not compile, unless it asks first', () => {
  const document = (when: string) => load(`${HEAD}tools:\n  - { match: a, when: '${when}' }`);
  const compiling = (): unknown => compilePolicy(document('env.REGIN == "eu"'), { REGION: 'eu' });
  expect(compiling).toThrow(PolicyInvalidError);
  expect(compiling).toThrow('policy.yaml:5:24: policy.env has no "REGIN"');
  expect(compilePolicy(document('!has(env.REGIN) || env.REGIN == "eu"'), {}).name).toBe('T');
});

test('a circle that only a tenant closes is found, and one below is told once', () => {
  const closing = `${HEAD}roles: { a: {}, b: { inherits: [a] } }\ntenants: { t: { roles: { a: { inherits: [b] } } } }`;
  expect(lines(closing)).toEqual(['policy.yaml:5:41: roles inherit in a circle: a -> b -> a']);
  const below = `${HEAD}roles: { a: { inherits: [a] } }\ntenants: { t: { roles: { a: { allow: [x] } } } }`;
  expect(lines(below)).toEqual([expect.stringContaining('a -> a')]);
});

test('carries mode and denials, with safe defaults', () => {
  expect(compile(HEAD)).toMatchObject({ mode: 'enforce', denials: 'explain', name: 'T', roles: [] });
  expect(compile(`${HEAD}mode: shadow\ndenials: hide\n`)).toMatchObject({ mode: 'shadow', denials: 'hide' });
});

test('random text never makes the parser throw', () => {
  for (const text of ['{', '\u0000', '!!js/function x', '? [a]\n: b', '%YAML 9', 'a: b: c', '&a *a', '--- a\n--- b']) {
    expect(Array.isArray(parsePolicy(text, 'x'))).toBe(true);
  }
});
