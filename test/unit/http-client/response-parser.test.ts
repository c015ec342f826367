import { describe, expect, test } from 'vitest';
import { FramingError } from '../../../src/http-client/errors.js';
import { ResponseParser } from '../../../src/http-client/response-parser.js';

const MAX_HEADER_BYTES = 16 * 1024;

interface Parsed {
  status: number;
  contentType: string | undefined;
  body: string;
  isComplete: boolean;
  isPersistent: boolean;
  endsWithConnection: boolean;
  leftOver: number;
  refused: string | undefined;
}

/** Feeds the pieces one by one, as a socket would. */
function parse(pieces: readonly Buffer[], maxHeaderBytes = MAX_HEADER_BYTES): Parsed {
  const parser = new ResponseParser(maxHeaderBytes);
  parser.start();
  const parsed: Parsed = {
    status: 0,
    contentType: undefined,
    body: '',
    isComplete: false,
    isPersistent: false,
    endsWithConnection: false,
    leftOver: 0,
    refused: undefined,
  };
  try {
    for (const piece of pieces) {
      if (parsed.isComplete) parsed.leftOver += piece.length;
      else feed(parser, piece, parsed);
    }
  } catch (error) {
    if (!(error instanceof FramingError)) throw error;
    parsed.refused = error.message;
  }
  parsed.endsWithConnection = parser.endsWithConnection;
  return parsed;
}

function feed(parser: ResponseParser, piece: Buffer, parsed: Parsed): void {
  let offset = 0;
  for (;;) {
    const event = parser.next(piece, offset, piece.length);
    offset = parser.offset;
    if (event === 'need-more') return;
    if (event === 'head') {
      const head = parser.takeHead();
      parsed.status = head.status;
      parsed.contentType = head.get('content-type');
    } else if (event === 'data') parsed.body += parser.takeData().toString('latin1');
    else {
      parsed.isComplete = true;
      parsed.isPersistent = parser.isPersistent;
      parsed.leftOver += piece.length - offset;
      return;
    }
  }
}

