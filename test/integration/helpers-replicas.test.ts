/** The programs that tests of replicas run do what their helpers say, and never outlive a test. */
import { afterEach, describe, expect, test } from 'vitest';
import { printed, startNode } from '../helpers/child.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { waitFor, within } from '../helpers/wait.js';

describe('redis', () => {
  let redis: TestRedis;
  afterEach(async () => {
    await redis.stop();
  });

  test('answers, forgets everything when killed, and comes back on its port', async () => {
    redis = await startRedis();
    await redis.cli('SET', 'key', 'value');
    expect(await redis.cli('GET', 'key')).toBe('value');
    await redis.kill();
    await expect(redis.cli('PING')).rejects.toThrow('refused');
    await redis.restart();
    expect(await redis.cli('EXISTS', 'key')).toBe('0');
  });

  test('is silent while paused, and goes on afterwards', async () => {
    redis = await startRedis();
    redis.pause();
    const answer = redis.cli('PING');
    await expect(within('an answer', answer, 300)).rejects.toThrow('timed out');
    redis.resume();
    expect(await answer).toBe('PONG');
  });

  test('takes more of the command line', async () => {
    redis = await startRedis({ args: ['--requirepass', 'secret'] });
    expect(await redis.cli('--no-auth-warning', '-a', 'secret', 'PING')).toBe('PONG');
  });
});

test.each(['SIGKILL', 'SIGTERM'] as const)('a redis-server ends when its starter gets %s', async (signal) => {
  const script = `const { startRedis } = await import('./test/helpers/redis.ts');
    const redis = await startRedis();
    process.on('SIGTERM', () => process.exit(0));
    console.log('pid ' + (await redis.cli('INFO', 'server')).match(/process_id:(\\d+)/)[1]);
    setInterval(() => {}, 1000);`;
  const starter = startNode(['--import', 'tsx', '--input-type=module', '-e', script]);
  const pid = Number(await printed(starter, /pid (\d+)/));
  expect(isAlive(pid)).toBe(true);
  await starter.stop(signal);
  await waitFor('its end', () => !isAlive(pid));
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
