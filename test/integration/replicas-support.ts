/**
 * Replicas in this process, each behind proxies that can take it off the network: as dead to everybody else as after a crash.
 * And what tests of them run against: a Redis for each file, a good and a bad server for each test.
 */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { stringify } from 'yaml';
import { ChaosProxy } from '../helpers/chaos-proxy.js';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { freePort } from '../helpers/free-port.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { type InProcessGateway, startTestGateway, type TestGatewayOptions } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import { closeAll as closePeers } from './cluster-support.js';
import {
  BareSse,
  BareStreamable,
  type BareClient,
  type ClientKind,
  PATIENCE_MS,
  type Reply,
} from './sessions-support.js';

export const SECRET = 'a secret that all replicas of a test share';
/** For replicas that wait for what is under way when they stop. */
export const PATIENT = { server: { drain: { timeout: '20s' } } };

type Config = Readonly<Record<string, unknown>>;
type Headers = Readonly<Record<string, string>>;
type ReplicaOptions = TestGatewayOptions & { readonly secret?: string };

export interface Status {
  readonly replica: string;
  readonly replicas: readonly string[];
}

export class TestReplica {
  readonly gateway: InProcessGateway;
  /** Of its listener for other replicas. */
  readonly peerPort: number;
  readonly #front: ChaosProxy;
  readonly #toRedis: ChaosProxy;
  readonly #proxies: readonly ChaosProxy[];

  private constructor(
    gateway: InProcessGateway,
    peerPort: number,
    front: ChaosProxy,
    toRedis: ChaosProxy,
    toPeers: ChaosProxy,
  ) {
    this.gateway = gateway;
    this.peerPort = peerPort;
    this.#front = front;
    this.#toRedis = toRedis;
    this.#proxies = [front, toRedis, toPeers];
  }

  static async start(redis: TestRedis, config: Config, options: ReplicaOptions = {}): Promise<TestReplica> {
    const peerPort = await freePort();
    const toRedis = await ChaosProxy.start(redis.port);
    const toPeers = await ChaosProxy.start(peerPort);
    const { secret = SECRET, ...rest } = options;
    const cluster = {
      listen: `127.0.0.1:${peerPort}`,
      advertise: `http://127.0.0.1:${toPeers.port}`,
      secret,
    };
    const url = `redis://127.0.0.1:${toRedis.port}`;
    try {
      const gateway = await startTestGateway(stringify({ version: 1, redis: { url }, cluster, ...config }), rest);
      const front = await ChaosProxy.start(gateway.port);
      return new TestReplica(gateway, peerPort, front, toRedis, toPeers);
    } catch (error) {
      await Promise.all([toRedis.close(), toPeers.close()]);
      throw error;
    }
  }

  /** Through a proxy, as all of its connections are. */
  get url(): string {
    return this.#front.through(this.gateway.url).replace(/\/$/, '');
  }

