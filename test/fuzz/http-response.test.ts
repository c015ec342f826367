/** The response parser and the client on bytes that no one chose. */
import { request as nodeRequest } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FramingError } from '../../src/http-client/errors.js';
import { ResponseParser } from '../../src/http-client/response-parser.js';
import { type Loopback, listenOnLoopback } from '../helpers/loopback.js';
import { within } from '../helpers/wait.js';
import { GET, newClient, Recorder } from '../integration/http-client-support.js';

let pieces: readonly Buffer[] = [];
let isCut = false;
let server: Loopback;

beforeAll(async () => {
  const tcpServer: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => void play(socket));
  });
  server = await listenOnLoopback(tcpServer);
});

afterAll(async () => {
  await server.close();
});

/** Writes the pieces one by one, then ends or resets the connection. */
async function play(socket: Socket): Promise<void> {
  socket.setNoDelay(true);
  for (const piece of pieces) {
    if (piece.length > 0) socket.write(piece);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  if (isCut) socket.resetAndDestroy();
  else socket.end();
}

const fragment = fc.constantFrom(
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.0 200 OK\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n',
  'Transfer-Encoding: chunked\r\n',
  'content-length: 5\r\n',
  'content-length: 0\r\n',
  'connection: close\r\n',
  'x: y\r\n',
  '\r\n',
  '\r',
  '\n',
  ' ',
  ':',
  '5\r\nhello\r\n',
  '0\r\n\r\n',
  '5;a="b"\r\n',
  'ffffffffffffffff\r\n',
  'hello',
  '\0',
);

const hostileBytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.array(fragment, { maxLength: 12 }).map((parts) => Buffer.from(parts.join(''), 'latin1')),
  fc
    .tuple(fc.array(fragment, { maxLength: 12 }), fc.nat(), fc.integer({ min: 0, max: 255 }))
    .map(([parts, at, byte]) => withByte(Buffer.from(parts.join(''), 'latin1'), at, byte)),
);

function withByte(bytes: Buffer, at: number, byte: number): Buffer {
  if (bytes.length > 0) bytes[at % bytes.length] = byte;
  return bytes;
}

const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 8 });

function cutAt(bytes: Buffer, positions: readonly number[]): Buffer[] {
  const sorted = [...positions.map((position) => Math.min(position, bytes.length)), bytes.length].toSorted(
    (a, b) => a - b,
  );
  return sorted.map((end, index) => bytes.subarray(index === 0 ? 0 : sorted[index - 1], end));
}

interface Outcome {
  readonly status: number;
  readonly body: string;
  readonly end: 'complete' | 'refused' | 'open' | 'until-close';
}

/** What the parser alone makes of the pieces. */
function parse(input: readonly Buffer[]): Outcome {
  const parser = new ResponseParser(16 * 1024);
  parser.start();
  let status = 0;
  let body = '';
  try {
    for (const piece of input) {
      let offset = 0;
      for (;;) {
        const event = parser.next(piece, offset, piece.length);
        expect(parser.offset).toBeGreaterThanOrEqual(offset);
        expect(parser.offset).toBeLessThanOrEqual(piece.length);
        offset = parser.offset;
        if (event === 'need-more') break;
        if (event === 'end') return { status, body, end: 'complete' };
        if (event === 'head') ({ status } = parser.takeHead());
        else body += parser.takeData().toString('latin1');
      }
    }
  } catch (error) {
    if (error instanceof FramingError) return { status, body, end: 'refused' };
    throw error;
  }
  return { status, body, end: parser.endsWithConnection ? 'until-close' : 'open' };
}

test('the parser reads the same from any bytes, however they are cut', () => {
  fc.assert(
    fc.property(hostileBytes, cuts, (bytes, positions) => {
      expect(parse(cutAt(bytes, positions))).toEqual(parse([bytes]));
    }),
    { numRuns: 20_000 },
  );
});

test('the client survives any bytes, with exactly one last callback', async () => {
  await fc.assert(
    fc.asyncProperty(hostileBytes, cuts, fc.boolean(), async (bytes, positions, cut) => {
      pieces = cutAt(bytes, positions);
      isCut = cut;
      const answer = await receive();
      expect(answer.events.filter((event) => event === 'end' || event === 'error')).toHaveLength(1);
      expect(['end', 'error']).toContain(answer.events.at(-1));
      if (!cut) expectSameAsParser(answer, parse([bytes]));
    }),
    { numRuns: 400 },
  );
});

