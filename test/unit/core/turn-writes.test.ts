import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { turnWrites } from '../../../src/core/turn-writes.js';

const log: string[] = [];

/** Takes down when it is written to; never connected. */
class RecordingSocket extends Socket {
  readonly #name: string;

  constructor(name: string) {
    super();
    this.#name = name;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    log.push(`${this.#name}: ${chunk.toString()}`);
    done();
  }

  override _writev(chunks: readonly { chunk: Buffer }[], done: () => void): void {
    log.push(`${this.#name}: ${chunks.map(({ chunk }) => chunk.toString()).join('+')}`);
    done();
  }
}

function turnEnd(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('what is written in one turn goes out at its end, socket by socket, each in one write', async () => {
  log.length = 0;
  const [a, b] = [new RecordingSocket('a'), new RecordingSocket('b')];
  turnWrites.afterEnd(() => log.push(`after, ${a.writableLength} left`));
  for (const [socket, text] of [
    [a, '1'],
    [b, '2'],
    [a, '3'],
  ] as const) {
    turnWrites.hold(socket);
    socket.write(text);
  }
  turnWrites.beforeEnd(() => {
    log.push('before');
    turnWrites.hold(b);
    b.write('4');
  });
  await Promise.resolve();
  expect(log).toEqual([]);
  await turnEnd();
  expect(log).toEqual(['before', 'a: 1+3', 'b: 2+4', 'after, 0 left']);
  a.write('5');
  expect(log.at(-1)).toBe('a: 5');
});

test('what cannot wait goes at once, behind what was held back', () => {
  log.length = 0;
  const socket = new RecordingSocket('a');
  turnWrites.hold(socket);
  socket.write('small');
  turnWrites.release(socket);
  socket.write('large');
  expect(log).toEqual(['a: small', 'a: large']);
});

test('a socket that ends or is gone before the end of the turn is no trouble to the others', async () => {
  log.length = 0;
  const [ended, gone, other] = [
    new RecordingSocket('ended'),
    new RecordingSocket('gone'),
    new RecordingSocket('other'),
  ];
  for (const socket of [ended, gone, other]) {
    turnWrites.hold(socket);
    socket.write('x');
  }
  ended.end();
  gone.destroy();
  await turnEnd();
  expect(log).toEqual(['ended: x', 'other: x']);
});
