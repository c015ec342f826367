import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { untilStopped } from '../../../src/cli/lifetime.js';
import type { Logger } from '../../../src/core/logger.js';

function start() {
  const source = new EventEmitter();
  const events: string[] = [];
  const clock = { nowMs: 0 };
  const log = (event: string) => void events.push(event);
  const logger: Logger = { error: log, warn: log, info: log, debug: log, debugEnabled: false, child: () => logger };
  let drained: () => void = () => {};
  let failed: (error: Error) => void = () => {};
  const gateway = {
    stop: () => {
      events.push('stop');
      return new Promise<void>((resolve, reject) => {
        [drained, failed] = [resolve, reject];
      });
    },
    kill: () => {
      events.push('kill');
      return Promise.resolve();
    },
  };
  const code = untilStopped(gateway, logger, source, () => clock.nowMs);
  return { source, events, clock, code, drained: () => drained(), failed: () => failed(new Error('no')) };
}

test.each(['SIGTERM', 'SIGINT'])('%s drains and ends with 0', async (signal) => {
  const { source, events, code, drained } = start();
  source.emit(signal);
  drained();
  expect(await code).toBe(0);
  expect(events).toEqual(['signal', 'stop']);
  expect(source.eventNames()).toEqual([]);
});

test('a second signal ends at once', async () => {
  const { source, events, clock, code } = start();
  source.emit('SIGTERM');
  clock.nowMs = 60;
  source.emit('SIGINT');
  expect(await code).toBe(130);
  expect(events).toEqual(['signal', 'stop', 'killed', 'kill']);
});

test('one key press that arrives twice is one signal', async () => {
  const { source, events, clock, code, drained } = start();
  source.emit('SIGINT');
  clock.nowMs = 5;
  source.emit('SIGINT');
  drained();
  expect(await code).toBe(0);
  expect(events).toEqual(['signal', 'stop']);
});

test('SIGHUP changes nothing', async () => {
  const { source, events, code, drained } = start();
  source.emit('SIGHUP');
  expect(events).toEqual(['reload_unsupported']);
  source.emit('SIGTERM');
  drained();
  expect(await code).toBe(0);
});

test.each(['uncaughtException', 'unhandledRejection'])('%s drains and ends with 70', async (event) => {
  const { source, events, code, drained } = start();
  source.emit(event, new Error('bug'));
  source.emit(event, new Error('another'));
  drained();
  expect(await code).toBe(70);
  expect(events).toEqual(['fatal', 'stop', 'fatal']);
});

test('a drain that fails ends with 70', async () => {
  const { source, events, code, failed } = start();
  source.emit('SIGTERM');
  failed();
  expect(await code).toBe(70);
  expect(events).toEqual(['signal', 'stop', 'drain_failed']);
});
