import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { interpolate } from '../../../src/config/interpolate.js';
import { lines, load, ONE } from './helpers.js';

const directory = mkdtempSync(join(tmpdir(), 'config-'));
writeFileSync(join(directory, 'token'), 'abc\n');
writeFileSync(join(directory, 'crlf'), 'abc\n\r\n');
writeFileSync(join(directory, 'large'), 'x'.repeat(70_000));
writeFileSync(join(directory, 'binary'), Buffer.from([0xff]));

function expand(text: string, env: Record<string, string> = {}, envPrefix = false) {
  return interpolate(text, { env, baseDir: directory, envPrefix });
}

describe('expands', () => {
  test.each([
    ['${A}', 'one'],
    ['x${A}y${A}', 'xoneyone'],
    ['${EMPTY}', ''],
    ['${NONE:-default}', 'default'],
    ['${EMPTY:-default}', 'default'],
    ['${A:-default}', 'one'],
    ['${NONE:-}', ''],
    ['${NONE:-a:-b}', 'a:-b'],
    ['${A:?needed}', 'one'],
    ['$${A}', '${A}'],
    ['$$${A}', '$${A}'],
    ['$A $ {A}', '$A $ {A}'],
    ['${file:token}', 'abc'],
    ['${file:./crlf}', 'abc\n'],
    [`\${file:${directory}/token}`, 'abc'],
    ['${DOLLAR}', '${A}'],
  ])('%s', (text, expected) => {
    expect(expand(text, { A: 'one', EMPTY: '', DOLLAR: '${A}' })).toMatchObject({ text: expected, complaints: [] });
  });

  test('${env:X} in the maps of clients only', () => {
    expect(expand('${env:A}', { A: '1' }, true).text).toBe('1');
    expect(expand('${env:A}', { A: '1' }).complaints[0]?.message).toBe('${env:A} is known in mcpServers only');
  });
});

describe('complains about', () => {
  test.each([
    ['${NONE}', 'environment variable NONE is not set'],
    ['${NONE:?set it in .env}', 'environment variable NONE: set it in .env'],
    ['${NONE:?}', 'environment variable NONE: must be set'],
    ['${}', '"${...}" holds no variable name'],
    ['${a b}', '"${...}" holds no variable name'],
    ['${toString', '"${" without "}"'],
    ['${A:-${B}}', 'the default of ${A} cannot hold another variable'],
    ['${input:key}', 'prompted inputs are not supported'],
    ['${file:none}', `cannot read ${directory}/none: no such file`],
    ['${file:.}', `cannot read ${directory}: it is a directory`],
    ['${file:large}', `${directory}/large is larger than 65536 bytes`],
    ['${file:binary}', `cannot read ${directory}/binary: it is not UTF-8 text`],
    ['${constructor}', 'environment variable constructor is not set'],
  ])('%s', (text, message) => {
    expect(expand(text).complaints.map((each) => each.message)).toEqual([message]);
  });
});

describe('in a file', () => {
  test('numbers and booleans from variables are what their key asks for', () => {
    const { server, upstreams } = load(
      'server:\n  port: ${P}\n  insecure: ${I}\n  host: ${H:-0.0.0.0}\n  limits:\n    bodyBytes: ${B}\nupstreams:\n  - url: http://a.com\n    headers:\n      x: ${P}\n',
      {
        env: { P: '0080', I: 'true', B: '4096' },
      },
    );
    expect(server).toMatchObject({ port: 80, insecure: true, limits: { bodyBytes: 4096 } });
    expect(upstreams[0]?.headers['x']).toBe('0080');
  });

  test('a quoted one stays text', () =>
    expect(lines(`${ONE}server: { port: "\${P}" }`, { env: { P: '80' } })).toEqual([
      'g.yaml:2:17: expected a whole number',
    ]));

  test('a value cannot add keys or list items', () => {
    const text = 'upstreams:\n  - url: http://a.com\n    headers: { x: "${X}" }\n    onLoss: ${Y}\n';
    expect(lines(text, { env: { X: 'a\n    required: true', Y: 'close, required: true' } })).toEqual([
      'g.yaml:3:16: the value holds characters that a header cannot carry',
      'g.yaml:4:13: must be one of reinitialize, close',
    ]);
  });

  test('all that is missing is named at once, and no value is shown', () => {
    const text = 'upstreams:\n  - url: ${U}\n    transport: ${T}\n    headers: { a: "${X}", b: "${Y:?why}" }\n';
    const found = lines(text, { env: { U: 'secret-canary', T: 'secret-canary' } });
    expect(found).toEqual([
      'g.yaml:2:10: not a URL; write it with its scheme, such as https://mcp.example.com/sse',
      'g.yaml:3:16: must be one of auto, sse, streamable-http',
      'g.yaml:4:19: environment variable X is not set (set it, or write ${X:-default})',
      'g.yaml:4:30: environment variable Y: why',
    ]);
  });

  test('keys are never expanded', () =>
    expect(lines(`${ONE}"\${A}": 1`, { env: { A: 'server' } })[0]).toMatch(/^g\.yaml:2:1: unknown key "\$\{A\}"/));
});

test('file names and addresses from variables are not shown either', () => {
  const text =
    'server: { host: "${X}", tls: { certFile: "${X}", keyFile: "${X}" } }\ninclude: ["${X}", "${X}/*.yaml"]\n';
  const found = lines(text, { env: { X: 'canary' } });
  expect(found).toHaveLength(4);
  expect(found.join()).not.toContain('canary');
});
