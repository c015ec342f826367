/** Reads the URL of a Redis, a group of sentinels or a cluster. What it finds wrong never repeats the URL: it holds a password. */

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export interface Access {
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

export type RedisEndpoint = Access &
  (
    | { readonly kind: 'single'; readonly node: RedisNode; readonly db: number }
    | {
        readonly kind: 'sentinel';
        readonly nodes: readonly RedisNode[];
        readonly master: string;
        readonly db: number;
        /** What the sentinels themselves want to be told; not part of the URL. */
        readonly sentinelAccess?: Pick<Access, 'username' | 'password'>;
      }
    | { readonly kind: 'cluster'; readonly nodes: readonly RedisNode[] }
  );

export type ParsedRedisUrl =
  | { readonly endpoint: RedisEndpoint }
  | { readonly problem: string; readonly hint?: string | undefined };

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;
const MAX_DB = 65_535;
const SHAPE = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^/]*)@)?([^/@]*)(?:\/(.*))?$/;
const NODE = /^(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/;

const BAD_SHAPE: ParsedRedisUrl = {
  problem: 'not a Redis URL; expected redis://host:port, redis+sentinel://… or redis+cluster://… (rediss… for TLS)',
  hint: 'percent-encode / and @ in a user name or password, as %2F and %40',
};

export function parseRedisUrl(text: string): ParsedRedisUrl {
  const match = SHAPE.exec(text);
  if (match === null || /[\s?#]/.test(text)) return BAD_SHAPE;
  const [, scheme, kind, userInfo, hosts = '', path = ''] = match;
  const access = readAccess(scheme === 'rediss', userInfo);
  if (access === undefined)
    return { problem: 'the credentials of the URL must be user:password or :password, percent-encoded' };
  const nodes = readNodes(hosts, kind === 'sentinel' ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT);
  if (nodes === undefined) return { problem: 'the URL must name host:port, several of them with a comma in between' };
  if (kind === 'sentinel') return readSentinel(access, nodes, path);
  if (kind === 'cluster') {
    return path === ''
      ? { endpoint: { ...access, kind, nodes } }
      : { problem: 'a cluster has no databases: nothing may follow its hosts' };
  }
  return readSingle(access, nodes, path);
}

function readSingle(access: Access, nodes: readonly RedisNode[], path: string): ParsedRedisUrl {
  const [node] = nodes;
  if (node === undefined || nodes.length > 1) {
    return { problem: 'several hosts need redis+sentinel:// or redis+cluster://' };
  }
  const db = readDb(path);
  return db === undefined ? badDb() : { endpoint: { ...access, kind: 'single', node, db } };
}

function readSentinel(access: Access, nodes: readonly RedisNode[], path: string): ParsedRedisUrl {
  const [encoded = '', dbText = '', ...rest] = path.split('/');
  const master = decode(encoded);
  if (master === undefined || master === '' || rest.length > 0) {
    return {
      problem: 'the name of the master must follow the sentinels: redis+sentinel://host:port,host:port/name[/db]',
    };
  }
  const db = readDb(dbText);
  return db === undefined ? badDb() : { endpoint: { ...access, kind: 'sentinel', nodes, master, db } };
}

function badDb(): ParsedRedisUrl {
  return { problem: `the database of a Redis URL must be a number from 0 to ${MAX_DB}` };
}

function readDb(text: string): number | undefined {
  if (text === '') return 0;
  const db = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return db <= MAX_DB ? db : undefined;
}

function readAccess(tls: boolean, userInfo: string | undefined): Access | undefined {
  if (userInfo === undefined || userInfo === '') return { tls, username: undefined, password: undefined };
  const colon = userInfo.indexOf(':');
  if (colon === -1) return undefined;
  const username = decode(userInfo.slice(0, colon));
  const password = decode(userInfo.slice(colon + 1));
  if (username === undefined || password === undefined) return undefined;
  // `redis://:@host`, as a template with an empty variable gives it, means no credentials; a user needs a password.
  if (password === '') return username === '' ? { tls, username: undefined, password: undefined } : undefined;
  return { tls, username: username === '' ? undefined : username, password };
}

function readNodes(text: string, defaultPort: number): readonly RedisNode[] | undefined {
  const nodes: RedisNode[] = [];
  for (const part of text.split(',')) {
    const match = NODE.exec(part);
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3] ?? defaultPort);
    if (host === undefined || port < 1 || port > 65_535) return undefined;
    nodes.push({ host, port });
  }
  return nodes;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** For log lines: without credentials. */
export function describeEndpoint(endpoint: RedisEndpoint): string {
  const scheme = `${endpoint.tls ? 'rediss' : 'redis'}${endpoint.kind === 'single' ? '' : `+${endpoint.kind}`}`;
  const nodes = endpoint.kind === 'single' ? [endpoint.node] : endpoint.nodes;
  const hosts = nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);
  return `${scheme}://${hosts.join(',')}${endpoint.kind === 'sentinel' ? `/${endpoint.master}` : ''}`;
}
