import { describe, expect, test } from 'vitest';
import { SseDecoder, SseEventTooLargeError } from '../../../src/protocol/sse-decoder.js';

type Seen =
  | [kind: 'event', event: string, data: string, lastEventId: string | undefined]
  | [kind: 'empty', lastEventId: string | undefined]
  | [kind: 'retry', ms: number]
  | [kind: 'comment'];

function decode(chunks: readonly (string | Buffer)[], maxEventBytes = 10_000): Seen[] {
  const seen: Seen[] = [];
  const decoder = new SseDecoder(
    {
      onEvent: ({ event, data, lastEventId }) => seen.push(['event', event, data.toString(), lastEventId]),
      onEmptyEvent: (lastEventId) => seen.push(['empty', lastEventId]),
      onRetry: (ms) => seen.push(['retry', ms]),
      onComment: () => seen.push(['comment']),
    },
    maxEventBytes,
  );
  for (const chunk of chunks) decoder.push(Buffer.from(chunk as string));
  return seen;
}

function message(data: string, lastEventId?: string): Seen {
  return ['event', 'message', data, lastEventId];
}

describe('fields', () => {
  test.each<[string, string, Seen[]]>([
    ['one event', 'data: x\n\n', [message('x')]],
    ['a named event', 'event: endpoint\ndata: /messages\n\n', [['event', 'endpoint', '/messages', undefined]]],
    ['a name beyond the usual', 'event: é\ndata: x\n\n', [['event', 'é', 'x', undefined]]],
    ['an empty name', 'event: a\nevent:\ndata: x\n\n', [message('x')]],
    ['a name is for one event', 'event: a\ndata: x\n\ndata: y\n\n', [['event', 'a', 'x', undefined], message('y')]],
    ['a name without data', 'event: a\n\ndata: x\n\n', [message('x')]],
    ['no space behind the colon', 'data:x\n\n', [message('x')]],
    ['one space of two is dropped', 'data:  x\n\n', [message(' x')]],
    ['a colon in the value', 'data: a:b\n\n', [message('a:b')]],
    ['data of several lines', 'data: a\ndata:\ndata: b\ndata\n\n', [message('a\n\nb\n')]],
    ['data that is two empty lines', 'data\ndata\n\n', [message('\n')]],
    [
      'fields nobody knows',
      'foo: 1\ndatax: 2\ndat: 3\nDATA: 4\n data: 5\nidx: 6\n:\ndata: x\n\n',
      [['comment'], message('x')],
    ],
    ['an id', 'id: 1\ndata: x\n\n', [message('x', '1')]],
    ['an id lasts', 'id: 1\ndata: x\n\ndata: y\n\n', [message('x', '1'), message('y', '1')]],
    ['an empty id resets', 'id: 1\ndata: x\n\nid\ndata: y\n\n', [message('x', '1'), message('y')]],
    ['an id with NUL is ignored', 'id: 1\ndata: x\n\nid: 2\0\ndata: y\n\n', [message('x', '1'), message('y', '1')]],
    ['an id after the data', 'data: x\nid: 1\n\n', [message('x', '1')]],
    ['retry', 'retry: 1500\n', [['retry', 1500]]],
    ['retry of digits only', 'retry: 1s\nretry: -1\nretry: 1.5\nretry:\nretry\nretry:  1\n', []],
    ['a retry beyond all numbers', `retry: ${'9'.repeat(400)}\n`, [['retry', Number.MAX_SAFE_INTEGER]]],
    ['comments', ':\n: keepalive\n:data: x\n\n', [['comment'], ['comment'], ['comment']]],
    ['an unfinished event is none', 'data: x\n', []],
    ['an unfinished line is none', 'data: x', []],
    ['blank lines', '\n\n\n\n', []],
  ])('%s', (_name, stream, expected) => {
    expect(decode([stream])).toEqual(expected);
    expect(decode(Array.from(Buffer.from(stream), (byte) => Buffer.from([byte])))).toEqual(expected);
  });
});

describe('events without data', () => {
  test('tell the id to resume from', () => {
    expect(decode(['id: p1\ndata:\n\n'])).toEqual([['empty', 'p1']]);
    expect(decode(['id: p1\ndata: \n\n'])).toEqual([['empty', 'p1']]);
    expect(decode(['id: p1\n\ndata: x\n\n'])).toEqual([['empty', 'p1'], message('x', 'p1')]);
  });

  test('tell when the id was reset', () => {
    expect(decode(['id: p1\n\nid\n\n'])).toEqual([
      ['empty', 'p1'],
      ['empty', undefined],
    ]);
  });

  test('are seen without an id too', () => {
    expect(decode(['data\n\n'])).toEqual([['empty', undefined]]);
  });
});

