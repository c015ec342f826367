import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { AuditChain, CHAIN_START, GENESIS_HASH } from '../../../src/audit/chain.js';
import { AuditKey } from '../../../src/audit/key.js';
import { readRecord } from '../../../src/audit/read-record.js';
import { canonicalText, type RecordFields } from '../../../src/audit/record.js';

const place = { ts: '2026-01-02T03:04:05.678Z', seq: 7, prev: GENESIS_HASH, replica: 'r1' };
const everyField: RecordFields = {
  event: 'decision',
  decisionId: 'd',
  route: 'sumit',
  principal: 'p',
  role: 'user',
  tenant: 't',
  session: 's',
  method: 'tools/call',
  tool: 'x',
  argsHash: 'h',
  args: { b: 1, a: [2] },
  effect: 'deny',
  would: 'deny',
  layer: 'role',
  rule: 'r',
  reason: 'why',
  policyHash: 'ph',
  outcome: 'denied',
  latencyMs: 1.5,
  traceId: 'tr',
  count: 1,
  keyId: 'k',
  lost: 2,
  tornBytes: 3,
};

describe('canonicalText', () => {
  test('is compact JSON of every field, sorted by name', () => {
    const text = canonicalText(place, everyField);
    const parsed: Record<string, unknown> = JSON.parse(text);
    expect(parsed).toEqual({ ...everyField, ...place });
    expect(Object.keys(parsed)).toEqual(Object.keys(parsed).toSorted());
    expect(text).toBe(JSON.stringify(parsed));
  });

  test.each([0, -0, 1e21, 1e-7, 0.1, 1.797e308, Number.POSITIVE_INFINITY, Number.NaN])(
    'writes %d as JSON does',
    (latencyMs) => {
      const text = canonicalText(place, { event: 'decision', latencyMs });
      expect(text).toContain(`"latencyMs":${JSON.stringify(latencyMs)},`);
    },
  );

  test('leaves out what is undefined', () => {
    expect(canonicalText(place, { event: 'decision', tool: undefined })).toBe(
      `{"event":"decision","prev":"${GENESIS_HASH}","replica":"r1","seq":7,"ts":"2026-01-02T03:04:05.678Z"}`,
    );
  });

  test.each([
    ['a line feed', '\n', '\\n'],
    ['a carriage return', '\r', '\\r'],
    ['the escape of terminal colours', '\u001b[31m', '\\u001b[31m'],
    ['a NUL', '\u0000', '\\u0000'],
    ['delete', '\u007f', '\\u007f'],
    ['a C1 control', '\u009b', '\\u009b'],
    ['a line separator', '\u2028', '\\u2028'],
    ['right-to-left override', '\u202e', '\\u202e'],
    ['an isolate', '\u2066', '\\u2066'],
    ['the Arabic letter mark', '\u061c', '\\u061c'],
    ['a zero-width space', '\u200b', '\\u200b'],
    ['a byte order mark', '\ufeff', '\\ufeff'],
    ['a tag character', '\u{e0041}', '\\udb40\\udc41'],
    ['a lone surrogate', '\ud800', '\\ud800'],
  ])('escapes %s, in names and inside arguments', (_what, character, escaped) => {
    const text = canonicalText(place, { event: 'decision', tool: `a${character}b`, args: { [character]: character } });
    expect(text).toContain(`"tool":"a${escaped}b"`);
    expect(text).toContain(`"args":{"${escaped}":"${escaped}"}`);
    expect(JSON.parse(text)).toMatchObject({ tool: `a${character}b` });
  });

  test('leaves ordinary text of any language readable', () => {
    expect(canonicalText(place, { event: 'decision', tool: 'Grüße 日本語 😀' })).toContain('Grüße 日本語 😀');
  });
});

describe('AuditChain', () => {
  const key = new AuditKey('a secret');

  test('hashes the line without its hash member, so that standard tools can check it', () => {
    const line = new AuditChain(key, 'r1', CHAIN_START).seal(place.ts, { event: 'decision', tool: 'naïve \u202e' });
    const match = /^(.*),"hash":"([0-9a-f]{64})"\}\n$/u.exec(line);
    expect(createHmac('sha256', 'a secret').update(`${match?.[1]}}`).digest('hex')).toBe(match?.[2]);
  });

  test('numbers records from 1 and names the hash before', () => {
    const chain = new AuditChain(key, 'r1', CHAIN_START);
    const first = JSON.parse(chain.seal(place.ts, { event: 'decision' }));
    const second = JSON.parse(chain.seal(place.ts, { event: 'decision' }));
    expect(first).toMatchObject({ seq: 1, prev: GENESIS_HASH });
    expect(second).toMatchObject({ seq: 2, prev: first.hash });
  });
});

describe('readRecord', () => {
  const key = new AuditKey('a secret');
  const sealed = (fields: RecordFields) =>
    Buffer.from(new AuditChain(key, 'r1', CHAIN_START).seal(place.ts, fields).trimEnd());

  test('reads what was sealed', () => {
    expect(readRecord(sealed({ event: 'gap', reason: 'dropped', lost: 3 }), key)).toEqual({
      ok: true,
      record: {
        seq: 1,
        prev: GENESIS_HASH,
        hash: expect.stringMatching(/^[0-9a-f]{64}$/),
        event: 'gap',
        reason: 'dropped',
        lost: 3,
      },
    });
  });

  test('notices every changed, added and removed byte', () => {
    const line = sealed(everyField);
    for (let i = 0; i < line.length; i += 1) {
      const changed = Buffer.from(line);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(readRecord(changed, key).ok).toBe(false);
      expect(readRecord(Buffer.concat([line.subarray(0, i), line.subarray(i + 1)]), key).ok).toBe(false);
      expect(readRecord(Buffer.concat([line.subarray(0, i), Buffer.from(' '), line.subarray(i)]), key).ok).toBe(false);
    }
  });

  test('does not take one encoding for another: invalid UTF-8 is not the replacement character', () => {
    const line = sealed({ event: 'decision', tool: '\ufffd' });
    const changed = Buffer.from(line.toString('latin1').replace('\u00ef\u00bf\u00bd', '\u00ff'), 'latin1');
    expect(changed.toString()).toBe(line.toString());
    expect(readRecord(changed, key).ok).toBe(false);
  });

  test.each(['', '{}', 'null', '[]', '"x"', '['.repeat(300_000), `{"seq":5,"hash":"${'0'.repeat(64)}"}`])(
    'refuses what is no record: %.20s',
    (text) => {
      expect(readRecord(Buffer.from(text), key).ok).toBe(false);
    },
  );

  test('refuses a record of another key', () => {
    expect(readRecord(sealed({ event: 'decision' }), new AuditKey('another'))).toEqual({ ok: false, seq: 1 });
  });
});
