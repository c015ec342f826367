/** A remembered head never says anything else than the bytes do. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readPlainHead } from '../../../src/http-server/plain-head.js';
import { RememberedHead } from '../../../src/http-server/remembered-head.js';

const MAX_HEAD_BYTES = 8 * 1024;
const MAX_MISSES = 4;
const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');
const post = (length: string, more = ''): string =>
  `POST /mcp HTTP/1.1\r\nHost: a\r\n${more}Content-Length: ${length}\r\nAccept: b\r\n\r\n`;

/** One that has read `text`. */
function knowing(text: string): RememberedHead {
  const heads = new RememberedHead();
  expect(heads.read(bytesOf(text), 0)).toBeDefined();
  return heads;
}

test('knows the same head again, with whatever body behind it', () => {
  const heads = new RememberedHead();
  const first = heads.read(bytesOf(`${post('5')}hello`), 0);
  expect(first).toEqual(readPlainHead(bytesOf(post('5')), 0));
  expect(heads.read(bytesOf(`${post('5')}other`), 0)).toBe(first);
  expect(heads.read(bytesOf(`hello${post('5')}again`), 5)).toBe(first);
});

test.each(['5', '6', '12', '0', '05', '0000000005', '9999999999', '1'])('reads length %s after another', (length) => {
  for (const known of ['5', '77', '0000000009']) {
    const again = bytesOf(post(length));
    expect(knowing(post(known)).read(again, 0)).toEqual(readPlainHead(again, 0));
  }
});

test('reads a row of lengths, of more and of fewer digits', () => {
  const heads = knowing(post('5'));
  for (const length of ['10', '100', '7', '1000000', '10', '007', '3']) {
    expect(heads.read(bytesOf(post(length)), 0)).toEqual(readPlainHead(bytesOf(post(length)), 0));
  }
});

test.each(['', ' ', '+5', '5x', '5 5', '12345678901', '5, 5', '5\r\nContent-Length: 6', '5\r\n b'])(
  'refuses length %j after a good one',
  (length) => {
    expect(knowing(post('5')).read(bytesOf(post(length)), 0)).toBeUndefined();
  },
);

test('reads anew what differs in any byte', () => {
  const text = post('55');
  for (let at = 0; at < text.length; at += 1) {
    for (const byte of [0, 0x09, 0x0a, 0x0d, 0x20, 0x2d, 0x30, 0x39, 0x3a, 0x41, 0x61, 0x7f, 0xff]) {
      const changed = bytesOf(text);
      changed[at] = byte;
      expect(knowing(text).read(changed, 0), changed.toString('latin1')).toEqual(readPlainHead(changed, 0));
    }
  }
});

test.each(['5', '55', '555'])('does not take a head with length %s that is cut anywhere', (length) => {
  const text = post(length);
  const heads = knowing(post('55'));
  for (let end = 0; end < text.length; end += 1) {
    expect(heads.read(bytesOf(text.slice(0, end)), 0), text.slice(0, end)).toBeUndefined();
    expect(heads.read(bytesOf(post('55')), 0)).toBeDefined();
  }
});

test('does not take a cut head for one that goes on with bytes from before', () => {
  const heads = knowing(post('5'));
  const bytes = bytesOf(post('5'));
  expect(heads.read(bytes.subarray(0, bytes.length - 1), 0)).toBeUndefined();
  expect(heads.read(bytes, bytes.length)).toBeUndefined();
});

test('is as strict about the size of a head that grew by its digits', () => {
  const form = (length: string, fill: number) => post(length, `X-A: ${'a'.repeat(fill)}\r\n`);
  const fill = MAX_HEAD_BYTES - form('1', 0).length;
  const heads = knowing(form('1', fill));
  expect(heads.read(bytesOf(form('10', fill)), 0)).toBeUndefined();
});

test('forgets a head that has no body', () => {
  const heads = knowing(post('5'));
  const first = heads.read(bytesOf(post('5')), 0);
  const get = 'GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n';
  expect(heads.read(bytesOf(get), 0)).toEqual(readPlainHead(bytesOf(get), 0));
  expect(heads.read(bytesOf(post('5')), 0)).not.toBe(first);
  expect(heads.read(bytesOf(post('5')), 0)).toEqual(first);
});

