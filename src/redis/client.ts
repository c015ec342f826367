/** Makes the ioredis client for each kind of endpoint: one that never queues, never repeats a command and never gives up. */
import { Cluster, Redis, type RedisOptions as ClientOptions } from 'ioredis';
import { isReadonly } from './errors.js';
import type { RedisEndpoint } from './options.js';

export type RedisCommands = Redis | Cluster;

const CONNECT_TIMEOUT_MS = 2000;
/** A peer that hangs does not answer the end of a connection either. */
const DISCONNECT_TIMEOUT_MS = 50;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1000;
/** How often the layout of a cluster is read again, in case nothing tells of a change. */
const LAYOUT_REFRESH_MS = 5000;

/** @returns a client that connects when told to */
export function createClient(endpoint: RedisEndpoint): RedisCommands {
  const common = commonOptions(endpoint);
  switch (endpoint.kind) {
    case 'single':
      return new Redis({ ...common, ...endpoint.node, db: endpoint.db });
    case 'sentinel':
      return new Redis({
        ...common,
        sentinels: endpoint.nodes.map((node) => ({ ...node })),
        name: endpoint.master,
        db: endpoint.db,
        ...sentinelCredentials(endpoint.sentinelAccess),
        enableTLSForSentinelMode: endpoint.tls,
        ...(endpoint.tls ? { sentinelTLS: {} } : {}),
        sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
        sentinelRetryStrategy: retryDelayMs,
        // Otherwise a former master that is alive would be left only when a write fails.
        failoverDetector: true,
        sentinelReconnectStrategy: retryDelayMs,
      });
    case 'cluster':
      return new Cluster(
        endpoint.nodes.map((node) => ({ ...node })),
        {
          lazyConnect: true,
          enableOfflineQueue: false,
          clusterRetryStrategy: retryDelayMs,
          slotsRefreshInterval: LAYOUT_REFRESH_MS,
          // A command whose connection was lost may have been executed: it is not sent again.
          retryDelayOnFailover: 0,
          retryDelayOnClusterDown: 0,
          redisOptions: common,
        },
      );
  }
}

/** What is sent during the call goes out as one. A cluster has many connections, and each command finds its own. */
export function inOneWrite(client: RedisCommands, send: () => void): void {
  const stream = client instanceof Redis ? client.stream : undefined;
  stream?.cork();
  try {
    send();
  } finally {
    stream?.uncork();
  }
}

function sentinelCredentials(
  access: Extract<RedisEndpoint, { kind: 'sentinel' }>['sentinelAccess'],
): Pick<ClientOptions, 'sentinelUsername' | 'sentinelPassword'> {
  const { username, password } = access ?? {};
  return {
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
  };
}

/** The wait before attempt number `attempt`: doubling, and spread so that replicas do not come back all at once. */
export function retryDelayMs(attempt: number): number {
  const ceiling = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt - 1, 10));
  return Math.ceil(ceiling * (0.5 + Math.random() / 2));
}

function commonOptions({ tls, username, password }: RedisEndpoint): Omit<ClientOptions, 'replyMapping'> {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
    lazyConnect: true,
    connectionName: 'mcp-gateway',
    // What is read here looks the same in both versions of the protocol, and every server and proxy knows this one.
    protocol: 2,
    disableClientInfo: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    enableOfflineQueue: false,
    enableReadyCheck: true,
    maxLoadingRetryTime: MAX_RETRY_MS,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: retryDelayMs,
    reconnectOnError: isReadonly,
  };
}
