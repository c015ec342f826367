/** Which heads are plain, and what they say: everything in doubt must be none. */
import { expect, test } from 'vitest';
import { readLength, readPlainHead } from '../../../src/http-server/plain-head.js';

const POST = 'POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';
const MAX_HEAD_BYTES = 8 * 1024;
const MAX_HEADERS = 50;

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');

/** A POST with these lines more. */
const withLines = (...lines: string[]): string =>
  `POST /mcp HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}Content-Length: 5\r\n\r\n`;

const withLength = (field: string): string => `POST /mcp HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`;

interface Meaning {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly bodyBytes: number;
}

const post = (headers: Record<string, string> = {}, bodyBytes = 5): Meaning => ({
  method: 'POST',
  url: '/mcp',
  headers: { host: 'a', 'content-length': String(bodyBytes), ...headers },
  bodyBytes,
});

const accepted: [what: string, text: string, meaning: Meaning][] = [
  ['a POST', POST, post()],
  [
    'a GET',
    'GET /sse HTTP/1.1\r\nHost: a\r\n\r\n',
    { method: 'GET', url: '/sse', headers: { host: 'a' }, bodyBytes: 0 },
  ],
  [
    'a DELETE',
    'DELETE /mcp HTTP/1.1\r\nHost: a\r\n\r\n',
    { method: 'DELETE', url: '/mcp', headers: { host: 'a' }, bodyBytes: 0 },
  ],
  [
    'a target with everything that may stand in one',
    'GET /a/%2e;b?c=d&e=%20[\\]^`{|}~!$\'()*+,-./:@"<> HTTP/1.1\r\nHost: a\r\n\r\n',
    { method: 'GET', url: '/a/%2e;b?c=d&e=%20[\\]^`{|}~!$\'()*+,-./:@"<>', headers: { host: 'a' }, bodyBytes: 0 },
  ],
  [
    'a target that looks like a host',
    'GET //evil/mcp HTTP/1.1\r\nHost: a\r\n\r\n',
    { method: 'GET', url: '//evil/mcp', headers: { host: 'a' }, bodyBytes: 0 },
  ],
  ['an empty body', withLength('Content-Length: 0'), post({}, 0)],
  [
    'the longest length',
    withLength('Content-Length: 9999999999'),
    post({ 'content-length': '9999999999' }, 9_999_999_999),
  ],
  ['a length with leading zeros', withLength('Content-Length: 0000000005'), post({ 'content-length': '0000000005' })],
  ['a length with blanks before it', withLength('Content-Length: \t 5'), post()],
  ['a length without a space before it', withLength('Content-Length:5'), post()],
  ['a length in capitals', withLength('CONTENT-LENGTH: 5'), post()],
  ['a value without a space before it', withLines('X-A:b'), post({ 'x-a': 'b' })],
  ['a value in blanks', withLines('X-A: \t b \t '), post({ 'x-a': 'b' })],
  ['a value with blanks inside', withLines('X-A: b \t c'), post({ 'x-a': 'b \t c' })],
  ['an empty value', withLines('X-A:'), post({ 'x-a': '' })],
  ['a value of blanks', withLines('X-A: \t '), post({ 'x-a': '' })],
  ['a value with a colon', withLines('X-A: b: c'), post({ 'x-a': 'b: c' })],
  ['a value beyond ASCII', withLines('X-A: \x80\xe4\xff'), post({ 'x-a': '\x80\xe4\xff' })],
  ['a name of digits and hyphens', withLines('1-2: b'), post({ '1-2': 'b' })],
  ['keep-alive', withLines('Connection: keep-alive'), post({ connection: 'keep-alive' })],
  ['Keep-Alive', withLines('Connection: Keep-Alive'), post({ connection: 'Keep-Alive' })],
  [
    'an empty host',
    'GET / HTTP/1.1\r\nHost:\r\n\r\n',
    { method: 'GET', url: '/', headers: { host: '' }, bodyBytes: 0 },
  ],
  [
    'a host that is not the first',
    'GET / HTTP/1.1\r\nX-A: b\r\nhOST: a\r\n\r\n',
    { method: 'GET', url: '/', headers: { 'x-a': 'b', host: 'a' }, bodyBytes: 0 },
  ],
];

test.each(accepted)('reads %s', (_what, text, meaning) => {
  const head = readPlainHead(bytesOf(text), 0);
  const { lengthAt = 0, lengthEnd = 0, ...rest } = head ?? {};
  expect(rest).toEqual({ ...meaning, headBytes: text.length });
  expect(text.slice(lengthAt, lengthEnd)).toBe(meaning.headers['content-length'] ?? '');
});

test.each(accepted)('reads %s the same with bytes before and behind', (_what, text) => {
  const before = 'POST / HTTP/1.1\r\n';
  const around = bytesOf(`${before}${text}POST /x HTTP/1.1\r\n\r\n`);
  expect(readPlainHead(around, before.length)).toEqual(readPlainHead(bytesOf(text), 0));
});

