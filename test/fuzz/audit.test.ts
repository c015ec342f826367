import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AuditContext, AuditLog } from '../../src/audit/audit-log.js';
import type { AuditEvent } from '../../src/audit/event.js';
import { AuditKey } from '../../src/audit/key.js';
import { readRecord } from '../../src/audit/read-record.js';

const key = new AuditKey('a secret of the tests');

const hostileCharacter = fc.constantFrom(
  '\n',
  '\r',
  '\u2028',
  '\u0000',
  '\u001b',
  '"',
  '\\',
  '}',
  ',',
  '\u202e',
  '\u{e0041}',
  '\ud800',
  '\udc41',
  '😀',
  'a',
);
const forgery = fc.constantFrom('"}\n{"event":"decision"}', `x","hash":"${'0'.repeat(64)}"}`, '__proto__');
const endless = fc.constantFrom('x'.repeat(20_000), '\u202e'.repeat(20_000));

/** Text that tries to end lines, forge records, hide or turn around. What is endless costs most of the time, so it is rarer: one in 25. */
const text = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 8, arbitrary: fc.string({ unit: hostileCharacter, maxLength: 40 }) },
  { weight: 8, arbitrary: forgery },
  { weight: 1, arbitrary: endless },
);

const maybe = fc.option(text, { nil: undefined });
const event: fc.Arbitrary<AuditEvent> = fc.record({
  event: fc.constantFrom('decision', 'session_open', 'anomaly'),
  decisionId: maybe,
  route: maybe,
  principal: maybe,
  role: maybe,
  tenant: maybe,
  session: maybe,
  method: maybe,
  tool: maybe,
  rule: maybe,
  reason: maybe,
  policyHash: maybe,
  traceId: maybe,
  latencyMs: fc.option(fc.double(), { nil: undefined }),
  arguments: fc.option(
    fc.oneof(
      fc.uint8Array({ maxLength: 50 }),
      fc.json().map((json) => new TextEncoder().encode(json)),
    ),
    { nil: undefined },
  ),
});

/** Writes events through a file in memory. @returns what stands in it */
async function written(events: readonly AuditEvent[], mode: 'hash' | 'redact'): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const context: AuditContext = {
    replica: 'r1',
    openFile: async () => ({
      write: async (bytes) => chunks.push(Buffer.from(bytes)) && bytes.length,
      sync: async () => undefined,
      close: async () => undefined,
    }),
  };
  const options = {
    file: '/nonexistent/audit.jsonl',
    key: 'a secret of the tests',
    mode: 'best-effort',
    arguments: mode,
  } as const;
  const log = await AuditLog.open(options, context);
  for (const each of events) log.record(each);
  await log.flush();
  const bytes = Buffer.concat(chunks);
  await log.close();
  return bytes;
}

// Everything but printable characters and ordinary letters: what could break a line or hide in it.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
// Of the class Cf, marks that scripts need and that neither hide nor turn anything.
const HARMLESS =
  /[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}\u{13430}-\u{1345f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}]/gu;

test('whatever the fields hold, every event is one line that parses, is exact, and shows nothing unseen', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { minLength: 1, maxLength: 5 }),
      fc.constantFrom('hash', 'redact'),
      async (events, mode) => {
        const bytes = await written(events, mode);
        const lines = bytes.toString().split('\n');
        expect(lines.pop()).toBe('');
        expect(lines).toHaveLength(events.length);
        for (const [index, line] of lines.entries()) {
          expect(readRecord(Buffer.from(line), key)).toMatchObject({ ok: true, record: { seq: index + 1 } });
          expect(JSON.parse(line)).toMatchObject({ event: events[index]?.event });
          expect(UNSEEN.test(line.replace(HARMLESS, ''))).toBe(false);
          expect(Buffer.byteLength(line)).toBeLessThan(1024 * 1024);
          const names = Object.keys(JSON.parse(line)).slice(0, -1);
          expect(names).toEqual(names.toSorted());
        }
      },
    ),
    { numRuns: 1500 },
  );
});

test('short fields arrive as they were sent', async () => {
  const short = fc.string({ unit: 'binary', maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(short, short, async (principal, rule) => {
      const line = (await written([{ event: 'decision', principal, rule }], 'hash')).toString();
      const parsed: Record<string, unknown> = JSON.parse(line);
      expect([parsed['principal'], parsed['rule']]).toEqual([principal, rule]);
    }),
    { numRuns: 1000 },
  );
});
