/** Argument rules: what they let through, and what they must not be talked out of. */
import { describe, expect, test } from 'vitest';
import { compileArgumentRule } from '../../../src/policy/arguments.js';
import { CallArguments } from '../../../src/policy/call-arguments.js';
import { survivesParsing } from '../../../src/policy/raw-numbers.js';
import { call, problemsOf } from './helpers.js';

type Schema = Record<string, unknown>;

/** `ok`, or which field is wrong and why. */
function judge(schema: Schema, raw: string | undefined): string {
  const rule = compileArgumentRule(schema);
  if ('length' in rule) throw new Error(JSON.stringify(rule));
  const request = raw === undefined ? call('t') : call('t', { raw });
  const violation = rule.check(new CallArguments(request));
  if (violation === undefined) return 'ok';
  return `${violation.field ?? '-'} ${violation.error === undefined ? violation.message : `error: ${violation.error}`}`;
}

function problems(schema: Schema): string[] {
  const rule = compileArgumentRule(schema);
  return 'length' in rule ? rule.map(({ path, message, hint }) => `${path.join('.')}: ${message}; ${hint ?? ''}`) : [];
}

const TO = { properties: { to: { type: 'string', pattern: '^\\+44' } }, required: ['to'] };

test('passes what fits and names what does not', () => {
  expect(judge(TO, '{"to":"+441"}')).toBe('ok');
  expect(judge(TO, '{"to":"+331"}')).toBe('to must match pattern "^\\+44"');
  expect(judge(TO, '{}')).toBe('to is required');
  expect(judge(TO, undefined)).toBe('to is required');
  expect(judge({ properties: { a: { properties: { b: { type: 'string' } } } } }, '{"a":{"b":1}}')).toBe(
    'a.b must be string',
  );
});

describe('a wrong type is denied', () => {
  const untyped = {
    properties: { to: { pattern: '^a' }, n: { maximum: 5 }, list: { maxItems: 1 }, o: { required: ['x'] } },
  };
  test.each([
    ['{"to":["a"]}', 'to must be string'],
    ['{"to":1}', 'to must be string'],
    ['{"to":null}', 'to must be string'],
    ['{"to":{"a":1}}', 'to must be string'],
    ['{"n":"3"}', 'n must be number'],
    ['{"n":true}', 'n must be number'],
    ['{"list":"aaaa"}', 'list must be array'],
    ['{"o":[]}', 'o must be object'],
    ['[]', '- must be object'],
    ['"a"', '- must be object'],
    ['null', '- must be object'],
  ])('%s: %s', (raw, expected) => {
    expect(judge(untyped, raw)).toBe(expected);
  });
});

describe('a key that a server could take for one that is judged is denied', () => {
  test.each(['Path', 'PATH', 'pat\u0048', 'path\\u0000', 'pa\\u200bth', 'ｐａｔｈ', 'path ', '\\u0050ath'])(
    '%s',
    (key) => {
      const schema = { properties: { path: { type: 'string', pattern: '^/data' } } };
      expect(judge(schema, `{"path":"/data","${key}":"/etc"}`)).toMatch(
        /could be mistaken for an argument that a rule reads$/,
      );
      expect(judge(schema, `{"${key}":"/etc"}`)).toMatch(/could be mistaken/);
    },
  );

  test.each([
    ['nested', { properties: { o: { properties: { path: { const: '/a' } } } } }, '{"o":{"Path":"/b"}}'],
    ['required only', { required: ['path'] }, '{"path":1,"PATH":2}'],
    ['in anyOf', { anyOf: [{ properties: { path: { const: 1 } } }] }, '{"Path":1}'],
    [
      'through $ref',
      { properties: { o: { $ref: '#/$defs/o' } }, $defs: { o: { properties: { path: { const: 1 } } } } },
      '{"o":{"Path":2}}',
    ],
    ['in items', { properties: { l: { items: { properties: { path: { const: 1 } } } } } }, '{"l":[{"Path":2}]}'],
    ['siblings under a rule for all', { additionalProperties: { type: 'number' } }, '{"a":1,"A":2}'],
  ])('%s', (_where, schema, raw) => {
    expect(judge(schema, raw)).toMatch(/could be mistaken/);
  });

  test('both spellings are fine when the rule names both, and elsewhere nobody cares', () => {
    expect(
      judge({ properties: { path: { type: 'string' }, Path: { type: 'string' } } }, '{"path":"a","Path":"b"}'),
    ).toBe('ok');
    expect(judge(TO, '{"to":"+44","other":{"a":1,"A":2},"B":1,"b":2}')).toBe('ok');
  });
});

