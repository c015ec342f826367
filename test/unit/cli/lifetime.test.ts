import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { untilStopped } from '../../../src/cli/lifetime.js';
import type { Logger } from '../../../src/core/logger.js';

/** A promise with its ends outside. */
function deferred() {
  let resolve: () => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve: () => resolve(), reject: () => reject(new Error('no')) };
}

/** A gateway that is still starting. */
function starting() {
  const source = new EventEmitter();
  const events: string[] = [];
  const clock = { nowMs: 0 };
  const log = (event: string) => void events.push(event);
  const logger: Logger = { error: log, warn: log, info: log, debug: log, debugEnabled: false, child: () => logger };
  const [start, drain] = [deferred(), deferred()];
  const gateway = {
    stop: () => {
      events.push('stop');
      return drain.promise;
    },
    kill: () => {
      events.push('kill');
      return Promise.resolve();
    },
    reload: async () => void events.push('reload'),
    reopenFiles: async () => void events.push('reopen'),
  };
  const code = untilStopped(
    () => start.promise.then(() => gateway),
    logger,
    source,
    () => clock.nowMs,
  );
  return { source, events, clock, code, start, drained: drain.resolve, failed: drain.reject };
}

async function started() {
  const all = starting();
  all.start.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  return all;
}

test.each(['SIGTERM', 'SIGINT'])('%s drains and ends with 0', async (signal) => {
  const { source, events, code, drained } = await started();
  source.emit(signal);
  drained();
  expect(await code).toBe(0);
  expect(events).toEqual(['signal', 'stop']);
  expect(source.eventNames()).toEqual([]);
});

test('a second signal ends at once', async () => {
  const { source, events, clock, code } = await started();
  source.emit('SIGTERM');
  clock.nowMs = 60;
  source.emit('SIGINT');
  expect(await code).toBe(130);
  expect(events).toEqual(['signal', 'stop', 'killed', 'kill']);
});

test('one key press that arrives twice is one signal', async () => {
  const { source, events, clock, code, drained } = await started();
  source.emit('SIGINT');
  clock.nowMs = 5;
  source.emit('SIGINT');
  drained();
  expect(await code).toBe(0);
  expect(events).toEqual(['signal', 'stop']);
});

test('SIGHUP reloads and SIGUSR2 reopens files, as long as it does not stop', async () => {
  const { source, events, code, drained } = await started();
  source.emit('SIGHUP');
  source.emit('SIGUSR2');
  expect(events).toEqual(['reload', 'reopen']);
  source.emit('SIGTERM');
  source.emit('SIGHUP');
  source.emit('SIGUSR2');
  drained();
  expect(await code).toBe(0);
  expect(events).toEqual(['reload', 'reopen', 'signal', 'stop']);
});

test('SIGHUP while it starts does not end it', async () => {
  const { source, events, code, start, drained } = starting();
  source.emit('SIGHUP');
  start.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  source.emit('SIGTERM');
  drained();
  expect(await code).toBe(0);
  expect(events).toEqual(['signal', 'stop']);
});

test.each(['uncaughtException', 'unhandledRejection'])('%s drains and ends with 70', async (event) => {
  const { source, events, code, drained } = await started();
  source.emit(event, new Error('bug'));
  source.emit(event, new Error('another'));
  drained();
  expect(await code).toBe(70);
  expect(events).toEqual(['fatal', 'stop', 'fatal']);
});

test('a drain that fails ends with 70', async () => {
  const { source, events, code, failed } = await started();
  source.emit('SIGTERM');
  failed();
  expect(await code).toBe(70);
  expect(events).toEqual(['signal', 'stop', 'drain_failed']);
});

test('a signal while it starts drains it as soon as it has started', async () => {
  const { source, events, code, start, drained } = starting();
  source.emit('SIGTERM');
  expect(events).toEqual(['signal']);
  start.resolve();
  drained();
  expect(await code).toBe(0);
  expect(events).toEqual(['signal', 'stop']);
});

test('two signals end a start that hangs', async () => {
  const { source, clock, code } = starting();
  source.emit('SIGTERM');
  clock.nowMs = 60;
  source.emit('SIGTERM');
  expect(await code).toBe(143);
  expect(source.eventNames()).toEqual([]);
});

test('a start that fails is passed on', async () => {
  const { source, events, code, start } = starting();
  source.emit('SIGTERM');
  start.reject();
  await expect(code).rejects.toThrow('no');
  expect(events).toEqual(['signal']);
  expect(source.eventNames()).toEqual([]);
});
