import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeEntries, encodeEntries, type JournalEntry } from '../../../src/cluster/journal-entry.js';

const sequence = fc.nat({ max: 2 ** 40 });
/** Ids are the client's own: any text, any number. */
const requestId = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
);
const request = fc.record({ id: requestId, isToolCall: fc.boolean() });
const event = fc.record({
  sequence,
  bytes: fc.option(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    { nil: undefined },
  ),
  isNotification: fc.boolean(),
  answers: fc.option(requestId, { nil: undefined }),
});
const entry: fc.Arbitrary<JournalEntry> = fc.oneof(
  fc.record({
    kind: fc.constant('opened' as const),
    stream: sequence,
    isGeneral: fc.boolean(),
    requests: fc.array(request, { maxLength: 5 }),
    isFinished: fc.boolean(),
    forgottenUpTo: sequence,
  }),
  fc.record({
    kind: fc.constant('said' as const),
    stream: sequence,
    isGeneral: fc.boolean(),
    isWaiting: fc.boolean(),
    event,
  }),
  fc.record({ kind: fc.constant('attached' as const), stream: sequence }),
  fc.record({ kind: fc.constant('finished' as const), stream: sequence }),
  fc.record({ kind: fc.constant('asked' as const), request }),
  fc.record({ kind: fc.constant('settled' as const), id: requestId }),
  fc.record({
    kind: fc.constant('questionOpened' as const),
    question: fc.record({ clientId: requestId, upstreamId: fc.option(requestId, { nil: undefined }) }),
  }),
  fc.record({ kind: fc.constant('questionClosed' as const), clientId: requestId }),
  fc.record({
    kind: fc.constant('heard' as const),
    heard: fc.record({ eventId: fc.option(fc.string({ unit: 'binary' }), { nil: undefined }), sessionId: fc.string() }),
  }),
  fc.constant({ kind: 'reached' as const }),
);

test('entries are read as they were written, however many at once, whatever their ids and bytes', () => {
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), (written) => {
      expect(decodeEntries(encodeEntries(written))).toEqual(written);
    }),
    { numRuns: 1000 },
  );
});

describe('an event', () => {
  test('that is empty is not one that is missing', () => {
    const facts = { sequence: 1, isNotification: true, answers: undefined };
    const said = { kind: 'said', stream: 0, isGeneral: true, isWaiting: false } as const;
    const [empty] = decodeEntries(encodeEntries([{ ...said, event: { ...facts, bytes: Buffer.alloc(0) } }]));
    const [missing] = decodeEntries(encodeEntries([{ ...said, event: { ...facts, bytes: undefined } }]));
    expect(empty).toMatchObject({ event: { bytes: Buffer.alloc(0) } });
    expect(missing).toHaveProperty('event.bytes', undefined);
  });

  test('that answers the request with the id 0 or "" is an answer', () => {
    for (const answers of [0, '']) {
      const facts = { sequence: 1, isNotification: false, answers, bytes: Buffer.from('x') };
      const said = { kind: 'said', stream: 0, isGeneral: true, isWaiting: false, event: facts } as const;
      expect(decodeEntries(encodeEntries([said]))[0]).toHaveProperty('event.answers', answers);
    }
  });
});

test('an entry of a kind that only another version knows is passed over', () => {
  const text = '[{"k":"z","t":5,"l":3},{"k":"s","t":0,"q":7,"l":2}]\nold42';
  expect(decodeEntries(Buffer.from(text))).toMatchObject([
    { kind: 'said', event: { sequence: 7, bytes: Buffer.from('42') } },
  ]);
});