/** In one piece, cut in two at every position, and byte by byte. */
function everySplit(text: string): Buffer[][] {
  const bytes = Buffer.from(text, 'latin1');
  const splits = [[bytes], Array.from(bytes, (byte) => Buffer.of(byte))];
  for (let at = 1; at < bytes.length; at += 1) splits.push([bytes.subarray(0, at), bytes.subarray(at)]);
  return splits;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;

describe('accepts, however the bytes are cut', () => {
  const accepted: readonly [string, string, Partial<Parsed>][] = [
    [
      'a body of a given length',
      `${OK}Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello`,
      { contentType: 'text/plain', body: 'hello' },
    ],
    ['an empty body', `${OK}content-length: 0\r\n\r\n`, { body: '' }],
    ['no reason phrase', 'HTTP/1.1 404\r\ncontent-length: 0\r\n\r\n', { status: 404 }],
    ['an empty reason phrase', 'HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n', { status: 503 }],
    ['obs-text in values', `${OK}x: caf\xe9\r\ncontent-length: 1\r\n\r\n.`, { body: '.' }],
    ['blanks around a value', `${OK}content-type: \t a/b \t\r\ncontent-length:0\r\n\r\n`, { contentType: 'a/b' }],
    ['an empty value', `${OK}content-type:\r\ncontent-length: 0\r\n\r\n`, { contentType: '' }],
    [
      'repeated headers, joined',
      `${OK}content-type: a\r\nCONTENT-TYPE: b\r\ncontent-length: 0\r\n\r\n`,
      { contentType: 'a, b' },
    ],
    ['chunks', `${CHUNKED}5\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\n\r\n`, { body: 'hello 0123456789' }],
    ['leading zeros and both cases of digits', `${CHUNKED}00a\r\n0123456789\r\n00\r\n\r\n`, { body: '0123456789' }],
    ['chunk extensions', `${CHUNKED}2;a;b=c;d="e;\\"\t";f\r\nhi\r\n0;last\r\n\r\n`, { body: 'hi' }],
    [
      'trailers, skipped',
      `${CHUNKED}2\r\nhi\r\n0\r\ncontent-type: evil\r\nx:\r\n\r\n`,
      { body: 'hi', contentType: undefined },
    ],
    ['a transfer coding in capitals', `${OK}Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n`, { body: '' }],
    [
      'interim responses, skipped',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${OK}content-length: 1\r\n\r\n!`,
      { body: '!' },
    ],
    ['204 with a length that means nothing', 'HTTP/1.1 204 No Content\r\ncontent-length: 9\r\n\r\n', { status: 204 }],
    ['304 without a body', 'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n', { status: 304 }],
    ['an identity encoding', `${OK}content-encoding: Identity\r\ncontent-length: 1\r\n\r\n.`, { body: '.' }],
    ['an unknown status', 'HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n', { status: 999 }],
  ];

  test.each(accepted)('%s', (_, text, expected) => {
    for (const pieces of everySplit(text)) {
      const parsed = parse(pieces);
      expect(parsed).toMatchObject({
        status: 200,
        isComplete: true,
        isPersistent: true,
        leftOver: 0,
        refused: undefined,
        ...expected,
      });
    }
  });

  test('a body that lasts as long as the connection', () => {
    for (const pieces of everySplit(`${OK}\r\nsome bytes`)) {
      expect(parse(pieces)).toMatchObject({
        body: 'some bytes',
        isComplete: false,
        endsWithConnection: true,
        refused: undefined,
      });
    }
  });
});

describe('tells whether the connection may be used again', () => {
  const connections: readonly [string, string, boolean][] = [
    ['1.1 without a word', 'HTTP/1.1 200 OK\r\n', true],
    ['1.1 keep-alive', 'HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n', true],
    ['1.1 close', 'HTTP/1.1 200 OK\r\nConnection: Close\r\n', false],
    ['1.1 close among others', 'HTTP/1.1 200 OK\r\nConnection: x , cLose,y\r\n', false],
    ['1.1 close in a second header', 'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n', false],
    ['1.0 without a word', 'HTTP/1.0 200 OK\r\n', false],
    ['1.0 keep-alive', 'HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n', true],
  ];

  test.each(connections)('%s', (_, head, isPersistent) => {
    expect(parse([Buffer.from(`${head}content-length: 0\r\n\r\n`)])).toMatchObject({ isComplete: true, isPersistent });
  });
});

describe('refuses, however the bytes are cut', () => {
  const length = 'content-length: 0\r\n\r\n';
  const refused: readonly [string, string][] = [
    ['something else than HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['HTTP/2.0', `HTTP/2.0 200 OK\r\n${length}`],
    ['HTTP/1.2', `HTTP/1.2 200 OK\r\n${length}`],
    ['lower case http', `http/1.1 200 OK\r\n${length}`],
    ['a line end before the status line', `\r\n${OK}${length}`],
    ['two spaces before the status', `HTTP/1.1  200 OK\r\n${length}`],
    ['a status of two digits', `HTTP/1.1 20 OK\r\n${length}`],
    ['a status of four digits', `HTTP/1.1 2000 OK\r\n${length}`],
    ['a status below 100', `HTTP/1.1 099 OK\r\n${length}`],
    ['a signed status', `HTTP/1.1 +20 OK\r\n${length}`],
    ['a control character in the reason', `HTTP/1.1 200 O\x00K\r\n${length}`],
    ['a bare LF after the status line', `HTTP/1.1 200 OK\n${length}`],
    ['a bare LF after a header', `${OK}x: y\n${length}`],
    ['a bare LF as the empty line', `${OK}x: y\r\n\n`],
    ['a bare CR in the reason', `HTTP/1.1 200 O\rK\r\n${length}`],
    ['a bare CR in a value', `${OK}x: y\rz\r\n${length}`],
    ['a bare CR as the empty line', `${OK}x: y\r\n\rx`],
    ['a space before the colon', `${OK}content-length : 0\r\n\r\n`],
    ['a header without a colon', `${OK}nonsense\r\n${length}`],
    ['a header without a name', `${OK}: x\r\n${length}`],
    ['a name with 8-bit characters', `${OK}caf\xe9: x\r\n${length}`],
    ['a name in brackets', `${OK}(x): y\r\n${length}`],
    ['a folded line', `${OK}x: y\r\n z\r\n${length}`],
    ['a folded line with a tab', `${OK}x: y\r\n\tz\r\n${length}`],
    ['NUL in a value', `${OK}x: a\x00b\r\n${length}`],
    ['a control character in a value', `${OK}x: a\x1bb\r\n${length}`],
    ['DEL in a value', `${OK}x: a\x7fb\r\n${length}`],
    ['both transfer coding and length', `${OK}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n`],
    ['both, the other way round', `${OK}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n`],
    ['differing lengths', `${OK}content-length: 5\r\ncontent-length: 6\r\n\r\n`],
    ['repeated lengths', `${OK}content-length: 5\r\ncontent-length: 5\r\n\r\n`],
    ['a list of lengths', `${OK}content-length: 5, 5\r\n\r\n`],
    ['a signed length', `${OK}content-length: +5\r\n\r\n`],
    ['a negative length', `${OK}content-length: -1\r\n\r\n`],
    ['a length in hexadecimal', `${OK}content-length: 0x5\r\n\r\n`],
    ['a length with a blank', `${OK}content-length: 1 0\r\n\r\n`],
    ['an empty length', `${OK}content-length:\r\n\r\n`],
    ['a length beyond exact numbers', `${OK}content-length: 9007199254740993\r\n\r\n`],
    ['a bad length on 204', 'HTTP/1.1 204 No Content\r\ncontent-length: x\r\n\r\n'],
    ['a coding that only contains chunked', `${OK}transfer-encoding: xchunked\r\n\r\n`],
    ['a coding before chunked', `${OK}transfer-encoding: gzip, chunked\r\n\r\n`],
    ['chunked twice', `${OK}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n`],
    ['chunked and identity', `${OK}transfer-encoding: chunked, identity\r\n\r\n`],
    ['an identity coding', `${OK}transfer-encoding: identity\r\n\r\n`],
    ['an empty coding', `${OK}transfer-encoding:\r\n\r\n`],
    ['a coding in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['compression', `${OK}content-encoding: gzip\r\n${length}`],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'],
    ['a chunk without a size', `${CHUNKED}\r\nx`],
    ['a chunk size with a sign', `${CHUNKED}+5\r\nhello\r\n0\r\n\r\n`],
    ['a negative chunk size', `${CHUNKED}-5\r\nhello\r\n0\r\n\r\n`],
    ['a chunk size with 0x', `${CHUNKED}0x5\r\nhello\r\n0\r\n\r\n`],
    ['a space before a chunk size', `${CHUNKED} 5\r\nhello\r\n0\r\n\r\n`],
    ['a space after a chunk size', `${CHUNKED}5 \r\nhello\r\n0\r\n\r\n`],
    ['a chunk size that is no number', `${CHUNKED}5g\r\nhello\r\n0\r\n\r\n`],
    ['a chunk size overflow', `${CHUNKED}ffffffffffffffff1\r\nx`],
    ['a chunk size that rounds', `${CHUNKED}20000000000001\r\nx`],
    ['a chunk line without CR', `${CHUNKED}5\nhello\r\n0\r\n\r\n`],
    ['a chunk line with a bare CR', `${CHUNKED}5\rhello\r\n0\r\n\r\n`],
    ['a chunk longer than its size', `${CHUNKED}4\r\nhello\r\n0\r\n\r\n`],
    ['a chunk ended by LF alone', `${CHUNKED}5\r\nhello\n0\r\n\r\n`],
    ['a chunk ended by CR alone', `${CHUNKED}5\r\nhello\r0\r\n\r\n`],
    ['an extension without a name', `${CHUNKED}5;\r\nhello\r\n0\r\n\r\n`],
    ['a space before an extension', `${CHUNKED}5; a\r\nhello\r\n0\r\n\r\n`],
    ['a bare LF in an extension', `${CHUNKED}5;a\nhello\r\n0\r\n\r\n`],
    ['a bare LF in a quoted extension', `${CHUNKED}5;a="\n"\r\nhello\r\n0\r\n\r\n`],
    ['a bare CR in a quoted extension', `${CHUNKED}5;a="\r"\r\nhello\r\n0\r\n\r\n`],
    ['text after a quoted extension', `${CHUNKED}5;a="b"c\r\nhello\r\n0\r\n\r\n`],
    ['an extension without its value', `${CHUNKED}5;a=\r\nhello\r\n0\r\n\r\n`],
    ['a trailer without a colon', `${CHUNKED}0\r\nnonsense\r\n\r\n`],
    ['a trailer with a bare LF', `${CHUNKED}0\r\nx: y\n\r\n`],
    ['a last chunk ended by LF alone', `${CHUNKED}0\r\n\n`],
  ];

  test.each(refused)('%s', (_, text) => {
    for (const pieces of everySplit(text))
      expect(parse(pieces)).toMatchObject({ refused: expect.any(String), isComplete: false });
  });
});

describe('keeps its limits to the byte', () => {
  const head = (padding: number): string => `${OK}x: ${'a'.repeat(padding)}\r\ncontent-length: 0\r\n\r\n`;

  test.each([1, 2, 7, 10_000])('header block, in pieces of %i bytes', (pieceBytes) => {
    const fits = Buffer.from(head(100));
    const tooLong = Buffer.from(head(101));
    expect(parse(cut(fits, pieceBytes), fits.length)).toMatchObject({ isComplete: true, refused: undefined });
    expect(parse(cut(tooLong, pieceBytes), fits.length).refused).toBe(`header block over ${fits.length} bytes`);
  });

  test('refuses an endless header before it ends', () => {
    expect(parse([Buffer.from(`${OK}x: ${'a'.repeat(MAX_HEADER_BYTES)}`)]).refused).toContain('header block over');
  });

  test('200 headers, and not one more', () => {
    const fields = (count: number): Buffer =>
      Buffer.from(`${OK}content-length: 0\r\n${'a: b\r\n'.repeat(count - 1)}\r\n`);
    expect(parse([fields(200)])).toMatchObject({ isComplete: true, refused: undefined });
    expect(parse([fields(201)]).refused).toBe('more than 200 headers');
  });

  test('trailers', () => {
    const text = `${CHUNKED}0\r\n${`x: ${'a'.repeat(1000)}\r\n`.repeat(20)}\r\n`;
    expect(parse(cut(Buffer.from(text), 1000)).refused).toBe(`header block over ${MAX_HEADER_BYTES} bytes`);
  });

  test('the line of a chunk', () => {
    const extended = (bytes: number): Buffer => Buffer.from(`${CHUNKED}0;${'a'.repeat(bytes)}\r\n\r\n`);
    expect(parse([extended(1020)])).toMatchObject({ isComplete: true, refused: undefined });
    expect(parse([extended(1021)]).refused).toBe('chunk line too long');
    expect(parse([Buffer.from(`${CHUNKED}${'0'.repeat(5000)}`)]).refused).toBe('chunk line too long');
  });

  test('interim responses', () => {
    const interim = 'HTTP/1.1 100 Continue\r\n\r\n';
    const last = `${OK}content-length: 0\r\n\r\n`;
    expect(parse([Buffer.from(interim.repeat(64) + last)])).toMatchObject({ isComplete: true, refused: undefined });
    expect(parse([Buffer.from(interim.repeat(65) + last)]).refused).toBe('endless interim responses');
  });
});

describe('leaves what follows the response', () => {
  test.each([
    ['a length', `${OK}content-length: 2\r\n\r\nhi`],
    ['chunks', `${CHUNKED}2\r\nhi\r\n0\r\n\r\n`],
    ['no body', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ])('after %s', (_, text) => {
    expect(parse([Buffer.from(`${text}HTTP/1.1`)])).toMatchObject({ isComplete: true, leftOver: 8 });
  });
});

test('reads one response after another', () => {
  const parser = new ResponseParser(MAX_HEADER_BYTES);
  for (const body of ['first', 'second one']) {
    parser.start();
    const bytes = Buffer.from(`${OK}keep-alive: max=3, timeout=7\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    expect(parser.next(bytes, 0, bytes.length)).toBe('head');
    const head = parser.takeHead();
    expect(head.get('content-length')).toBe(String(body.length));
    expect(head.pick(new Set(['keep-alive', 'x-other']))).toEqual(['keep-alive', 'max=3, timeout=7']);
    expect(parser.keepAliveHintMs).toBe(7000);
    expect(parser.next(bytes, parser.offset, bytes.length)).toBe('data');
    expect(parser.takeData().toString()).toBe(body);
    expect(parser.next(bytes, parser.offset, bytes.length)).toBe('end');
  }
});

test('gives no body an allocation of its own', () => {
  const bytes = Buffer.from(`${OK}content-length: 5\r\n\r\nhello`);
  const parser = new ResponseParser(MAX_HEADER_BYTES);
  parser.start();
  parser.next(bytes, 0, bytes.length);
  parser.next(bytes, parser.offset, bytes.length);
  expect(parser.takeData().buffer).toBe(bytes.buffer);
});

function cut(bytes: Buffer, pieceBytes: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
  return pieces;
}