describe('line ends', () => {
  test.each(['\n', '\r', '\r\n'])('%j', (end) => {
    const stream = ['id: 1', 'data: a', 'data: b', '', ': c', 'data: d', '', ''].join(end);
    const expected = [message('a\nb', '1'), ['comment'], message('d', '1')];
    expect(decode([stream])).toEqual(expected);
    for (let cut = 0; cut <= stream.length; cut += 1) {
      expect(decode([stream.slice(0, cut), '', stream.slice(cut)])).toEqual(expected);
    }
  });

  test('may be mixed', () => {
    expect(decode(['data: a\rdata: b\r\ndata: c\n\r\ndata: d\n\r'])).toEqual([message('a\nb\nc'), message('d')]);
  });

  test('need no second byte: an event that ends in CR is handed out at once', () => {
    expect(decode(['data: a\r\r'])).toEqual([message('a')]);
  });
});

describe('a byte order mark', () => {
  const mark = Buffer.from([0xef, 0xbb, 0xbf]);

  test('is skipped at the start, in one piece or in three', () => {
    const stream = Buffer.concat([mark, Buffer.from('data: x\n\n')]);
    expect(decode([stream])).toEqual([message('x')]);
    expect(decode(Array.from(stream, (byte) => Buffer.from([byte])))).toEqual([message('x')]);
  });

  test('is part of the line anywhere else', () => {
    expect(decode([Buffer.concat([mark, mark, Buffer.from('data: x\n\n')])])).toEqual([]);
    expect(decode(['data: x\n\n', mark, 'data: y\n\n'])).toEqual([message('x')]);
  });
});

describe('sizes', () => {
  test('an event of the largest size passes, one byte more does not', () => {
    expect(decode([`data:${'x'.repeat(95)}\n\n`], 100)).toEqual([message('x'.repeat(95))]);
    expect(() => decode([`data:${'x'.repeat(96)}\n\n`], 100)).toThrow(SseEventTooLargeError);
  });

  test.each([
    ['a line without end', ['x'.repeat(60), 'x'.repeat(60)]],
    ['a comment without end', [`:${'x'.repeat(101)}`]],
    ['a name', [`event: ${'x'.repeat(101)}\n`]],
    ['a line that ends in a later chunk', ['x'.repeat(99), `${'x'.repeat(10)}\n`]],
    ['data of many lines', [`data: ${'x'.repeat(40)}\n`, `data: ${'x'.repeat(40)}\n`, `data: ${'x'.repeat(40)}\n`]],
    ['data of many empty lines', Array.from({ length: 110 }, () => 'data\n')],
  ])('%s counts', (_name, chunks) => {
    expect(() => decode(chunks, 100)).toThrow(
      expect.objectContaining({ code: 'SSE_EVENT_TOO_LARGE', maxEventBytes: 100 }),
    );
  });

  test('events and comments one after the other do not add up', () => {
    const chunks = Array.from({ length: 200 }, () => 'data: abc\n\n: comment\nevent: abc\n');
    expect(decode(chunks, 20).filter(([kind]) => kind === 'event')).toHaveLength(200);
  });
});

describe('bytes', () => {
  test('of an event in one chunk are a view into it', () => {
    const chunk = Buffer.from('id: 1\nevent: message\ndata: {"a":1}\n\ndata: {"b":2}\n\n');
    const data: Buffer[] = [];
    new SseDecoder({ onEvent: (event) => data.push(event.data) }, 1000).push(chunk);

    expect(data.map(String)).toEqual(['{"a":1}', '{"b":2}']);
    expect(data.every((bytes) => bytes.buffer === chunk.buffer)).toBe(true);
  });

  test('of an event over many chunks are put together, whatever they are', () => {
    const data = Buffer.from(Array.from({ length: 1 << 20 }, (_, index) => (index % 245) + 11)).map((byte) =>
      byte === 13 ? 14 : byte,
    );
    const stream = Buffer.concat([Buffer.from('id: 1\ndata: '), data, Buffer.from('\n\ndata: next\n\n')]);
    const events: Buffer[] = [];
    const decoder = new SseDecoder({ onEvent: (event) => events.push(event.data) }, 2 << 20);
    for (let start = 0; start < stream.length; start += 1000) decoder.push(stream.subarray(start, start + 1000));

    expect(events).toHaveLength(2);
    expect((events[0] as Buffer).equals(data)).toBe(true);
    expect(String(events[1])).toBe('next');
  });

  test('of one event stay when the next one comes', () => {
    const events: Buffer[] = [];
    const decoder = new SseDecoder({ onEvent: (event) => events.push(event.data) }, 1000);
    for (const chunk of ['data: a', 'a\nda', 'ta: a\n\n', 'data: b', 'b\nda', 'ta: b\n\n'])
      decoder.push(Buffer.from(chunk));
    expect(events.map(String)).toEqual(['aa\na', 'bb\nb']);
  });
});
