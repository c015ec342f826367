import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { RequestWriter } from '../../../src/http-client/request-writer.js';
import type { HttpRequest } from '../../../src/http-client/types.js';

/** Takes down what is written and how often; never connected. */
class RecordingSocket extends Socket {
  readonly written: Buffer[] = [];

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: () => void): void {
    this.written.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk));
    done();
  }

  override _writev(chunks: readonly { chunk: Buffer | string; encoding: BufferEncoding }[], done: () => void): void {
    this.written.push(
      Buffer.concat(
        chunks.map(({ chunk, encoding }) => (typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)),
      ),
    );
    done();
  }
}

/** What was written by the end of the turn. */
async function write(request: HttpRequest): Promise<{ written: Buffer[]; isWritten: boolean }> {
  const writer = new RequestWriter('example.com:8080');
  const socket = new RecordingSocket();
  writer.check(request);
  const isWritten = writer.write(socket, request, () => {});
  await new Promise((resolve) => setImmediate(resolve));
  return { written: socket.written, isWritten };
}

const START = 'host: example.com:8080\r\naccept-encoding: identity\r\n';

test('sends head and body in one write', async () => {
  const { written, isWritten } = await write({
    method: 'POST',
    path: '/mcp?a=b',
    headers: 'x: \xe9\r\n',
    body: Buffer.from('{"é":1}'),
  });
  expect(written.map(String)).toHaveLength(1);
  expect(written[0]?.toString('latin1')).toBe(
    `POST /mcp?a=b HTTP/1.1\r\n${START}x: \xe9\r\ncontent-length: 8\r\n\r\n${Buffer.from('{"é":1}').toString('latin1')}`,
  );
  expect(isWritten).toBe(true);
});

test('sends a large body in the same system call, uncopied, and says when it is out', async () => {
  const body = Buffer.alloc(100_000, 'x');
  const { written, isWritten } = await write({ method: 'POST', path: '/', headers: '', body });
  expect(written).toHaveLength(1);
  expect(written[0]?.toString()).toBe(`POST / HTTP/1.1\r\n${START}content-length: 100000\r\n\r\n${body.toString()}`);
  expect(isWritten).toBe(false);
});

test('gives a length only where there may be a body', async () => {
  const headOf = async (method: HttpRequest['method']): Promise<string> =>
    String((await write({ method, path: '/', headers: '' })).written[0]);
  expect(await headOf('GET')).toBe(`GET / HTTP/1.1\r\n${START}\r\n`);
  expect(await headOf('DELETE')).toBe(`DELETE / HTTP/1.1\r\n${START}\r\n`);
  expect(await headOf('POST')).toBe(`POST / HTTP/1.1\r\n${START}content-length: 0\r\n\r\n`);
});

test.each(['', 'x', '*', '//\r\n', '/a b', '/a\nb', '/é', '/a\0', '/a#b', 'http://other/'])(
  'refuses the path %j',
  (path) => {
    expect(() => new RequestWriter('h').check({ method: 'GET', path, headers: '' })).toThrow('illegal request path');
  },
);

test.each(['x: \u010a\r\n', 'x: \0\r\n', 'x: \x7f\r\n', 'x: y', 'x: y\n'])('refuses the header block %j', (headers) => {
  expect(() => new RequestWriter('h').check({ method: 'GET', path: '/', headers })).toThrow(TypeError);
});
