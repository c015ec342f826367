/** Text in headers means to the gateway what it means to whoever wrote it, or nothing at all. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeHeaderValue } from '../../../src/protocol/header-value.js';

/** Surrogates stand for nothing by themselves. */
const codePoint = fc.oneof(fc.nat({ max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff }));

const encode = (text: string) => `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`;

test.each([
  ['plain text', 'tools/list', 'tools/list'],
  ['nothing', '', ''],
  ['nothing, encoded', '=?base64??=', ''],
  ['text that is not ASCII', '=?base64?aMOkbGxv?=', 'hällo'],
  ['text that looks like the sentinel', encode('=?base64?x?='), '=?base64?x?='],
  ['a byte order mark, which is text too', encode('\ufeffa'), '\ufeffa'],
  ['another encoding than ours, as it is', '=?utf-8?Q?a?=', '=?utf-8?Q?a?='],
  ['Base64 without the sentinel, as it is', 'SGVsbG8=', 'SGVsbG8='],
  ['a sentinel without its end, as it is', '=?base64?SGVsbG8=', '=?base64?SGVsbG8='],
  ['a sentinel that is all there is, as it is', '=?base64?=', '=?base64?='],
  ['a sentinel in capitals, as it is', '=?BASE64?SGVsbG8=?=', '=?BASE64?SGVsbG8=?='],
])('reads %s', (_what, header, text) => {
  expect(decodeHeaderValue(header)).toBe(text);
});

test.each([
  ['missing padding', '=?base64?SGVsbG8?='],
  ['too much padding', '=?base64?SGVsbG8==?='],
  ['foreign characters', '=?base64?SGVs!!!bG8=?='],
  ['the alphabet of URLs', '=?base64?_-8=?='],
  ['bits that stand for nothing', '=?base64?SGVsbG9=?='],
  ['white space', '=?base64?SGVs bG8=?='],
  ['no UTF-8', '=?base64?/w==?='],
  ['a lone surrogate', `=?base64?${Buffer.from([0xed, 0xa0, 0x80]).toString('base64')}?=`],
])('reads nothing out of an encoded value with %s', (_what, header) => {
  expect(decodeHeaderValue(header)).toBeUndefined();
});

test('reads back whatever was encoded', () => {
  fc.assert(
    fc.property(fc.array(codePoint, { maxLength: 20 }), (codePoints) => {
      const text = String.fromCodePoint(...codePoints);
      expect(decodeHeaderValue(encode(text))).toBe(text);
    }),
  );
});

test('never reads two different encodings as one text', () => {
  const body = fc.string({
    unit: fc.constantFrom('A', 'Q', 'g', 'w', '/', '+', '=', '-', '_', ' ', '0', 'z'),
    maxLength: 12,
  });
  fc.assert(
    fc.property(body, (base64) => {
      const text = decodeHeaderValue(`=?base64?${base64}?=`);
      expect(text === undefined || encode(text) === `=?base64?${base64}?=`).toBe(true);
    }),
  );
});