describe('a number that parsing bends is denied where it is read, and only there', () => {
  const n = { properties: { n: { type: 'number' } } };
  test.each([
    '1e400',
    '-1e400',
    '9007199254740993',
    '0.1000000000000000055511151231257827',
    '1e-400',
    '123456789012345678901234567890',
  ])('%s', (literal) => {
    expect(judge(n, `{"n":${literal}}`)).toBe('n is a number that does not survive parsing');
    expect(judge(n, `{"other":${literal},"n":1}`)).toBe('ok');
    expect(judge({ properties: { a: { items: { type: 'number' } } } }, `{"a":[1,${literal}]}`)).toBe(
      'a.1 is a number that does not survive parsing',
    );
  });

  test.each([
    '0',
    '-0',
    '1.0',
    '1.50',
    '1e3',
    '1E+2',
    '9007199254740991',
    '9007199254740992',
    '0.1',
    '1e23',
    '5e-324',
    '100000000000000000000',
  ])('%s survives', (literal) => {
    expect(survivesParsing(literal)).toBe(true);
    expect(judge(n, `{ "x": "\\"{[1e400]}", "n" : ${literal} }`)).toBe('ok');
  });

  test('without the text as written, a number that may have been bent counts as bent', () => {
    const rule = compileArgumentRule(n);
    if ('length' in rule) throw new Error('does not compile');
    const check = (value: unknown) =>
      rule.check(new CallArguments({ ...call('t'), args: () => ({ n: value }), rawArgs: undefined }));
    expect(check(2 ** 53)?.field).toBe('n');
    expect(check(Number.POSITIVE_INFINITY)?.field).toBe('n');
    expect(check(5)).toBeUndefined();
  });
});

test.each(['"\\ud800"', '"a\\udc00b"', '["\\ud83d"]', '{"k":"\\udfff"}', '{"\\ud800":1}'])(
  'half a surrogate pair in %s is denied where it is read',
  (value) => {
    expect(judge({ properties: { a: { enum: [1] } } }, `{"a":${value}}`)).toMatch(/^a.* is not valid Unicode$/);
    expect(judge(TO, `{"to":"+44","other":${value}}`)).toBe('ok');
  },
);

describe('keys that objects inherit', () => {
  test.each(['constructor', 'toString', 'hasOwnProperty', 'valueOf', 'isPrototypeOf'])('%s', (key) => {
    expect(judge({ required: [key] }, '{}')).toBe(`${key} is required`);
    expect(judge({ properties: { [key]: { type: 'string' } } }, '{}')).toBe('ok');
    expect(judge({ properties: { [key]: { type: 'string' } } }, `{"${key}":1}`)).toBe(`${key} must be string`);
  });

  test('__proto__ in arguments is a key like any other', () => {
    expect(
      judge({ properties: { a: { type: 'string' } }, additionalProperties: false }, '{"__proto__":{"a":"x"}}'),
    ).toBe('__proto__ must NOT have additional properties');
    expect(judge({ required: ['a'] }, '{"__proto__":{"a":"x"}}')).toBe('a is required');
  });
});

describe('patterns', () => {
  test.each(['(a+)+$', '(a|aa)+$', '([a-z]+)*$', '(.*a){20}$', '^(a?){30}a{30}$'])(
    '%s takes no time on a hostile text',
    (pattern) => {
      const started = performance.now();
      judge({ properties: { a: { pattern } } }, JSON.stringify({ a: `${'a'.repeat(5000)}!` }));
      expect(performance.now() - started).toBeLessThan(2000);
    },
  );

  test.each([
    ['^safe$', 'evil\nsafe', false],
    ['^safe$', 'safe\n', false],
    ['^a.c$', 'a\nc', false],
    ['^\\d+$', '１２', false],
    ['^.$', '😀', true],
    ['^\\u0041$', 'A', true],
    ['safe', 'unsafe', true],
  ])('%s on %j: %s', (pattern, text, expected) => {
    expect(judge({ properties: { a: { pattern } } }, JSON.stringify({ a: text })) === 'ok').toBe(expected);
  });

  test('two patterns in one schema stay two patterns', () => {
    const schema = { properties: { a: { pattern: '^a$' }, b: { pattern: '^b$' } } };
    expect(judge(schema, '{"a":"a","b":"b"}')).toBe('ok');
    expect(judge(schema, '{"a":"a","b":"a"}')).toBe('b must match pattern "^b$"');
  });

  test('a text too long to judge denies, under not as well', () => {
    const long = JSON.stringify({ a: 'x'.repeat(70_000) });
    expect(judge({ properties: { a: { pattern: '^x' } } }, long)).toMatch(/^- error: a pattern judges at most/);
    expect(judge({ properties: { a: { not: { type: 'string', pattern: '^y' } } } }, long)).toMatch(
      /^- error: a pattern judges at most/,
    );
    expect(judge({ properties: { a: { format: 'email' } } }, long)).toMatch(/^- error: a format judges at most/);
  });
});

