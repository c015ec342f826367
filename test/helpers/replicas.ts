/** Several gateways that share a Redis, each a process that runs the build, behind one load balancer. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Nginx, startNginx } from './nginx.js';
import type { TestRedis } from './redis.js';
import { SystemProcess } from './system-process.js';
import { waitFor } from './wait.js';

const START_TIMEOUT_MS = 30_000;
const SECRET = 'a secret that all replicas of a test share';

type Section = Readonly<Record<string, unknown>>;

export interface ReplicasOptions {
  readonly count: number;
  /** Without one they know nothing of each other. */
  readonly redis?: Pick<TestRedis, 'url'>;
  /** What gateway.yaml says besides `server.port`, `redis.url`, `cluster.listen` and `cluster.secret`. */
  readonly config: Section;
  readonly env?: Readonly<Record<string, string>>;
  /** More files beside each gateway.yaml, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface Replica {
  /** Where it is reached without the load balancer; another one after a restart. */
  readonly url: string;
  readonly port: number;
  /** What it calls itself in its log; another one after a restart. */
  readonly id: string;
  /** Everything that its processes have printed so far. */
  readonly output: string;
  /** SIGTERM. Resolves with the exit code when it has ended; the load balancer is not told. */
  terminate(): Promise<number | null>;
  /** SIGKILL. Resolves when it has ended; the load balancer is not told. */
  kill(): Promise<void>;
  /** SIGSTOP: connections are still accepted, nothing is answered. */
  pause(): void;
  /** SIGCONT */
  resume(): void;
  /** Starts another in its place; kills it first if it runs. Resolves when it is ready and behind the load balancer. */
  restart(): Promise<void>;
}

export interface Replicas {
  /** Through the load balancer, without a slash at the end. */
  readonly url: string;
  readonly nginx: Nginx;
  readonly replicas: readonly Replica[];
  /** The folder of a replica's gateway.yaml and other files. */
  directoryOf(index: number): string;
  /** Ends everything at once, and removes all files. May be called again. */
  stop(): Promise<void>;
}

export async function startReplicas(options: ReplicasOptions): Promise<Replicas> {
  const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-replicas-'));
  const replicas = Array.from({ length: options.count }, (_, index) => new ReplicaProcess(join(directory, `${index}`)));
  let nginx: Nginx | undefined;
  const stop = async () => {
    await Promise.all([nginx?.stop(), ...replicas.map((each) => each.kill())]);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    for (const each of replicas) await each.prepare(options);
    await Promise.all(replicas.map((each) => each.start()));
    const started = await startNginx({ ports: replicas.map(({ port }) => port) });
    nginx = started;
    for (const each of replicas) each.onRestarted = () => started.setPorts(replicas.map(({ port }) => port));
    const directoryOf = (index: number) => join(directory, `${index}`);
    return { url: started.url, nginx: started, replicas, directoryOf, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

class ReplicaProcess implements Replica {
  onRestarted: () => Promise<void> = async () => {};
  readonly #directory: string;
  #env: Readonly<Record<string, string>> = {};
  #process: SystemProcess | undefined;
  #pastOutput = '';
  #facts = { url: '', id: '' };

  constructor(directory: string) {
    this.#directory = directory;
  }

  get url(): string {
    return this.#facts.url;
  }

  get port(): number {
    return Number(new URL(this.#facts.url).port);
  }

  get id(): string {
    return this.#facts.id;
  }

  get output(): string {
    return this.#pastOutput + (this.#process?.output ?? '');
  }

  /** Writes its files. */
  async prepare({ config, redis, env, files }: ReplicasOptions): Promise<void> {
    const folder = this.#directory;
    await mkdir(folder);
    await writeFile(join(folder, 'gateway.yaml'), stringify(configOf(config, redis)));
    for (const [name, content] of Object.entries(files ?? {})) await writeFile(join(folder, name), content);
    this.#env = env ?? {};
  }

  async start(): Promise<void> {
    const args = ['dist/cli/main.js', '--config', join(this.#directory, 'gateway.yaml')];
    const started = SystemProcess.start({ file: process.execPath, env: {} }, args, { env: this.#env });
    this.#process = started;
    this.#facts = await waitFor('a replica to start', () => factsIn(started), START_TIMEOUT_MS);
    await waitFor('a replica to be ready', () => isReady(this.url, started), START_TIMEOUT_MS);
  }

  async terminate(): Promise<number | null> {
    this.#process?.signal('SIGTERM');
    return (await this.#process?.exited()) ?? null;
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
    this.#pastOutput = this.output;
    this.#process = undefined;
    await this.start();
    await this.onRestarted();
  }
}

function configOf(config: Section, redis: ReplicasOptions['redis']): Section {
  const merged = { version: 1, ...config, server: { ...(config['server'] as Section | undefined), port: 0 } };
  if (redis === undefined) return merged;
  return {
    ...merged,
    redis: { ...(config['redis'] as Section | undefined), url: redis.url },
    cluster: { listen: '127.0.0.1:0', secret: [SECRET], ...(config['cluster'] as Section | undefined) },
  };
}

/** From its log. @throws {Error} it ended instead */
function factsIn(started: SystemProcess): { url: string; id: string } | undefined {
  if (started.hasEnded) throw new Error(`a replica ended at once:\n${started.output}`);
  const url = /"event":"gateway_started".*?"address":"(http:[^"]+)"/.exec(started.output)?.[1];
  const id = /"event":"listening".*?"replica":"([^"]+)"/.exec(started.output)?.[1];
  return url === undefined || id === undefined ? undefined : { url, id };
}

async function isReady(url: string, started: SystemProcess): Promise<boolean> {
  if (started.hasEnded) throw new Error(`a replica ended before it was ready:\n${started.output}`);
  const response = await fetch(`${url}/readyz`).catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}
