/**
 * What every scenario runs on: upstreams that count, Redis, replicas behind nginx, clients under load, and the history of it all,
 * which is kept in `.cache/chaos/` with the seed and the load of the machine.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { countingServer } from '../helpers/counting-server.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { type Replica, type Replicas, startReplicas } from '../helpers/replicas.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { delay } from '../helpers/wait.js';
import { CLIENT_KINDS } from '../integration/sessions-support.js';
import { ChaosClient } from './client.js';
import { type Allowances, History, quantile } from './history.js';
import { type Load, type LoadOptions, startLoad } from './load.js';
import { MachineWatch } from './machine.js';

/** Thorough before a release, quick in continuous integration. */
export const isFull = process.env['CHAOS_SCALE'] === 'full';
export const CYCLES = isFull ? 10 : 3;
/** Each takes every replica once. */
export const ROUNDS = isFull ? 10 : 1;
export const CALLS_PER_SECOND = 100;
const RESULTS = '.cache/chaos';
const UNCOUNTED = /^mcp_gateway_rate_limit_store_failures_total\{limit="(.+)"\} (\d+)$/gm;

/** Another one each time; set CHAOS_SEED to repeat a run. */
export const SEED = Number(process.env['CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Names of upstreams, by the transport between them and the gateway; also the prefixes of their routes. */
export const ROUTES = ['from-sse', 'from-http'] as const;

export interface RigOptions {
  /** Of the files that are written. */
  readonly name: string;
  readonly replicas: number;
  /** Default: yes. */
  readonly withRedis?: boolean;
  readonly tools: readonly string[];
  /** Sessions per kind of client and route. Default: 3. */
  readonly sessionsEach?: number;
  /** Of gateway.yaml, besides the upstreams. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export class Rig {
  readonly upstream: SdkUpstream;
  readonly fleet: Replicas;
  readonly clients: readonly ChaosClient[];
  readonly history: History;
  readonly machine: MachineWatch;
  readonly #loads: Load[] = [];
  readonly #redis: TestRedis | undefined;
  readonly #name: string;
  readonly #events: { readonly atMs: number; readonly event: string }[] = [];

  private constructor(
    name: string,
    upstream: SdkUpstream,
    redis: TestRedis | undefined,
    fleet: Replicas,
    clients: readonly ChaosClient[],
    history: History,
  ) {
    this.#name = name;
    this.upstream = upstream;
    this.#redis = redis;
    this.fleet = fleet;
    this.clients = clients;
    this.history = history;
    this.machine = new MachineWatch();
  }

  static async start(options: RigOptions): Promise<Rig> {
    const { name, replicas: count, withRedis = true, tools, sessionsEach = 3, config = {} } = options;
    const opened: (() => Promise<void>)[] = [];
    try {
      const upstream = await startSdkUpstream({ createServer: countingServer(tools) });
      opened.push(() => upstream.close());
      const redis = withRedis ? await startRedis() : undefined;
      if (redis !== undefined) opened.push(() => redis.stop());
      const urls = { 'from-sse': upstream.urls.sse, 'from-http': upstream.urls.streamable };
      const upstreams = ROUTES.map((prefix) => ({ url: urls[prefix], prefix, inFlight: 1000, policy: 'chaos' }));
      const policies = { chaos: { version: '1.0', name: 'chaos', default: 'allow', deny: ['forbidden*'] } };
      const fleet = await startReplicas({
        count,
        ...(redis === undefined ? {} : { redis }),
        config: { upstreams, policies, ...config },
      });
      opened.push(() => fleet.stop());
      const history = new History();
      const clients = await openClients(fleet.url, history, sessionsEach);
      await requireSpread(fleet.replicas);
      return new Rig(name, upstream, redis, fleet, clients, history);
    } catch (error) {
      for (const close of opened.toReversed()) await close();
      throw error;
    }
  }

  get redis(): TestRedis {
    if (this.#redis === undefined) throw new Error('this rig has no Redis');
    return this.#redis;
  }

  /** By nonce. */
  get executions(): ReadonlyMap<string, number> {
    return this.upstream.state.executions;
  }

  /** Executions of calls of a tool. */
  executed(tool: string): number {
    const calls = this.history.calls.filter((call) => call.tool === tool);
    return calls.reduce((sum, { nonce }) => sum + (this.executions.get(nonce) ?? 0), 0);
  }

  /**
   * Calls one after the other without waiting, each of the next client, so that all replicas see some.
   *
   * @param overMs how long it takes to send them
   * @returns how many were admitted
   */
  async burst(tool: string, count: number, overMs = 0): Promise<number> {
    const rounds = Array.from({ length: Math.ceil(count / this.clients.length) }, () => this.clients).flat();
    const calls = rounds.slice(0, count).map(async (client, index) => {
      if (overMs > 0) await delay((index * overMs) / count);
      return client.call(tool);
    });
    return (await Promise.all(calls)).filter(Boolean).length;
  }

  /** Calls of all clients, until they are told to stop. */
  startLoad(options: Omit<LoadOptions, 'clients' | 'seed'>): Load {
    const load = startLoad({ ...options, clients: this.clients, seed: SEED + this.#loads.length });
    this.#loads.push(load);
    return load;
  }

  /** Resolves when all calls of all loads have ended. */
  async stopLoads(): Promise<void> {
    await Promise.all(this.#loads.map((load) => load.stop()));
  }

  /**
   * Does something while Redis is there. A machine that stands still for longer than a replica waits for Redis makes for calls that were not
   * counted, and that many more or fewer may have been admitted.
   *
   * @returns what it returned, and how many calls Redis did not count in time for each limit
   */
  async withUncounted<T>(
    act: () => Promise<T>,
  ): Promise<{ readonly result: T; readonly uncounted: (limit: string) => number }> {
    const before = await this.#uncounted();
    const result = await act();
    const after = await this.#uncounted();
    return { result, uncounted: (limit) => (after.get(limit) ?? 0) - (before.get(limit) ?? 0) };
  }

  /** Writes down that something was done. @returns when, in ms of `performance.now()` */
  mark(event: string): number {
    const atMs = performance.now();
    this.#events.push({ atMs, event });
    return atMs;
  }

  replica(index: number): Replica {
    const replica = this.fleet.replicas[index];
    if (replica === undefined) throw new Error(`there is no replica ${index}`);
    return replica;
  }

  violations(allowances: Allowances = {}): string[] {
    return this.history.violations(this.executions, allowances);
  }

  /** Keeps the history on disk and prints the figures. */
  async report(figures: Readonly<Record<string, unknown>>, violations: readonly string[]): Promise<void> {
    const stamp = isFull ? `-${new Date().toISOString().replaceAll(/[:.]/g, '-')}` : '';
    const stalledShare = Number(this.machine.stalledShare.toFixed(3));
    const machine = {
      cpus: cpus().length,
      stalledShare,
      loadAverage: loadavg().map((value) => Number(value.toFixed(2))),
    };
    const facts = { scenario: this.#name, seed: SEED, cycles: CYCLES, machine, calls: this.history.calls.length };
    const calls = this.history.calls.map((call) => ({ ...call, executions: this.executions.get(call.nonce) ?? 0 }));
    const lines = [{ ...facts, figures, violations }, ...this.#events, ...calls].map((line) => JSON.stringify(line));
    await mkdir(RESULTS, { recursive: true });
    await writeFile(`${RESULTS}/${this.#name}${stamp}.jsonl`, `${lines.join('\n')}\n`);
    const logs = this.fleet.replicas.map((each, index) => `== replica ${index}\n${each.output}`);
    await writeFile(`${RESULTS}/${this.#name}${stamp}.log`, logs.join('\n'));
    await writeFile(`${RESULTS}/${this.#name}${stamp}.access.log`, (await this.fleet.nginx.requests()).join('\n'));
    console.log(JSON.stringify({ ...facts, figures, violations: violations.length }));
  }

  /** By the name of the limit, of all replicas since they began. */
  async #uncounted(): Promise<ReadonlyMap<string, number>> {
    const sums = new Map<string, number>();
    for (const { url } of this.fleet.replicas) {
      const text = await (await fetch(`${url}/metrics`)).text();
      for (const [, limit = '', count] of text.matchAll(UNCOUNTED))
        sums.set(limit, (sums.get(limit) ?? 0) + Number(count));
    }
    return sums;
  }

  async close(): Promise<void> {
    await this.machine.stop();
    await this.stopLoads();
    await Promise.all(this.clients.map((each) => each.close()));
    await this.fleet.stop();
    await this.#redis?.stop();
    await this.upstream.close();
  }
}

async function openClients(base: string, history: History, sessionsEach: number): Promise<ChaosClient[]> {
  const clients: ChaosClient[] = [];
  for (const kind of CLIENT_KINDS) {
    for (const prefix of ROUTES) {
      for (let index = 0; index < sessionsEach; index += 1) {
        clients.push(await ChaosClient.open({ kind, name: `${kind}-${prefix}-${index}`, base, prefix, history }));
        // Opening takes three requests: without one more, three replicas would leave all sessions to one of them.
        await (await fetch(`${base}/livez`)).text();
      }
    }
  }
  return clients;
}

/** @throws {Error} a replica holds no session, so that nothing would come of its end */
async function requireSpread(replicas: readonly Replica[]): Promise<void> {
  const held = await Promise.all(replicas.map(({ url }) => sessionsAt(url)));
  if (held.some((count) => count === 0)) throw new Error(`sessions are not spread over replicas: ${held.join(', ')}`);
}

async function sessionsAt(url: string): Promise<number> {
  const { routes } = (await (await fetch(`${url}/status`)).json()) as { routes: { readonly connections: number }[] };
  return routes.reduce((sum, { connections }) => sum + connections, 0);
}

/** For reports. */
export function summary(values: readonly number[]): Readonly<Record<string, number>> {
  const [p50, p99, max] = [0.5, 0.99, 1].map((fraction) => Math.round(quantile(values, fraction)));
  return { count: values.length, p50: p50 ?? Number.NaN, p99: p99 ?? Number.NaN, max: max ?? Number.NaN };
}
