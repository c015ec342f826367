/** Child processes of a run: pinned to a core where that is possible, and never left behind. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';

const READY_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 8000;

/** The proxy has a core of its own; the server and the load share the other. */
export const PROXY_CORE = 0;
export const LOAD_CORE = 1;

export const canPin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ core: number, stdio: import('node:child_process').StdioOptions }} options
 */
export function start(command, args, { core, stdio }) {
  const pinned = canPin ? ['taskset', '-c', String(core), command, ...args] : [command, ...args];
  const child = spawn(pinned[0], pinned.slice(1), { stdio });
  running.add(child);
  child.on('exit', () => running.delete(child));
  child.on('error', () => running.delete(child));
  return child;
}

/**
 * Starts a program of ours that prints `ready PORT`.
 *
 * @param {string} file
 * @param {string[]} args
 * @param {number} core
 * @returns {Promise<{ child: import('node:child_process').ChildProcess, port: number }>}
 */
export async function startServer(file, args, core) {
  const child = start(process.execPath, [file, ...args], { core, stdio: ['ignore', 'pipe', 'inherit'] });
  const signal = AbortSignal.timeout(READY_TIMEOUT_MS);
  try {
    const [line] = await Promise.race([once(child.stdout, 'data', { signal }), exited(child, signal)]);
    return { child, port: Number(/^ready (\d+)/.exec(String(line))?.[1]) };
  } catch (error) {
    await stop(child);
    throw new Error(`${file} did not start`, { cause: error });
  }
}

async function exited(child, signal) {
  const [code] = await once(child, 'exit', { signal });
  throw new Error(`exit code ${code}`);
}

/** Asks it to end, and insists after a while. @param {import('node:child_process').ChildProcess} child */
export async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
}

/**
 * Waits until a server answers.
 *
 * @param {string} url
 * @param {(status: number) => boolean} isReady
 * @param {import('node:child_process').ChildProcess} child
 */
export async function untilReady(url, isReady, child) {
  try {
    await untilTrue(`${url} is ready`, async () => {
      if (child.exitCode !== null) throw new Error(`exit code ${child.exitCode}`);
      const { status } = await fetch(url).catch(() => ({ status: 0 }));
      return isReady(status);
    });
  } catch (error) {
    await stop(child);
    throw error;
  }
}

/** @param {string} what @param {() => Promise<boolean>} probe */
export async function untilTrue(what, probe) {
  const endMs = performance.now() + READY_TIMEOUT_MS;
  while (!(await probe())) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
