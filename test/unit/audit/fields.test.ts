import { describe, expect, test } from 'vitest';
import { keepArguments } from '../../../src/audit/arguments.js';
import { capped, cappedAndRedacted } from '../../../src/audit/field-text.js';
import { AuditKey } from '../../../src/audit/key.js';
import { auditOptions } from '../../../src/audit/options.js';
import { escapeInvisible } from '../../../src/audit/record.js';

const key = new AuditKey('a secret');

describe('capped', () => {
  test.each([undefined, '', 'x'.repeat(8192), 'é'.repeat(4096)])('leaves what fits as it is', (text) => {
    expect(capped(text)).toBe(text);
  });

  test.each(['x', 'é', '日', '😀', '\u0000', '\u202e', '"', '\ud800'])(
    'cuts a megabyte of %j to 8 KiB as written',
    (unit) => {
      const text = unit.repeat(1024 * 1024);
      const cut = capped(text) ?? '';
      const bytes = Buffer.byteLength(escapeInvisible(JSON.stringify(cut))) - 2;
      expect(bytes).toBeLessThanOrEqual(8192);
      expect(bytes).toBeGreaterThan(7000);
      expect(cut).toContain(`...[cut, ${text.length} characters]`);
    },
  );

  test('cuts at 8193 bytes', () => {
    expect(capped('x'.repeat(8193))).toContain('...[cut, 8193 characters]');
  });

  test('a secret on the edge of the cut is recognised first', () => {
    const text = `${'x '.repeat(4090)}Bearer ${'s3cr3t'.repeat(10)}`;
    expect(cappedAndRedacted(text)).not.toContain('s3cr');
  });
});

describe('keepArguments', () => {
  const bytes = Buffer.from('{"to":"+441234","password":"hunter2"}');

  test('none keeps nothing', () => {
    expect(keepArguments('none', key, bytes)).toEqual({});
  });

  test('hash keeps a keyed hash: equal for equal bytes, of no use without the key', () => {
    const { argsHash } = keepArguments('hash', key, bytes);
    expect(argsHash).toMatch(/^[0-9a-f]{64}$/);
    expect(keepArguments('hash', new AuditKey('a secret'), Buffer.from(bytes))).toEqual({ argsHash });
    expect(keepArguments('hash', new AuditKey('another'), bytes).argsHash).not.toBe(argsHash);
    expect(keepArguments('hash', key, Buffer.from('{}')).argsHash).not.toBe(argsHash);
    expect(key.hashRecord(bytes)).not.toBe(argsHash);
  });

  test('redact keeps a copy without secrets', () => {
    expect(keepArguments('redact', key, bytes)).toEqual({ args: { to: '+441234', password: '[redacted]' } });
  });

  test.each([
    ['not JSON', '{"a":', '[not JSON]'],
    ['too large to parse', JSON.stringify({ a: 'x'.repeat(70_000) }), '[too large: 70008 bytes]'],
    ['too large to keep', JSON.stringify({ a: 'x'.repeat(9000) }), '[too large: 9008 bytes]'],
  ])('redact says when arguments are %s', (_what, text, args) => {
    expect(keepArguments('redact', key, Buffer.from(text))).toEqual({ args });
  });
});

describe('auditOptions', () => {
  test('defaults', () => {
    expect(auditOptions.parse({})).toEqual({ file: './audit/audit.jsonl', mode: 'best-effort', arguments: 'hash' });
  });

  test.each([{ mode: 'sometimes' }, { arguments: 'all' }, { key: '' }, { file: '' }, { path: 'x' }])(
    'refuses %j',
    (input) => {
      expect(auditOptions.safeParse(input).success).toBe(false);
    },
  );
});
