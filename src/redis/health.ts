/** Asks a server, or all masters of a cluster, whether it can be worked with, and prepares it for that. */
import type { Cluster, Redis } from 'ioredis';
import type { RedisCommands } from './client.js';
import { loadScripts } from './script.js';

export interface ServerFacts {
  /** How long the server has been running; undefined when it does not tell. */
  readonly uptimeMs: number | undefined;
}

/** @throws {Error} it cannot be worked with, or the connection was lost meanwhile */
export async function checkHealth(client: RedisCommands): Promise<ServerFacts> {
  if (client.isCluster) await checkCluster(client as Cluster);
  else await checkServer(client as Redis);
  const info = await readInfo(client);
  if (!client.isCluster && info.get('role') === 'slave') throw new ReadonlyServerError();
  const uptimeSeconds = Number(info.get('uptime_in_seconds') ?? Number.NaN);
  return { uptimeMs: Number.isFinite(uptimeSeconds) ? uptimeSeconds * 1000 : undefined };
}

/** It answers, but takes no writes. */
export class ReadonlyServerError extends Error {
  constructor() {
    super('the server is a read-only replica');
  }
}

async function checkServer(server: Redis): Promise<void> {
  await Promise.all([server.ping(), loadScripts(server)]);
}

async function checkCluster(cluster: Cluster): Promise<void> {
  const masters = cluster.nodes('master');
  if (masters.length === 0) throw new Error('no master of the cluster is known');
  await Promise.all(masters.map(checkServer));
  const state = parseInfo(await cluster.cluster('INFO')).get('cluster_state');
  if (state !== 'ok') throw new Error(`the cluster is in state ${state ?? 'unknown'}`);
}

/** Empty when the user may not ask. */
async function readInfo(client: RedisCommands): Promise<ReadonlyMap<string, string>> {
  try {
    return parseInfo(await client.info());
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('NOPERM')) return new Map();
    throw error;
  }
}

function parseInfo(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}
