/** What we read as plain, Node's parser must read as well, and as exactly the same: whatever else would be a way to smuggle. */
import type { IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createNodeServer } from '../../src/downstream/node-server.js';
import { type PlainHead, readPlainHead } from '../../src/http-server/plain-head.js';

const NUM_RUNS = 20_000;
/** Longer bodies are announced only, and not sent. */
const MAX_SENT_BYTES = 5000;
const MARKER = 'GET /marker HTTP/1.1\r\nHost: marker\r\n\r\n';

interface Seen {
  readonly request: IncomingMessage;
  bodyBytes: number;
}

let seen: Seen[] = [];
let errors: unknown[] = [];
const server = createNodeServer(undefined, {
  request: (request) => {
    const entry = { request, bodyBytes: 0 };
    seen.push(entry);
    request.on('data', (chunk: Buffer) => {
      entry.bodyBytes += chunk.length;
    });
  },
  expectation: () => errors.push('expectation'),
});
server.on('clientError', (error) => errors.push(error));
for (const event of ['upgrade', 'connect', 'dropRequest']) server.on(event, () => errors.push(event));

/** A connection that only ever brings these bytes. */
class Incoming extends Duplex {
  constructor(bytes: Buffer) {
    super();
    this.push(bytes);
  }
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }
}

/** Everything Node makes of `bytes` within one turn. */
async function readWithNode(bytes: Buffer): Promise<void> {
  seen = [];
  errors = [];
  const connection = new Incoming(bytes);
  connection.on('error', () => {});
  server.emit('connection', connection);
  // All of it is in memory: the bytes go in with the next turn, and bodies come out with the one after.
  await nextTurn();
  await nextTurn();
  connection.destroy();
}

async function expectSameFromNode(bytes: Buffer, head: PlainHead): Promise<void> {
  const isSent = head.bodyBytes <= MAX_SENT_BYTES;
  const body = Buffer.alloc(isSent ? head.bodyBytes : 0, 'b');
  const marker = Buffer.from(isSent ? MARKER : '');
  await readWithNode(Buffer.concat([bytes.subarray(0, head.headBytes), body, marker]));
  expect(errors).toEqual([]);
  const [first, second, ...more] = seen;
  expect(first?.request.method).toBe(head.method);
  expect(first?.request.url).toBe(head.url);
  expect(first?.request.headers).toEqual(head.headers);
  expect(Object.keys(first?.request.headers ?? {})).toEqual(Object.keys(head.headers));
  expect(first?.request.complete).toBe(isSent);
  expect(first?.bodyBytes).toBe(body.length);
  // The body ends where we say: what follows is found there.
  expect(second?.request.url).toBe(isSent ? '/marker' : undefined);
  expect(more).toEqual([]);
}

const blank = fc.constantFrom('', ' ', ' ', ' ', '\t', '  ', ' \t');
const spelled = fc.constantFrom(
  (name: string) => name,
  (name: string) => name,
  (name: string) => name.toLowerCase(),
  (name: string) => name.toUpperCase(),
);
const length = fc.oneof(
  { weight: 12, arbitrary: fc.nat({ max: 30 }).map(String) },
  { weight: 2, arbitrary: fc.stringMatching(/^\d{1,11}$/) },
  { weight: 1, arbitrary: fc.constantFrom('', '+5', '-1', '0x5', '5,5', '5 5', '5\t', '5 \t', '1e1', '005', '5;') },
);
const anyValue = fc.oneof(
  fc.constantFrom('', 'a', 'close', 'chunked', 'a, b', 'text/plain', '\xe4', 'a: b', '"a\\', 'a\tb', 'a\r\n b'),
  fc.stringMatching(/^[\t -~\x80-\xff]{0,12}$/),
);
const anyName = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.constantFrom(
      ...['Accept', 'Content-Type', 'Authorization', 'Mcp-Session-Id', 'Origin', 'Cookie', 'Date', 'From'],
      ...['X-Forwarded-For', 'User-Agent', 'Referer', 'Max-Forwards', 'Age', 'Location', 'HTTP2-Settings', 'ETag'],
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...['Transfer-Encoding', 'Upgrade', 'Expect', 'TE', 'Trailer', 'Keep-Alive', 'Proxy-Connection', 'Set-Cookie'],
      ...['X_A', 'constructor', '__proto__', 'Transfer-Encodin', 'Content-Lengt', 'Content-Length2', 'Connectio'],
    ),
  },
  { weight: 6, arbitrary: fc.stringMatching(/^[a-zA-Z0-9-]{1,16}$/) },
);
const field = fc
  .tuple(anyName, spelled, blank, anyValue, blank)
  .map(([name, spell, before, value, behind]) => `${spell(name)}:${before}${value}${behind}\r\n`);
const lengthField = fc
  .tuple(spelled, blank, length, fc.constantFrom(...Array<string>(12).fill(''), ' ', '\t'))
  .map(([spell, before, value, behind]) => `${spell('Content-Length')}:${before}${value}${behind}\r\n`);
