/** What no single key can say: rules over the configuration as a whole. */
import { isLoopbackHost } from '../downstream/address-options.js';
import { isCredentialHeader } from '../upstream/header-options.js';
import type { UpstreamOptions } from '../upstream/options.js';
import type { PlacedUpstream } from './assign-prefixes.js';
import type { ServerConfig } from './config.js';
import { formatPosition, type Path, type Report } from './problem.js';
import type { ConfigSource } from './source.js';
import { didYouMean } from './suggest.js';

/** Prefixes of tokens that well-known services hand out. */
const TOKEN_START = /^(Bearer |Basic |sk-|ghp_|gho_|github_pat_|glpat-|xox[abp]-|AKIA|eyJ)/;

/** Without authentication, only this machine may reach the gateway, unless the operator says otherwise. */
export function checkExposure(server: ServerConfig, source: ConfigSource, report: Report): void {
  if (server.trustedProxies.some((network) => network.endsWith('/0'))) {
    const where = formatPosition(source.locate(['server', 'trustedProxies']));
    report.warnings.push(`${where}: every caller is a trusted proxy, so callers choose the address they seem to have`);
  }
  const asksForCredentials = ['apiKeys', 'jwt'].some((method) => source.get(['auth', method]) !== undefined);
  if (server.insecure || asksForCredentials || isLoopbackHost(server.host)) return;
  const message = 'this address can be reached from other machines, and there is no authentication';
  const hint = 'bind to 127.0.0.1, configure auth.apiKeys or auth.jwt, or set server.insecure: true';
  report.problems.push(source.problem(['server', 'host'], message, { hint }));
}

export function requireUpstreams(source: ConfigSource, report: Report): void {
  const keys = ['upstreams', 'include', 'mcpServers', 'servers'];
  if (keys.some((key) => source.get([key]) !== undefined)) return;
  const hint = 'the shortest file is: upstreams: [https://mcp.example.com/sse]';
  report.problems.push(source.problem([], 'at least one of upstreams, include, mcpServers is required', { hint }));
}

/** @returns the named route, or the only one there is */
export function chooseDefault(
  named: string | undefined,
  upstreams: readonly UpstreamOptions[],
  source: ConfigSource,
  report: Report,
): string | undefined {
  if (named === undefined) return upstreams.length === 1 ? upstreams[0]?.prefix : undefined;
  const prefixes = upstreams.map((upstream) => upstream.prefix);
  if (prefixes.includes(named)) return named;
  const list = prefixes.length > 0 ? `there are: ${prefixes.join(', ')}` : undefined;
  // What came from a variable may be a secret that stands in the wrong place.
  const isHidden = ['upstreams', 'mcpServers', 'servers'].some((key) => holdsExpanded(source, key));
  const hint = isHidden ? undefined : (didYouMean(named, prefixes) ?? list);
  report.problems.push(source.problem(['default'], 'no upstream has this prefix', { hint }));
  return undefined;
}

function holdsExpanded(source: ConfigSource, key: string): boolean {
  return source.get([key]) !== undefined && source.holdsExpanded([key]);
}

/** Secrets of an upstream that stand in the file itself. */
export function warnOfPlainSecrets({ source, path }: PlacedUpstream, report: Report): void {
  warnIfPlain([...path, 'oauth', 'clientSecret'], source, report);
  const headers = source.get([...path, 'headers']);
  if (typeof headers !== 'object' || headers === null) return;
  for (const [name, value] of Object.entries(headers)) {
    const looksSecret = isCredentialHeader(name) || (typeof value === 'string' && TOKEN_START.test(value));
    if (looksSecret) warnIfPlain([...path, 'headers', name], source, report);
  }
}

export function warnIfPlain(path: Path, source: ConfigSource, report: Report): void {
  const value = source.get(path);
  if (value === undefined || value === '' || source.isExpanded(path)) return;
  const where = formatPosition(source.locate(path));
  const key = path.findLast((part) => typeof part === 'string');
  report.warnings.push(`${where}: the value of ${key} stands in the file as plain text; use \${NAME} or \${file:PATH}`);
}
