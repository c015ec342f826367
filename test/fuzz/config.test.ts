import * as fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import { ConfigError, type Problem } from '../../src/config/problem.js';
import { RESERVED_PREFIXES } from '../../src/config/prefix.js';
import { PREFIX_PATTERN } from '../../src/upstream/options.js';

const CANARY = 'canary-5d41402a';
const env = { TOKEN: CANARY, PORT: '81', MODE: 'sse', URL: `https://${CANARY}.example.com/sse` };

const VALID = `
version: 1
server:
  host: 127.0.0.1
  port: \${PORT}
  publicUrl: /base
  limits: { bodyBytes: 4MiB, jsonDepth: 64 }
  sessions: { resumeGrace: 2m }
include: ["none/*.yaml"]
upstreams:
  - https://mcp.sumit.com/sms/sse
  - url: https://api.company.com/v1/sse
    headers: { Authorization: "Bearer \${TOKEN}" }
    forwardHeaders: [x-request-id]
    transport: \${MODE}
    timeouts: &t { connect: 5s }
  - { url: "\${URL}", prefix: third, timeouts: *t }
mcpServers:
  weather: { type: http, url: "https://w.com/mcp", headers: { X-A: "\${env:TOKEN}" }, timeout: 60000 }
default: company
logging: { level: info }
`;

/** A configuration that keeps its promises, or problems that say where. Anything else is a bug. */
function checkOutcome(text: string | Uint8Array): 'config' | 'problems' {
  try {
    const config = parseConfig(text, 'g.yaml', { env, cwd: '/nonexistent' });
    const prefixes = config.upstreams.map((each) => each.prefix);
    expect(new Set(prefixes).size).toBe(prefixes.length);
    for (const prefix of prefixes) {
      expect(prefix).toMatch(PREFIX_PATTERN);
      expect(RESERVED_PREFIXES.has(prefix)).toBe(false);
    }
    if (config.defaultRoute !== undefined) expect(prefixes).toContain(config.defaultRoute);
    expect(Number.isInteger(config.server.port)).toBe(true);
    expect(
      config.server.insecure || ['127.', 'loca', '::1'].some((start) => config.server.host.startsWith(start)),
    ).toBe(true);
    return 'config';
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems.length).toBeGreaterThan(0);
    for (const problem of error.problems) checkProblem(problem);
    return 'problems';
  }
}

function checkProblem(problem: Problem): void {
  expect(problem.file).toBe('g.yaml');
  expect(problem.line).toBeGreaterThan(0);
  expect(problem.column).toBeGreaterThan(0);
  expect(problem.message).not.toBe('');
  expect(problem.message).not.toMatch(/Invalid input|undefined|\[object/);
  expect(JSON.stringify(problem)).not.toContain(CANARY);
}

const runs = (count: number) => ({ numRuns: Number(process.env['FUZZ_RUNS'] ?? count) });
const garbage = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom(
    '${',
    '${TOKEN}',
    '${NONE}',
    '$${',
    '*t',
    '&t',
    '- ',
    ': ',
    '\n',
    '\t',
    '[',
    '{',
    '"',
    '---\n',
    '<<: *t\n',
    '!!x ',
    '__proto__: 1\n',
    '? ',
  ),
);

test('the starting point is valid', () => expect(checkOutcome(VALID)).toBe('config'));

test('text with bits cut, added and repeated is a configuration or problems with positions', () => {
  const edit = fc.tuple(fc.nat(VALID.length), fc.nat(12), garbage);
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      let text = VALID;
      for (const [at, cut, added] of edits) text = text.slice(0, at) + added + text.slice(at + cut);
      checkOutcome(text);
    }),
    runs(400),
  );
});

test('any value at any place is a configuration or problems with positions', () => {
  const plain: unknown = parse(VALID);
  const paths = collectPaths(plain);
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom(
      null,
      '',
      '0',
      -1,
      Number.POSITIVE_INFINITY,
      0.5,
      '5s',
      '-5s',
      '1MiB',
      'https://a.com',
      'http://a.com/#',
      '${TOKEN}',
      '${NONE:?x}',
      'no',
      {},
      [],
      [[]],
    ),
  );
  fc.assert(
    fc.property(fc.constantFrom(...paths), value, (path, replacement) => {
      const config: unknown = JSON.parse(JSON.stringify(plain));
      replaceAt(config, path, replacement);
      checkOutcome(stringify(config));
    }),
    runs(400),
  );
});

test('any YAML is a configuration or problems with positions', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => void checkOutcome(stringify(value))),
    runs(300),
  );
});

test('any bytes are a configuration or problems with positions', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void checkOutcome(bytes)),
    runs(300),
  );
});

function collectPaths(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  const below = entries.flatMap(([key, item]) => collectPaths(item, [...path, key]));
  return path.length === 0 ? below : [path, ...below];
}

function replaceAt(target: unknown, path: readonly (string | number)[], value: unknown): void {
  const [part = '', ...rest] = path;
  const fields = target as Record<string | number, unknown>;
  if (rest.length === 0) fields[part] = value;
  else replaceAt(fields[part], rest, value);
}