const connectionField = fc
  .tuple(
    spelled,
    blank,
    fc.constantFrom(...Array<string>(4).fill('keep-alive'), 'Keep-Alive', 'KEEP-ALIVE', 'close'),
    blank,
  )
  .map(([spell, before, value, behind]) => `${spell('Connection')}:${before}${value}${behind}\r\n`);
const target = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('/mcp', '/a/sse?x=y', '/a/messages?sessionId=1', '//a/mcp', '/', '/%00') },
  { weight: 3, arbitrary: fc.stringMatching(/^\/[!-~]{0,20}$/) },
  { weight: 1, arbitrary: fc.constantFrom('*', 'http://a/mcp', '/a b', '/a#b', 'mcp', '/\xe4', '') },
);

const head = fc
  .record({
    method: fc.constantFrom('POST', 'POST', 'GET', 'DELETE'),
    target,
    version: fc.constantFrom(...Array<string>(20).fill('HTTP/1.1'), 'HTTP/1.0', 'http/1.1', 'HTTP/1.1 '),
    fields: fc.array(field, { maxLength: 3 }),
    lengthField,
    connectionField: fc.option(connectionField, { freq: 2 }),
    lengths: fc.constantFrom(...Array<number>(14).fill(1), 0, 2),
    order: fc.nat(),
  })
  .map(({ method, target: url, version, fields, order, ...rest }) => {
    const isLengthDue = method === 'POST' ? rest.lengths : rest.lengths === 2 ? 1 : 0;
    const lines = ['Host: a\r\n', ...fields, rest.connectionField ?? '', rest.lengthField.repeat(isLengthDue)];
    const turn = order % lines.length;
    const turned = [...lines.slice(turn), ...lines.slice(0, turn)];
    return Buffer.from(`${method} ${url} ${version}\r\n${turned.join('')}\r\n`, 'latin1');
  });

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  remove: fc.nat({ max: 2 }),
  insert: fc.oneof(
    fc.uint8Array({ maxLength: 2 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.constantFrom(
      '\r\n',
      '\n',
      '\r',
      ' ',
      '\t',
      '\0',
      ':',
      ',',
      '\x7f',
      '\x0b',
      '\r\n ',
      '\r\n\r\n',
      '0',
      'Host: b\r\n',
    ),
  ),
});

const edited = fc.tuple(head, fc.array(edit, { maxLength: 2 })).map(([bytes, edits]) =>
  edits.reduce((text, { at, remove, insert }) => {
    const position = Math.floor(at * text.length);
    return Buffer.concat([text.subarray(0, position), Buffer.from(insert, 'latin1'), text.subarray(position + remove)]);
  }, bytes),
);

test('heads that are read as plain are the same requests to Node', async () => {
  let plain = 0;
  let other = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 1, arbitrary: head }, { weight: 1, arbitrary: edited }), async (bytes) => {
      const found = readPlainHead(bytes, 0);
      if (found === undefined) {
        other += 1;
        return;
      }
      plain += 1;
      await expectSameFromNode(bytes, found);
    }),
    { numRuns: NUM_RUNS },
  );
  // Generators that meet only one kind would have proved little.
  expect(plain).toBeGreaterThan(NUM_RUNS / 4);
  expect(other).toBeGreaterThan(NUM_RUNS / 4);
});

const EVERY_BYTE = Array.from({ length: 256 }, (_, byte) => byte);

test.each([
  ['in the target', 'GET /a$b HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['in a name', 'GET /a HTTP/1.1\r\nHost: a\r\nX$A: b\r\n\r\n'],
  ['in a value', 'GET /a HTTP/1.1\r\nHost: a\r\nX-A: b$c\r\n\r\n'],
  ['before a value', 'GET /a HTTP/1.1\r\nHost: a\r\nX-A:$b\r\n\r\n'],
  ['behind a value', 'GET /a HTTP/1.1\r\nX-A: b$\r\nHost: a\r\n\r\n'],
  ['before the length', 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length:$5\r\n\r\n'],
  ['behind the length', 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5$\r\n\r\n'],
  ['behind keep-alive', 'GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive$\r\n\r\n'],
  ['behind the version', 'GET /a HTTP/1.1$\r\nHost: a\r\n\r\n'],
  ['behind a line', 'GET /a HTTP/1.1\r\nHost: a\r$\nX-A: b\r\n\r\n'],
  ['before a line', 'GET /a HTTP/1.1\r\nHost: a\r\n$X-A: b\r\n\r\n'],
])('every byte %s', async (_where, form) => {
  let plain = 0;
  for (const byte of EVERY_BYTE) {
    const bytes = Buffer.from(form, 'latin1');
    bytes[form.indexOf('$')] = byte;
    for (const each of [bytes, Buffer.from(form.replace('$', ''), 'latin1')]) {
      const found = readPlainHead(each, 0);
      if (found === undefined) continue;
      plain += 1;
      await expectSameFromNode(each, found);
    }
  }
  expect(plain).toBeGreaterThan(0);
});