test.each([
  ['date-time', '2026-01-01T00:00:00Z', 'yesterday'],
  ['email', 'a@example.com', 'a@'],
  ['uuid', '6f0c1c8e-0d6e-4c53-9d39-3f6f3b0f7a11', '6f0c'],
  ['ipv4', '10.0.0.1', '10.0.0.256'],
  ['uri', 'https://a.example/x', 'not a uri'],
])('format %s', (format, good, bad) => {
  expect(judge({ properties: { a: { format } } }, JSON.stringify({ a: good }))).toBe('ok');
  expect(judge({ properties: { a: { format } } }, JSON.stringify({ a: bad }))).toBe(`a must match format "${format}"`);
  expect(judge({ properties: { a: { format } } }, '{"a":[]}')).toBe('a must be string');
});

describe('does not compile', () => {
  const deep = (levels: number): Schema => (levels === 0 ? {} : { properties: { a: deep(levels - 1) } });
  const wide = { properties: Object.fromEntries(Array.from({ length: 2001 }, (_, index) => [`p${index}`, {}])) };
  test.each<[string, Schema, RegExp]>([
    ['a remote $ref', { $ref: 'http://127.0.0.1:9/x.json' }, /^\$ref: a \$ref stays inside the rule/],
    ['a file $ref', { properties: { a: { $ref: 'file:///etc/passwd' } } }, /^properties.a.\$ref: a \$ref stays inside/],
    ['a $ref to nowhere', { properties: { a: { $ref: '#/$defs/no' } } }, /does not compile: can't resolve reference/],
    ['$id', { $id: 'https://x' }, /\$id is not supported/],
    [
      '$data',
      { properties: { a: { const: { $data: '1/b' } }, b: { maximum: 1, $data: 'x' } } },
      /\$data is not supported/,
    ],
    ['$dynamicRef', { $dynamicRef: '#a' }, /\$dynamicRef is not supported/],
    ['draft 7', { $schema: 'http://json-schema.org/draft-07/schema#' }, /JSON Schema 2020-12/],
    ['too deep', deep(40), /too large/],
    ['too wide', wide, /too large/],
    ['a misspelt keyword', { properties: { a: { patern: 'x' } } }, /unknown keyword "patern"; did you mean "pattern"/],
    ['an unknown format', { properties: { a: { format: 'emial' } } }, /unknown format "emial"; did you mean "email"/],
    ['look-around', { properties: { a: { pattern: '(?!x)' } } }, /invalid or unsupported Perl syntax.*RE2/],
    ['the m flag', { properties: { a: { pattern: '(?im)^a$' } } }, /the flag m is not supported/],
    ['not without a type', { properties: { a: { not: { pattern: '^x' } } } }, /name the type; add type: string/],
    ['another root type', { type: 'array' }, /arguments are always an object/],
    ['unbounded uniqueItems', { properties: { a: { uniqueItems: true } } }, /uniqueItems needs maxItems/],
    ['a wrong keyword value', { properties: { a: { minLength: 'x' } } }, /does not compile/],
    ['a pattern as key', { patternProperties: { '(': {} } }, /missing closing \)/],
  ])('%s', (_what, schema, expected) => {
    expect(problems(schema).join('\n')).toMatch(expected);
  });

  test('and says where in the file', () => {
    const source =
      'version: "2.0"\nname: a\ndefault: deny\ntools:\n  - match: a\n' +
      '    arguments:\n      properties:\n        to: { patern: x }\n';
    expect(problemsOf(source)).toEqual([
      expect.objectContaining({
        line: 8,
        column: 15,
        path: 'tools.0.arguments.properties.to.patern',
        hint: 'did you mean "pattern"?',
      }),
    ]);
  });
});

test('a $ref that never ends denies', () => {
  expect(
    judge({ properties: { a: { $ref: '#/$defs/l' } }, $defs: { l: { allOf: [{ $ref: '#/$defs/l' }] } } }, '{"a":1}'),
  ).toMatch(/error: /);
});
