/** The flags of `serve`: over a file, or instead of one. They become configuration values; the schemas check them. */
import type { GatewayConfig } from '../config/config.js';
import { configFromFlags, type FlagValue, loadConfig } from '../config/load.js';
import { UsageError } from './exit-codes.js';
import type { Io } from './io.js';

export interface ServeOptions {
  config?: string;
  upstream?: string;
  sseProxy?: string;
  port?: string;
  host?: string;
  policyConfig?: string;
  policyRole?: string;
  headers?: string[];
  allowOrigin?: string[];
  apiKeyEnv?: string;
  insecure?: boolean;
}

/** What the policy of the one upstream is called, where a file would have named it. */
const POLICY_NAME = 'policy';
const TOKEN_VARIABLE = 'API_ACCESS_TOKEN';

/**
 * @throws {UsageError} flags that do not go together
 * @throws {ConfigError|ConfigNotFoundError} as `loadConfig` does
 */
export async function configOf(options: ServeOptions, io: Io): Promise<GatewayConfig> {
  const context = { env: io.env, cwd: io.cwd };
  if (options.upstream !== undefined && options.sseProxy !== undefined) {
    throw new UsageError('--sse-proxy is another name for --upstream; give one of them');
  }
  const url = options.upstream ?? options.sseProxy;
  const flags = serverFlags(options);
  if (url === undefined) {
    refuseQuickFlags(options);
    return loadConfig({ ...context, file: options.config, flags, stdin: io.stdin });
  }
  if (options.config !== undefined) throw new UsageError('--upstream stands instead of a file; leave out --config');
  return configFromFlags([...upstreamFlags(url, options, io), ...flags], context);
}

function serverFlags(options: ServeOptions): FlagValue[] {
  const flags: FlagValue[] = [];
  if (options.host !== undefined) flags.push({ path: ['server', 'host'], value: options.host, flag: '--host' });
  if (options.port !== undefined) flags.push({ path: ['server', 'port'], value: options.port, flag: '--port' });
  if (options.insecure === true) flags.push({ path: ['server', 'insecure'], value: true, flag: '--insecure' });
  if (options.allowOrigin !== undefined) {
    flags.push({ path: ['server', 'allowedOrigins'], value: options.allowOrigin, flag: '--allow-origin' });
  }
  return flags;
}

function refuseQuickFlags(options: ServeOptions): void {
  const { policyConfig, policyRole } = options;
  if (policyConfig !== undefined) throw new UsageError('--policy-config goes with --upstream; a file has policies');
  if (policyRole !== undefined) throw new UsageError('--policy-role goes with --upstream; a file has roles of its own');
  if (options.headers !== undefined)
    throw new UsageError('--headers goes with --upstream; a file has headers of its own');
  if (options.apiKeyEnv !== undefined) {
    throw new UsageError('--api-key-env goes with --upstream; a file has headers of its own');
  }
}

function upstreamFlags(url: string, options: ServeOptions, io: Io): FlagValue[] {
  const headers = pairs(options.headers ?? []);
  const bearer = bearerOf(options, headers, io);
  return [
    { path: ['upstreams'], value: [{ url, headers: {} }], flag: '--upstream' },
    ...headers.map(([name, value]) => ({ path: ['upstreams', 0, 'headers', name], value, flag: '--headers' })),
    ...(bearer === undefined ? [] : [bearer]),
    ...policyFlags(options),
  ];
}

function policyFlags({ policyConfig, policyRole }: ServeOptions): FlagValue[] {
  if (policyConfig === undefined) {
    if (policyRole !== undefined) throw new UsageError('--policy-role goes with --policy-config');
    return [];
  }
  const flag = '--policy-config';
  const flags: FlagValue[] = [
    { path: ['policies', POLICY_NAME], value: policyConfig, flag },
    { path: ['upstreams', 0, 'policy'], value: POLICY_NAME, flag },
  ];
  if (policyRole !== undefined) {
    flags.push({ path: ['upstreams', 0, 'role'], value: policyRole, flag: '--policy-role' });
  }
  return flags;
}

function pairs(words: readonly string[]): [string, string][] {
  if (words.length % 2 !== 0) throw new UsageError('--headers takes a name and a value: --headers X-Key 123');
  const result: [string, string][] = [];
  for (let index = 0; index < words.length; index += 2) result.push([words[index] ?? '', words[index + 1] ?? '']);
  const names = result.map(([name]) => name.toLowerCase());
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new UsageError(`--headers gives ${twice} twice`);
  return result;
}

/** The token comes from the environment, because a command line can be read by everyone on the machine. */
function bearerOf(options: ServeOptions, headers: readonly [string, string][], io: Io): FlagValue | undefined {
  const isGiven = headers.some(([name]) => name.toLowerCase() === 'authorization');
  const variable = options.apiKeyEnv ?? TOKEN_VARIABLE;
  const token = io.env[variable];
  if (options.apiKeyEnv !== undefined && isGiven)
    throw new UsageError('--api-key-env and --headers both give authorization');
  if (options.apiKeyEnv !== undefined && !token) throw new UsageError(`--api-key-env: ${variable} is not set`);
  if (!token || isGiven) return undefined;
  const path = ['upstreams', 0, 'headers', 'authorization'];
  return { path, value: `Bearer ${token}`, flag: options.apiKeyEnv === undefined ? variable : '--api-key-env' };
}
