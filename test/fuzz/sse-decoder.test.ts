import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SseDecoder } from '../../src/protocol/sse-decoder.js';

const numRuns = Number(process.env.FUZZ_RUNS ?? 1000);

const piece = fc.oneof(
  fc.constantFrom('data', 'data:', 'data: ', 'event: ', 'event', 'id: ', 'id', 'retry: ', 'retry', ': c', ':', 'foo: '),
  fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\r', '\r\n\r\n'),
  fc.constantFrom('\0', '\ufeff', ' ', ':', 'é', '☃', '12', '1.5', 'message', '{"a":1}'),
  fc.string({ maxLength: 5 }),
);
const stream = fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.from(`${pieces.join('')}\n:\n`));
const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 12 });

/** [event, data, id set by the event itself], and retries as [ms]. */
type Seen = readonly (string | number | undefined)[];

/** The reference works on text; Latin-1 lets every byte through unchanged. */
function readByReference(bytes: Buffer): Seen[] {
  const seen: Seen[] = [];
  let lastEventId: string | undefined;
  const parser = createParser({
    onEvent: ({ event, data, id }) => {
      if (id !== undefined) lastEventId = id === '' ? undefined : utf8(id);
      seen.push([utf8(event ?? 'message'), data, lastEventId]);
    },
    onRetry: (ms) => seen.push([ms]),
  });
  parser.feed(bytes.toString('latin1'));
  return seen;
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8');
}

function readByOurs(bytes: Buffer, at: readonly number[]): Seen[] {
  const seen: Seen[] = [];
  const decoder = new SseDecoder(
    {
      onEvent: ({ event, data, lastEventId }) => seen.push([event, data.toString('latin1'), lastEventId]),
      onRetry: (ms) => seen.push([ms]),
    },
    1 << 20,
  );
  const offsets = [0, ...at.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length];
  for (let i = 1; i < offsets.length; i += 1) {
    // A copy, so that a view into an overwritten chunk would show.
    decoder.push(Buffer.from(bytes.subarray(offsets[i - 1], offsets[i])));
  }
  return seen;
}

/** The reference hands out events with empty data, and forgets the id of an event that has none. */
function withoutEmpty(seen: readonly Seen[]): readonly Seen[] {
  return seen.filter((entry) => entry.length === 1 || entry[1] !== '');
}

function isComparable(bytes: Buffer): boolean {
  const text = bytes.toString('latin1').replaceAll(/\r\n?/g, '\n');
  return !text.split(/\n\n+/).some((block) => /^id/m.test(block) && !/^data/m.test(block));
}

test('reads the same events as eventsource-parser, however the stream is cut', () => {
  fc.assert(
    fc.property(stream, cuts, (bytes, at) => {
      fc.pre(isComparable(bytes));
      expect(readByOurs(bytes, at)).toEqual(withoutEmpty(readByReference(bytes)));
    }),
    { numRuns },
  );
});

test('does not care where the stream is cut', () => {
  fc.assert(
    fc.property(stream, cuts, (bytes, at) => {
      expect(readByOurs(bytes, at)).toEqual(readByOurs(bytes, []));
    }),
    { numRuns },
  );
});

test('arbitrary bytes throw nothing, and no data holds a CR', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), cuts, (bytes, at) => {
      for (const entry of readByOurs(Buffer.from(bytes), at)) expect(String(entry[1])).not.toContain('\r');
    }),
    { numRuns },
  );
});
