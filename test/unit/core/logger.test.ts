import { mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLogger, type Logger } from '../../../src/core/logger.js';
import type { LoggingOptions, LogLevel } from '../../../src/core/logging-options.js';

const clock = { now: () => 0, wallTimeMs: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678) };

class Sink extends Writable {
  isTTY = false;
  text = '';
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

function open(options: Partial<LoggingOptions> = {}, stream = new Sink()) {
  const logger = createLogger({ level: 'info', format: 'json', file: undefined, ...options }, { stream, clock });
  return { logger, stream, lines: () => stream.text.split('\n').slice(0, -1) };
}

async function logged(write: (logger: Logger) => void, options: Partial<LoggingOptions> = {}): Promise<string[]> {
  const { logger, lines } = open(options);
  write(logger);
  await logger.close();
  return lines();
}

describe('JSON lines', () => {
  test('carry ts, level, event and msg first, then the fields', async () => {
    const [line] = await logged((logger) =>
      logger.child({ route: 'sumit' }).warn('upstream.lost', 'gone', { requestId: 7 }),
    );
    expect(line).toBe(
      '{"ts":"2026-01-02T03:04:05.678Z","level":"warn","event":"upstream.lost","msg":"gone","route":"sumit","requestId":7}',
    );
  });

  test('cannot have their own keys replaced by fields', async () => {
    const [line = ''] = await logged((logger) => logger.info('a', 'b', { level: 'x', ts: 1, event: 'y', msg: 'z' }));
    expect(JSON.parse(line)).toEqual({ ts: '2026-01-02T03:04:05.678Z', level: 'info', event: 'a', msg: 'b' });
  });

  test.each(['authorization', 'Cookie', 'accessToken', 'client_secret', 'password', 'x-api-key'])(
    'leave out the value of %s, nested too',
    async (key) => {
      const [line = ''] = await logged((logger) =>
        logger.info('a', 'b', { [key]: 'canary', headers: { [key]: 'canary' }, list: [{ [key]: 'canary' }] }),
      );
      expect(line).not.toContain('canary');
      expect(line.match(/\[redacted\]/g)).toHaveLength(3);
    },
  );

  test('show an error with its code and cause', async () => {
    const error = Object.assign(new Error('no', { cause: new Error('why') }), { code: 'ENO' });
    const [line = ''] = await logged((logger) => logger.error('a', 'b', { error }));
    expect(JSON.parse(line).error).toMatchObject({
      name: 'Error',
      message: 'no',
      code: 'ENO',
      cause: { message: 'why' },
    });
  });

  test('survive cycles, big integers and very long text', async () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const [line = ''] = await logged((logger) => logger.info('a', 'b', { cycle, big: 1n, long: 'x'.repeat(20_000) }));
    expect(line).toContain('[too deep]');
    expect(JSON.parse(line).big).toBe('1');
    expect(line.length).toBeLessThan(10_000);
  });

  test('stay one parseable line whatever the text is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), async (msg, value) => {
        const lines = await logged((logger) => logger.info('e', msg, { value }));
        expect(lines).toHaveLength(1);
        expect(JSON.parse(lines[0] ?? '').value).toBe(value);
        expect(lines[0]).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
      }),
      { numRuns: 100 },
    );
  });
});

describe('pretty lines', () => {
  test('show time, level, message and fields without colour off a terminal', async () => {
    const lines = await logged((logger) => logger.info('a', 'hello', { route: 'sumit', text: 'two words' }), {
      format: 'pretty',
    });
    expect(lines).toEqual(['03:04:05.678 INFO  hello route=sumit text="two words"']);
  });

  test('escape line breaks, terminal escapes and direction marks in message, keys and values', async () => {
    const lines = await logged((logger) => logger.info('a', 'x\n\u001b[2J\u202e', { 'k\n': '\u001b]0;\u0007' }), {
      format: 'pretty',
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(lines[0]).toContain(String.raw`x\u000a\u001b[2J\u202e`);
  });

  test('are chosen by auto on a terminal only', async () => {
    const stream = new Sink();
    stream.isTTY = true;
    const { logger } = open({ format: 'auto' }, stream);
    logger.info('a', 'hello');
    await logger.close();
    expect(stream.text).toContain('hello');
    expect(stream.text).not.toContain('{');
    expect((await logged((other) => other.info('a', 'b'), { format: 'auto' }))[0]).toMatch(/^\{/);
  });
});

describe('levels', () => {
  const order: LogLevel[] = ['error', 'warn', 'info', 'debug'];
  test.each(order)('%s writes itself and what is more important', async (level) => {
    const lines = await logged(
      (logger) => {
        for (const each of order) logger[each]('e', each);
        for (const each of order) logger.child({ route: 'r' })[each]('e', each);
      },
      { level },
    );
    const expected = order.slice(0, order.indexOf(level) + 1);
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual([...expected, ...expected]);
  });

  test('tell whether debug is on', () => {
    expect(open({ level: 'debug' }).logger.child({}).debugEnabled).toBe(true);
    expect(open({ level: 'info' }).logger.debugEnabled).toBe(false);
  });
});

describe('a log that cannot be written', () => {
  test('does not throw when the reader went away', async () => {
    const stream = new Sink();
    const { logger } = open({}, stream);
    stream.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    logger.info('a', 'b');
    await logger.close();
    expect(stream.text).toBe('');
  });

  test('drops lines after close', async () => {
    const { logger, lines } = open();
    logger.info('a', 'one');
    await logger.close();
    logger.info('a', 'two');
    await logger.close();
    expect(lines()).toHaveLength(1);
  });

  test('loses lines on a full disk and goes on', async () => {
    const logger = createLogger({ level: 'info', format: 'json', file: '/dev/full' });
    logger.info('a', 'b');
    logger.info('a', 'c');
    await expect(logger.close()).resolves.toBeUndefined();
  });

  test('says at once that a file cannot be opened', () => {
    expect(() => createLogger({ level: 'info', format: 'json', file: '/nonexistent/x.log' })).toThrow(/ENOENT/);
  });
});

test('appends to a file and follows its rotation', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'log-')), 'gateway.log');
  writeFileSync(file, 'before\n');
  const first = createLogger({ level: 'info', format: 'auto', file });
  first.info('a', 'one');
  await first.close();
  const second = createLogger({ level: 'info', format: 'auto', file });
  renameSync(file, `${file}.1`);
  second.reopen();
  second.info('a', 'two');
  await second.close();
  expect(readFileSync(`${file}.1`, 'utf8')).toMatch(/^before\n\{.*"msg":"one"\}\n$/);
  expect(readFileSync(file, 'utf8')).toMatch(/^\{.*"msg":"two"\}\n$/);
});
