/** Several real redis-servers that make up more than one: a master with a replica and a sentinel, and a cluster. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { startRedis, type TestRedis } from './redis.js';
import { SystemProcess } from './system-process.js';
import { requireTool } from './system-tools.js';
import { waitFor } from './wait.js';

const SLOTS = 16_384;

export interface WatchedRedis {
  /** `redis+sentinel://…/main` */
  readonly url: string;
  readonly master: TestRedis;
  readonly replica: TestRedis;
  stop(): Promise<void>;
}

export interface ClusteredRedis {
  /** `redis+cluster://…`, with the first node alone: the others have to be found. */
  readonly url: string;
  readonly nodes: readonly TestRedis[];
  stop(): Promise<void>;
}

/**
 * A master that its replica replaces about two seconds after it died.
 *
 * @param sentinelPassword Of the sentinel alone. Default: none.
 */
export async function startWatchedRedis(sentinelPassword?: string): Promise<WatchedRedis> {
  const master = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] });
  await waitFor('the replica to follow', async () => (await replica.cli('INFO')).includes('master_link_status:up'));
  const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-sentinel-'));
  const port = await freePort();
  const file = join(directory, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${directory}`,
    `sentinel monitor main 127.0.0.1 ${master.port} 1`,
    'sentinel down-after-milliseconds main 1000',
    'sentinel failover-timeout main 3000',
    ...(sentinelPassword === undefined ? [] : [`requirepass ${sentinelPassword}`]),
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  const sentinel = SystemProcess.start(requireTool('redis-server'), [file, '--sentinel']);
  await waitFor('the sentinel to know the replica', () => sentinel.output.includes('+slave'), 10_000);
  return {
    url: `redis+sentinel://127.0.0.1:${port}/main`,
    master,
    replica,
    stop: async () => {
      await sentinel.stop('SIGKILL');
      await Promise.all([master.stop(), replica.stop(), rm(directory, { recursive: true, force: true })]);
    },
  };
}

/** Three masters without replicas. */
export async function startClusteredRedis(): Promise<ClusteredRedis> {
  const nodes: { redis: TestRedis; busPort: number }[] = [];
  for (let index = 0; index < 3; index += 1) {
    const busPort = await freePort();
    const cluster = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--cluster-port', String(busPort)];
    nodes.push({ redis: await startRedis({ args: cluster }), busPort });
  }
  for (const [index, { redis }] of nodes.entries()) {
    const first = Math.floor((index * SLOTS) / nodes.length);
    const last = Math.floor(((index + 1) * SLOTS) / nodes.length) - 1;
    await redis.cli('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
    await redis.cli('CLUSTER', 'ADDSLOTSRANGE', String(first), String(last));
    for (const other of nodes) {
      await redis.cli('CLUSTER', 'MEET', '127.0.0.1', String(other.redis.port), String(other.busPort));
    }
  }
  const states = () => Promise.all(nodes.map(({ redis }) => redis.cli('CLUSTER', 'INFO')));
  await waitFor('the cluster', async () => (await states()).every((state) => isWhole(state)), 15_000);
  const redises = nodes.map(({ redis }) => redis);
  return {
    url: `redis+cluster://127.0.0.1:${redises[0]?.port}`,
    nodes: redises,
    stop: async () => {
      await Promise.all(redises.map((redis) => redis.stop()));
    },
  };
}

function isWhole(state: string): boolean {
  return state.includes('cluster_state:ok') && state.includes('cluster_known_nodes:3');
}