  /** Nobody reaches it any more, and it reaches neither Redis nor clients. */
  cutOff(): void {
    for (const proxy of this.#proxies) cut(proxy);
  }

  /** It does not reach Redis any more; everything else is as it was. */
  loseRedis(): void {
    cut(this.#toRedis);
  }

  /** The network is as it was. */
  heal(): void {
    for (const proxy of this.#proxies) proxy.heal();
  }

  async status(headers: Headers = {}): Promise<Status> {
    return (await (await fetch(`${this.gateway.url}/status`, { headers })).json()) as Status;
  }

  /** Sessions of a route that are here. */
  async connections(prefix: string): Promise<number> {
    const status = (await (await fetch(`${this.gateway.url}/${prefix}/status`)).json()) as { connections: number };
    return status.connections;
  }

  /** A counter of `/metrics`. */
  async counted(name: string): Promise<number> {
    const text = await (await fetch(`${this.gateway.url}/metrics`)).text();
    const line = text.split('\n').find((each) => each.startsWith(`mcp_gateway_${name} `));
    if (line === undefined) throw new Error(`no ${name} in ${text}`);
    return Number(line.slice(line.lastIndexOf(' ')));
  }

  forwarded(direction: 'in' | 'out'): Promise<number> {
    return this.counted(`forwarded_total{direction="${direction}"}`);
  }

  /** As its operator stops it: what is under way ends well, and where it listened connections are refused, as without proxies in between. */
  async shutDown(): Promise<void> {
    await this.gateway.stop();
    for (const proxy of this.#proxies) proxy.refuseNew();
  }

  async stop(): Promise<void> {
    await this.gateway.stop();
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
  }
}

function cut(proxy: ChaosProxy): void {
  proxy.conditions.accept = 'reset';
  proxy.resetAll();
}

/** Until all know of each other. */
export async function acquainted(replicas: readonly TestReplica[], headers: Headers = {}): Promise<void> {
  await waitFor(
    'all replicas to know each other',
    async () => {
      const statuses = await Promise.all(replicas.map((replica) => replica.status(headers)));
      return statuses.every((status) => status.replicas.length === replicas.length);
    },
    PATIENCE_MS,
  );
}

/** What a test of replicas runs against. */
export interface ReplicaSurroundings {
  /** Empty when a test begins. */
  readonly redis: TestRedis;
  readonly upstream: SdkUpstream;
  readonly evil: EvilUpstream;
}

export interface ReplicaFixture {
  /** What every replica is configured with: the good server at `sdk-*`, the bad one at `evil-*`, and no waiting for anything at the end. */
  readonly configuration: (more?: Config) => Record<string, unknown>;
  /** @param store Default: the Redis of the file. */
  readonly startReplica: (more?: Config, options?: ReplicaOptions, store?: TestRedis) => Promise<TestReplica>;
  /** @param headers What `/status` asks for. */
  readonly startPair: (more?: Config, headers?: Headers) => Promise<[TestReplica, TestReplica]>;
  /** Stops all that run, before their test ends. */
  readonly stopReplicas: () => Promise<void>;
  /** Closes it behind the test. */
  readonly kept: <C extends { close(): void }>(client: C) => C;
}

/**
 * Registers what starts the surroundings of each test of a file, and what closes them behind it, with all that the test has started or kept.
 *
 * @param onStarted Is told before each test what to use.
 */
export function replicaFixture(onStarted: (surroundings: ReplicaSurroundings) => void): ReplicaFixture {
  const replicas: TestReplica[] = [];
  const clients: { close(): void }[] = [];
  let redis: TestRedis;
  let upstream: SdkUpstream;
  let evil: EvilUpstream;

  beforeAll(async () => {
    redis = await startRedis();
  });
  beforeEach(async () => {
    upstream = await startSdkUpstream();
    evil = await EvilUpstream.start();
    onStarted({ redis, upstream, evil });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await stopReplicas();
    await closePeers();
    await evil.close();
    await upstream.close();
    await redis.cli('FLUSHALL');
  });
  afterAll(() => redis.stop());

  function configuration(more: Config = {}): Record<string, unknown> {
    return { server: { drain: { timeout: '0s' } }, upstreams: routesTo(upstream, evil), ...more };
  }

  async function startReplica(more: Config = {}, options: ReplicaOptions = {}, store = redis): Promise<TestReplica> {
    const replica = await TestReplica.start(store, configuration(more), options);
    replicas.push(replica);
    return replica;
  }

  async function startPair(more: Config = {}, headers: Headers = {}): Promise<[TestReplica, TestReplica]> {
    const pair: [TestReplica, TestReplica] = [await startReplica(more), await startReplica(more)];
    await acquainted(pair, headers);
    return pair;
  }

  async function stopReplicas(): Promise<void> {
    await Promise.all(replicas.splice(0).map((replica) => replica.stop()));
  }

  function kept<C extends { close(): void }>(client: C): C {
    clients.push(client);
    return client;
  }

  return { configuration, startReplica, startPair, stopReplicas, kept };
}

function routesTo(upstream: SdkUpstream, evil: EvilUpstream): object[] {
  return [
    { url: upstream.urls.sse, prefix: 'sdk-sse' },
    { url: upstream.urls.streamable, prefix: 'sdk-streamable-http' },
    { url: evil.sseUrl, prefix: 'evil-sse' },
    { url: evil.mcpUrl, prefix: 'evil-streamable-http' },
  ];
}

/** The same session, reached at another replica; streams stay where they are. */
export function at<C extends BareClient>(client: C, replica: TestReplica, prefix: string): C;
export function at(client: BareSse | BareStreamable, replica: TestReplica, prefix: string): BareClient {
  if (client instanceof BareStreamable) {
    const moved = BareStreamable.at(replica.url, prefix);
    moved.sessionId = client.sessionId;
    return moved;
  }
  const messagesUrl = `${replica.url}/${prefix}/messages?sessionId=${client.sessionId}`;
  return Object.create(client, {
    messagesUrl: { value: messagesUrl },
    sseUrl: { value: `${replica.url}/${prefix}/sse` },
  }) as BareSse;
}

export async function openReady(kind: 'sse', replica: TestReplica, prefix: string): Promise<BareSse>;
export async function openReady(kind: 'streamable-http', replica: TestReplica, prefix: string): Promise<BareStreamable>;
export async function openReady(
  kind: ClientKind,
  replica: TestReplica,
  prefix: string,
): Promise<BareSse | BareStreamable>;
export async function openReady(
  kind: ClientKind,
  replica: TestReplica,
  prefix: string,
): Promise<BareSse | BareStreamable> {
  const open = kind === 'sse' ? BareSse.open(replica.url, prefix) : BareStreamable.open(replica.url, prefix);
  const client = await open;
  await client.notify('notifications/initialized');
  return client;
}

/** Asks again while nobody can be reached who has the session; such a request was not executed. */
export async function requestWhenReachable(client: BareClient, method: string, params = {}): Promise<Reply> {
  return waitFor(
    `an answer to ${method}`,
    () =>
      client.request(method, params).catch((error: unknown) => {
        if (String(error).includes('HTTP 503')) return undefined;
        throw error;
      }),
    2 * PATIENCE_MS,
  );
}
