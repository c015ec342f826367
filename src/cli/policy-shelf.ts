/** What the `policy` commands share: the configuration, the policy that is meant, the shelf, and who is asking. */
import { hostname, userInfo } from 'node:os';
import type { GatewayConfig } from '../config/config.js';
import { loadConfig } from '../config/load.js';
import { ConfigError, formatProblem } from '../config/problem.js';
import { didYouMean } from '../config/suggest.js';
import { GatewayError } from '../core/errors.js';
import { escapeUnsafe } from '../core/log-format.js';
import type { LogFields, Logger } from '../core/logger.js';
import { openPolicyShelf } from '../gateway/policies/open-policy-shelf.js';
import { problemsOf } from '../gateway/policies/pushed-document.js';
import type { PolicyDocument } from '../policy/document.js';
import { parsePolicy } from '../policy/parse.js';
import type { PolicyState } from '../redis/policy-record.js';
import type { PolicyShelf } from '../redis/policy-shelf.js';
import { UsageError } from './exit-codes.js';
import type { Io } from './io.js';

const AUTHOR_VARIABLE = 'MCP_GATEWAY_AUTHOR';
const MAX_AUTHOR_CHARS = 200;
const HASH = /^[0-9a-f]{8,64}$/;

class RedisAwayError extends GatewayError {
  override readonly code = 'STORE_AWAY';
}

/** @throws {ConfigError} it is invalid, or names no Redis */
export async function loadShared(file: string | undefined, io: Io): Promise<GatewayConfig> {
  const config = await loadConfig({ file, env: io.env, cwd: io.cwd, stdin: io.stdin });
  if (config.redis !== undefined && config.cluster !== undefined) return config;
  throw configError(
    config,
    'redis',
    'what is pushed is kept in Redis, and this configuration has none',
    'add redis and cluster, or change the file of the policy',
  );
}

/**
 * @returns what its file says
 * @throws {ConfigError} the configuration has no policy of this name
 */
export function requirePolicy(config: GatewayConfig, name: string): PolicyDocument {
  const document = config.policies.get(name);
  if (document !== undefined) return document;
  const known = [...config.policies.keys()];
  const list = known.length === 0 ? 'policies is empty' : `there are: ${known.join(', ')}`;
  throw configError(config, 'policies', `no policy is called "${name}"`, didYouMean(name, known) ?? list);
}

/** @throws {ConfigError} what was pushed as `name` was sealed under another secret, or by a newer version */
export function unreadable(config: GatewayConfig, name: string): ConfigError {
  const hint = 'a newer version may have pushed it, or under another secret';
  return configError(config, 'cluster', `what was pushed as "${name}" cannot be read with this cluster.secret`, hint);
}

function configError({ source: file }: GatewayConfig, path: string, message: string, hint: string): ConfigError {
  return new ConfigError([{ file, line: 0, column: 0, path, message, hint }]);
}

/**
 * Checks that a text can rule under this configuration, and warns of what is probably not meant.
 *
 * @param shown how the text is called in problems
 * @throws {ConfigError} it cannot
 */
export function requireUsable(
  text: string,
  shown: string,
  name: string,
  config: GatewayConfig,
  io: Io,
): PolicyDocument {
  const document = parsePolicy(text, shown);
  if (Array.isArray(document)) throw new ConfigError(document);
  const problems = problemsOf(document, config);
  if (problems.length > 0) throw new ConfigError(problems);
  for (const warning of document.warnings) io.err(`warning: ${escapeUnsafe(formatProblem(warning))}\n`);
  for (const warning of unknownRoles(document, name, config)) io.err(`warning: ${escapeUnsafe(warning)}\n`);
  return document;
}

function unknownRoles(document: PolicyDocument, name: string, { upstreams }: GatewayConfig): string[] {
  if (document.version === '1.0') return [];
  return upstreams.flatMap(({ prefix, policy, role }) =>
    policy !== name || role === undefined || isRole(document, role)
      ? []
      : [`the policy does not know "${role}", the role of the route ${prefix}, so its default applies there`],
  );
}

function isRole({ roles, tenants }: PolicyDocument, role: string): boolean {
  return roles.has(role) || [...tenants.values()].some((overlay) => overlay.has(role));
}

/** @throws {UsageError} it is no hash, or too little of one */
export function requireHash(hash: string, what: string): string {
  if (HASH.test(hash)) return hash;
  throw new UsageError(`${what} is the hash of a policy, or its first 8 or more digits (0-9 a-f), not "${hash}"`);
}

/**
 * @throws {GatewayError} code STORE_AWAY: Redis does not answer
 */
export async function withShelf<T>(config: GatewayConfig, work: (shelf: PolicyShelf) => Promise<T>): Promise<T> {
  const link = new LinkNews();
  const opened = await openPolicyShelf(config, link);
  if (opened === undefined) throw new Error('a configuration without redis has no shelf');
  try {
    return await work(opened.shelf);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'STORE_AWAY') throw error;
    throw new RedisAwayError(link.describe(), { cause: error });
  } finally {
    await opened.close();
  }
}

/** `$MCP_GATEWAY_AUTHOR`, else who runs this and where. */
export function authorOf(io: Io): string {
  const named = io.env[AUTHOR_VARIABLE]?.trim() ?? '';
  return (named === '' ? `${userName(io)}@${hostname()}` : named).slice(0, MAX_AUTHOR_CHARS);
}

function userName({ env }: Io): string {
  try {
    return userInfo().username;
  } catch {
    // In a container the user may have a number and no name.
    return env['USER'] ?? String(process.getuid?.() ?? 'unknown');
  }
}

/** What rules under a state: the pushed policy, or that of the file. */
export function hashOf(state: PolicyState | undefined, ofFile: PolicyDocument): string {
  return state?.source === 'pushed' ? state.hash : ofFile.hash;
}

/** Of what the connection logs, a command repeats only why it failed. */
class LinkNews implements Logger {
  readonly debugEnabled = false;
  #server = 'Redis';
  #reason: string | undefined;
  #wasUp = false;

  child({ server }: LogFields): Logger {
    if (typeof server === 'string') this.#server = `Redis at ${server}`;
    return this;
  }

  info(): void {
    this.#wasUp = true;
  }

  warn(_event: string, _msg: string, fields?: LogFields): void {
    const reason = fields?.['reason'];
    if (typeof reason === 'string') this.#reason = reason;
  }

  error(): void {}

  debug(): void {}

  describe(): string {
    const why = this.#reason === undefined ? '' : `: ${this.#reason}`;
    const so = this.#wasUp ? 'see with "mcp-gateway policy show" whether anything was changed' : 'nothing was changed';
    return `${this.#server} does not answer${why}; ${so}`;
  }
}
