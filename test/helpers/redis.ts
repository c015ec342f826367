/** A real redis-server on loopback, empty and without persistence, that a test may kill, pause and bring back. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findTool } from '../../scripts/system-tools.mjs';
import { freePort } from './free-port.js';
import { SystemProcess } from './system-process.js';
import { requireTool } from './system-tools.js';
import { waitFor } from './wait.js';

const START_TIMEOUT_MS = 15_000;
const ATTEMPTS = 5;
/** Being connected says nothing: the kernel does that alone. */
const PING = 'PING\r\n';

export interface TestRedisOptions {
  /** Default: any free one. */
  readonly port?: number;
  /** More of redis-server's command line. */
  readonly args?: readonly string[];
}

export interface TestRedis {
  /** `redis://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  /** SIGKILL; resolves when it is gone, with everything it held. */
  kill(): Promise<void>;
  /** SIGSTOP: connections are still accepted, nothing is answered. */
  pause(): void;
  /** SIGCONT */
  resume(): void;
  /** Starts it again on the same port, empty; kills it first if it runs. Resolves when it answers. */
  restart(): Promise<void>;
  /** What `redis-cli args...` prints, without the line break at the end. */
  cli(...args: readonly string[]): Promise<string>;
  /** Ends it and removes its files. May be called again. */
  stop(): Promise<void>;
}

/** Resolves when it answers. Without redis-server on this machine, what $REDIS_URL names, which cannot be killed. */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const given = process.env['REDIS_URL'];
  if (findTool('redis-server') === undefined && given !== undefined) return new GivenRedis(given);
  const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-redis-'));
  try {
    return await startAnywhere(options, directory);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

async function startAnywhere(options: TestRedisOptions, directory: string): Promise<TestRedis> {
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort());
    const redis = new OwnRedis(port, directory, options.args ?? []);
    try {
      await redis.restart();
      return redis;
    } catch (error) {
      await redis.kill();
      // Somebody else may have taken the port meanwhile.
      if (options.port !== undefined || attempt === ATTEMPTS) throw error;
    }
  }
}

class OwnRedis implements TestRedis {
  readonly port: number;
  readonly #directory: string;
  readonly #args: readonly string[];
  #process: SystemProcess | undefined;

  constructor(port: number, directory: string, args: readonly string[]) {
    this.port = port;
    this.#directory = directory;
    this.#args = args;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async kill(): Promise<void> {
    await this.#process?.stop('SIGKILL');
  }

  pause(): void {
    this.#process?.pause();
  }

  resume(): void {
    this.#process?.resume();
  }

  async restart(): Promise<void> {
    await this.kill();
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#directory];
    const fleeting = ['--save', '', '--appendonly', 'no', '--daemonize', 'no'];
    const started = SystemProcess.start(requireTool('redis-server'), [...args, ...fleeting, ...this.#args]);
    this.#process = started;
    await waitFor('redis-server to answer', () => answers(this.port, started), START_TIMEOUT_MS);
  }

  async cli(...args: readonly string[]): Promise<string> {
    return runCli(['-h', '127.0.0.1', '-p', String(this.port), ...args]);
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Somebody else's server. */
class GivenRedis implements TestRedis {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  get port(): number {
    return Number(new URL(this.url).port || '6379');
  }

  async kill(): Promise<void> {
    return refuse('killed');
  }

  pause(): void {
    refuse('paused');
  }

  resume(): void {
    refuse('resumed');
  }

  async restart(): Promise<void> {
    return refuse('restarted');
  }

  cli(...args: readonly string[]): Promise<string> {
    return runCli(['-u', this.url, ...args]);
  }

  async stop(): Promise<void> {}
}

function refuse(what: string): never {
  throw new Error(`the server that $REDIS_URL names cannot be ${what}: install redis-server`);
}

async function runCli(args: readonly string[]): Promise<string> {
  const { file, env } = requireTool('redis-cli');
  const { stdout } = await promisify(execFile)(file, [...args], { env: { ...process.env, ...env } });
  return stdout.replace(/\n$/, '');
}

/** @throws {Error} it ended instead */
async function answers(port: number, server: SystemProcess): Promise<boolean> {
  if (server.hasEnded) throw new Error(`redis-server ended at once:\n${server.output}`);
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(PING));
    const settle = (verdict: boolean) => {
      socket.destroy();
      resolve(verdict);
    };
    socket.on('data', (reply) => settle(/^(\+PONG|-NOAUTH)/.test(reply.toString('latin1'))));
    socket.on('error', () => settle(false));
    socket.setTimeout(500, () => settle(false));
  });
}
