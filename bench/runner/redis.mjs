/** A Redis of our own that keeps nothing, on the core of the load. */
import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { LOAD_CORE, start, stop, untilTrue } from './child.mjs';
import { freePort } from './free-port.mjs';

/** @returns {string | undefined} */
export function missingRedis() {
  return spawnSync('redis-server', ['--version']).status === 0 ? undefined : 'redis-server is not installed';
}

/** @returns {Promise<{ url: string, stop: () => Promise<void> }>} */
export async function startRedis() {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()];
  const child = start('redis-server', args, { core: LOAD_CORE, stdio: 'ignore' });
  try {
    await untilTrue('Redis answers', () => answers(port));
  } catch (error) {
    await stop(child);
    throw error;
  }
  return { url: `redis://127.0.0.1:${port}`, stop: () => stop(child) };
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    const settle = (isAnswer) => {
      socket.destroy();
      resolve(isAnswer);
    };
    socket.on('data', (chunk) => settle(chunk.toString().startsWith('+PONG')));
    socket.on('error', () => settle(false));
  });
}