test(`remembers nothing more after ${MAX_MISSES} misses in a row`, () => {
  const heads = new RememberedHead();
  const isKnown = (text: string) => heads.read(bytesOf(text), 0) === heads.read(bytesOf(text), 0);
  const other = (i: number) => post('5', `X-A: ${i}\r\n`);
  // A hit in between starts the count again.
  for (let i = 0; i < 2 * MAX_MISSES; i += 1) expect(isKnown(other(i))).toBe(true);
  for (let i = 0; i < MAX_MISSES; i += 1) heads.read(bytesOf(other(i)), 0);
  expect(isKnown(post('5'))).toBe(false);
  expect(heads.read(bytesOf(post('5')), 0)).toEqual(readPlainHead(bytesOf(post('5')), 0));
  expect(heads.read(bytesOf(post('12')), 0)).toEqual(readPlainHead(bytesOf(post('12')), 0));
});

test('never changes the headers of an earlier request', () => {
  const heads = new RememberedHead();
  const texts = [post('5'), post('6'), post('10'), post('5'), post('7', 'X-A: b\r\n'), post('5')];
  const read = texts.map((text) => {
    const headers = heads.read(bytesOf(text), 0)?.headers;
    return { headers, asRead: { ...headers } };
  });
  for (const { headers, asRead } of read) expect(headers).toEqual(asRead);
  expect(read.map(({ headers }) => headers?.['content-length'])).toEqual(['5', '6', '10', '5', '7', '5']);
});

test('does not depend on the bytes it was read from', () => {
  const heads = new RememberedHead();
  const bytes = bytesOf(post('5'));
  const head = heads.read(bytes, 0);
  bytes.fill(0);
  expect(head?.headers['host']).toBe('a');
  expect(heads.read(bytes, 0)).toBeUndefined();
});

const line = fc.constantFrom(
  'Host: a\r\n',
  'Host: b\r\n',
  'Accept: c\r\n',
  'X-A: d\r\n',
  'X-A:\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 5 \r\n',
  'content-length:66\r\n',
  'Content-Length: 0000000777\r\n',
  'Content-Length: 12345678901\r\n',
  'Transfer-Encoding: chunked\r\n',
);
const start = fc.constantFrom(
  'POST /mcp HTTP/1.1\r\n',
  'POST /mcp HTTP/1.1\r\n',
  'POST /x HTTP/1.1\r\n',
  'GET / HTTP/1.1\r\n',
);
const anyHead = fc
  .tuple(start, fc.array(line, { maxLength: 4 }), fc.constantFrom('\r\n', '\r\n', '\r\n', '\r', ''))
  .map((parts) => parts.flat().join(''));
const digits = fc.stringMatching(/^\d{0,12}$/);
/** The same head again and again, but for its length and now and then an edit. */
const family = fc
  .tuple(
    fc.constantFrom('', 'X-A: b\r\n'),
    fc.array(fc.tuple(digits, fc.option(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { freq: 4 })), { maxLength: 8 }),
  )
  .map(([more, members]) =>
    members.map(([length, edit]) => {
      const bytes = bytesOf(post(length, more));
      if (edit !== null) bytes[edit[0] % bytes.length] = edit[1];
      return bytes.toString('latin1');
    }),
  );
const sequences = fc.oneof(
  fc.array(anyHead, { maxLength: 12 }),
  fc.array(family, { maxLength: 3 }).map((families) => families.flat()),
);

test('reads any sequence of heads as if it remembered none', () => {
  fc.assert(
    fc.property(sequences, fc.nat({ max: 3 }), (texts, from) => {
      const heads = new RememberedHead();
      for (const text of texts) {
        const bytes = bytesOf('x'.repeat(from) + text);
        expect(heads.read(bytes, from)).toEqual(readPlainHead(bytes, from));
      }
    }),
    { numRuns: 3000 },
  );
});