test.each(accepted)('does not read %s that is cut anywhere', (_what, text) => {
  for (let end = 0; end < text.length; end += 1) {
    expect(readPlainHead(bytesOf(text.slice(0, end)), 0), text.slice(0, end)).toBeUndefined();
  }
});

const refused: [what: string, text: string][] = [
  ['an empty line first', `\r\n${POST}`],
  ['a space first', ` ${POST}`],
  ['another method', 'PUT /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n'],
  ['HEAD', 'HEAD /mcp HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['OPTIONS', 'OPTIONS /mcp HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a method in lower case', POST.replace('POST', 'post')],
  ['a method that goes on', POST.replace('POST', 'POSTS')],
  ['two spaces before the target', POST.replace(' /mcp', '  /mcp')],
  ['two spaces behind the target', POST.replace('/mcp ', '/mcp  ')],
  ['a tab before the target', POST.replace(' /mcp', '\t/mcp')],
  ['an absolute target', POST.replace('/mcp', 'http://a/mcp')],
  ['an asterisk for a target', POST.replace('/mcp', '*')],
  ['no target', POST.replace('/mcp ', '')],
  ['a fragment', POST.replace('/mcp', '/mcp#a')],
  ['HTTP/1.0', POST.replace('1.1', '1.0')],
  ['HTTP/1.2', POST.replace('1.1', '1.2')],
  ['HTTP/2.0', POST.replace('1.1', '2.0')],
  ['HTTP/0.9', 'GET /mcp\r\n\r\n'],
  ['http/1.1 in lower case', POST.replace('HTTP', 'http')],
  ['a space behind the version', POST.replace('1.1', '1.1 ')],
  ['a first line that ends with LF', POST.replace('1.1\r\n', '1.1\n')],
  ['a line that ends with LF', POST.replace('Host: a\r\n', 'Host: a\n')],
  ['a line that ends with CR', POST.replace('Host: a\r\n', 'Host: a\r')],
  ['a line that ends with CR CR LF', POST.replace('Host: a\r\n', 'Host: a\r\r\n')],
  ['an empty line of LF', POST.replace('5\r\n\r\n', '5\r\n\n')],
  ['an empty line of CR', `${POST.slice(0, -1)}x`],
  ['a folded line', withLines('X-A: b', ' c')],
  ['a folded line with a tab', withLines('X-A: b', '\tc')],
  ['a folded empty value', withLines('X-A:', ' c')],
  ['a first line that is folded', POST.replace('Host', ' X-A: b\r\nHost')],
  ['a space before the colon', withLines('X-A : b')],
  ['a tab before the colon', withLines('X-A\t: b')],
  ['no colon', withLines('X-A')],
  ['no name', withLines(': b')],
  ['an underscore in a name', withLines('X_A: b')],
  ['__proto__', withLines('__proto__: b')],
  ['constructor', withLines('constructor: b')],
  ['no host', 'POST /mcp HTTP/1.1\r\nContent-Length: 5\r\n\r\n'],
  ['no host in a GET', 'GET /sse HTTP/1.1\r\n\r\n'],
  ['two hosts', withLines('Host: b')],
  ['two equal hosts', withLines('host: a')],
  ['a repeated header', withLines('X-A: b', 'X-A: b')],
  ['a repeated header in another case', withLines('X-A: b', 'x-a: c')],
  ['a repeated header that was empty', withLines('X-A:', 'X-A: b')],
  ['two cookies', withLines('Cookie: a=b', 'Cookie: c=d')],
  ['two lengths', withLines('Content-Length: 5')],
  ['two lengths that differ', withLines('Content-Length: 6')],
  ['no length in a POST', 'POST /mcp HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a length in a GET', 'GET /sse HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'],
  ['a length in a DELETE', 'DELETE /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n'],
  ['an empty length', withLength('Content-Length:')],
  ['a length of blanks', withLength('Content-Length:  ')],
  ['a length with a plus', withLength('Content-Length: +5')],
  ['a length with a minus', withLength('Content-Length: -5')],
  ['a hexadecimal length', withLength('Content-Length: 0x5')],
  ['a length with an exponent', withLength('Content-Length: 5e0')],
  ['a length with a fraction', withLength('Content-Length: 5.0')],
  ['a length with an underscore', withLength('Content-Length: 1_0')],
  ['a list of lengths', withLength('Content-Length: 5, 5')],
  ['a length with a space inside', withLength('Content-Length: 5 5')],
  ['a length in quotes', withLength('Content-Length: "5"')],
  ['a length with a superscript', withLength('Content-Length: \xb2')],
  ['a length with a space behind it', withLength('Content-Length: 5 ')],
  ['a length with a tab behind it', withLength('Content-Length: 5\t')],
  ['a length with a space and a tab behind it', withLength('Content-Length: 5 \t')],
  ['a length of 11 digits', withLength('Content-Length: 10000000000')],
  ['a length of 11 digits with zeros', withLength('Content-Length: 00000000005')],
  ['a transfer coding', withLines('Transfer-Encoding: chunked')],
  ['a transfer coding in lower case', withLines('transfer-encoding: identity')],
  ['an empty transfer coding', withLines('Transfer-Encoding:')],
  ['a transfer coding without a length', withLength('Transfer-Encoding: chunked')],
  ['an upgrade', withLines('Upgrade: h2c')],
  ['an expectation', withLines('Expect: 100-continue')],
  ['TE', withLines('TE: trailers')],
  ['a trailer', withLines('Trailer: X-A')],
  ['Keep-Alive', withLines('Keep-Alive: timeout=5')],
  ['Proxy-Connection', withLines('Proxy-Connection: keep-alive')],
  ['Set-Cookie', withLines('Set-Cookie: a=b')],
  ['Connection: close', withLines('Connection: close')],
  ['Connection: upgrade', withLines('Connection: upgrade')],
  ['an empty connection', withLines('Connection:')],
  ['a list of connection options', withLines('Connection: keep-alive, close')],
  ['keep-alive with a comma', withLines('Connection: keep-alive,')],
  ['two connection headers', withLines('Connection: keep-alive', 'Connection: keep-alive')],
];

test.each(refused)('leaves %s to Node', (_what, text) => {
  expect(readPlainHead(bytesOf(text), 0)).toBeUndefined();
  expect(readPlainHead(bytesOf(`${text}${POST}`), 0)).toBeUndefined();
});

/** Which of all bytes can stand at `$`. */
function bytesAllowedIn(text: string): number[] {
  const at = text.indexOf('$');
  return Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => {
    const bytes = bytesOf(text);
    bytes[at] = byte;
    return readPlainHead(bytes, 0) !== undefined;
  });
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const codes = (text: string): number[] => [...Buffer.from(text, 'latin1')];

test('knows for every byte whether it can stand in a target', () => {
  const all = range(0x21, 0x7e).filter((byte) => byte !== '#'.charCodeAt(0));
  expect(bytesAllowedIn(POST.replace('/mcp', '/m$p'))).toEqual(all);
});

test('knows for every byte whether it can stand in a name', () => {
  const all = codes('-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz');
  // A colon ends the name, and what is left of it is a value.
  expect(bytesAllowedIn(withLines('X$A: b'))).toEqual([...all, ':'.charCodeAt(0)].toSorted((a, b) => a - b));
});

test('knows for every byte whether it can stand in a value', () => {
  expect(bytesAllowedIn(withLines('X-A: b$c'))).toEqual([0x09, ...range(0x20, 0x7e), ...range(0x80, 0xff)]);
});

test('knows for every byte whether it can stand in a length', () => {
  expect(bytesAllowedIn(withLength('Content-Length: 1$1'))).toEqual(range(0x30, 0x39));
});

test(`takes ${MAX_HEADERS} headers and no more`, () => {
  const more = (count: number) => withLines(...Array.from({ length: count - 2 }, (_, i) => `X-${i}: ${i}`));
  const head = readPlainHead(bytesOf(more(MAX_HEADERS)), 0);
  expect(Object.keys(head?.headers ?? {})).toHaveLength(MAX_HEADERS);
  expect(readPlainHead(bytesOf(more(MAX_HEADERS + 1)), 0)).toBeUndefined();
});

test.each(['value', 'target', 'name', 'blanks'])('takes 8 KiB and no more, most of it %s', (what) => {
  const ofSize = (bytes: number): string => {
    const form = {
      value: withLines('X-A: $'),
      target: POST.replace('/mcp', '/$'),
      name: withLines('X$: a'),
      blanks: withLines('X-A: $b'),
    }[what] as string;
    return form.replace('$', (what === 'blanks' ? ' ' : 'a').repeat(bytes - form.length + 1));
  };
  expect(readPlainHead(bytesOf(ofSize(MAX_HEAD_BYTES)), 0)?.headBytes).toBe(MAX_HEAD_BYTES);
  expect(readPlainHead(bytesOf(ofSize(MAX_HEAD_BYTES + 1)), 0)).toBeUndefined();
  const behind = `${ofSize(MAX_HEAD_BYTES)}${'x'.repeat(MAX_HEAD_BYTES)}`;
  expect(readPlainHead(bytesOf(behind), 0)?.headBytes).toBe(MAX_HEAD_BYTES);
});

test('knows more spellings of names than it remembers', () => {
  for (let i = 0; i < 2000; i += 1) {
    const head = readPlainHead(bytesOf(withLines(`X-Name-${i}: b`, `X-nAmE: c`)), 0);
    expect(head?.headers).toMatchObject({ [`x-name-${i}`]: 'b', 'x-name': 'c' });
  }
});

test('reads nothing in nothing', () => {
  expect(readPlainHead(bytesOf(''), 0)).toBeUndefined();
});

test('gives every head an object of its own', () => {
  const first = readPlainHead(bytesOf(POST), 0);
  expect(readPlainHead(bytesOf(POST), 0)?.headers).not.toBe(first?.headers);
});

test.each([
  ['12\r\n', '12'],
  ['0123456789', '0123456789'],
  ['01234567890', ''],
  ['x1', ''],
  ['', ''],
])('reads the length in %j', (text, digits) => {
  expect(readLength(bytesOf(text), 0)).toBe(digits);
});