function expectSameAsParser(answer: Recorder, outcome: Outcome): void {
  if (outcome.end === 'refused') expect(answer.error?.reason).toBe('protocol');
  else if (outcome.end === 'open') expect(answer.error?.reason).toBe('reset');
  else expect({ status: answer.status, body: answer.body }).toEqual({ status: outcome.status, body: outcome.body });
}

/** One call by a client of its own: the server ends every connection, so a kept one would be stale. */
async function receive(): Promise<Recorder> {
  const client = newClient(server.port);
  const answer = new Recorder();
  client.request(GET, answer);
  await answer.over();
  await within('the client to close', client.close());
  expect(client.openSockets).toBe(0);
  return answer;
}

const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/).map((name) => `x-${name}`);
const value = fc.stringMatching(/^[!-~\xa1-\xff]([ -~\t]{0,30}[!-~])?$/);
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));

/** A response that is right, in all the ways the grammar allows. */
const validResponse = fc
  .record({
    minor: fc.constantFrom(0, 1),
    status: fc.integer({ min: 200, max: 599 }),
    reason: fc.stringMatching(/^[ -~]{0,12}$/),
    interim: fc.nat({ max: 2 }),
    fields: fc.uniqueArray(fc.tuple(token, value), { maxLength: 6, selector: ([name]) => name }),
    blank: fc.constantFrom('', ' ', '\t', '  '),
    framing: fc.constantFrom('length', 'chunked', 'close'),
    chunks: fc.array(body, { maxLength: 4 }),
    extension: fc.constantFrom('', ';a', ';a=b', ';a="b\\"c"'),
    trailer: fc.constantFrom('', 'x-trailer: y\r\n'),
  })
  .filter(({ minor, framing }) => minor === 1 || framing !== 'chunked');

type ValidResponse = typeof validResponse extends fc.Arbitrary<infer T> ? T : never;

function render(response: ValidResponse): Buffer {
  const { minor, status, reason, interim, fields, blank } = response;
  const head = [
    'HTTP/1.1 102 Processing\r\nx-a: b\r\n\r\n'.repeat(interim),
    `HTTP/1.${minor} ${status} ${reason}\r\n`,
    ...fields.map(([name, text]) => `${name}:${blank}${text}${blank}\r\n`),
  ].join('');
  const hasBody = status !== 204 && status !== 304;
  return Buffer.from(head + (hasBody ? renderBody(response) : '\r\n'), 'latin1');
}

function renderBody({ framing, chunks, extension, trailer }: ValidResponse): string {
  const whole = chunks.join('');
  if (framing === 'close') return `\r\n${whole}`;
  if (framing === 'length') return `content-length: ${whole.length}\r\n\r\n${whole}`;
  const parts = chunks
    .filter((chunk) => chunk !== '')
    .map((chunk) => `${chunk.length.toString(16)}${extension}\r\n${chunk}\r\n`);
  return `Transfer-Encoding: chunked\r\n\r\n${parts.join('')}0${extension}\r\n${trailer}\r\n`;
}

test('valid responses read as they do with the client of node:http', async () => {
  await fc.assert(
    fc.asyncProperty(validResponse, cuts, async (response, positions) => {
      pieces = cutAt(render(response), positions);
      isCut = false;
      const answer = await receive();
      expect(answer.error).toBeUndefined();
      const ours = {
        status: answer.status,
        headers: response.fields.map(([name]) => answer.headers?.get(name)),
        body: answer.body,
      };
      expect(ours).toEqual(await readWithNode(response.fields.map(([name]) => name)));
    }),
    { numRuns: 300 },
  );
});

function readWithNode(names: readonly string[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = nodeRequest({ host: '127.0.0.1', port: server.port, agent: false }, (message) => {
      const chunks: Buffer[] = [];
      message.on('data', (chunk: Buffer) => chunks.push(chunk));
      message.on('error', reject);
      message.on('end', () =>
        resolve({
          status: message.statusCode,
          headers: names.map((name) => message.headers[name]),
          body: Buffer.concat(chunks).toString('latin1'),
        }),
      );
    });
    request.on('error', reject);
    request.end();
  });
}
