/** Reads the entries of `mcpServers` or `servers`, each with its key as prefix; stdio entries are refused by name. */
import type { PlacedUpstream } from './assign-prefixes.js';
import { check } from './check.js';
import { clientServerSchema, IGNORED_CLIENT_KEYS, prefixOfKey, upstreamOfClientServer } from './mcp-servers.js';
import { formatPosition, type Path, type Report } from './problem.js';
import { configShape } from './schema.js';
import type { ConfigSource } from './source.js';

/** Below this, a timeout was most likely meant in seconds. */
const SUSPICIOUS_TIMEOUT_MS = 1000;

export function placeClientServers(
  section: 'mcpServers' | 'servers',
  source: ConfigSource,
  report: Report,
): PlacedUpstream[] {
  const map = source.get([section]);
  if (!isRecord(map)) {
    check(configShape[section], source, [section], report);
    return [];
  }
  return Object.entries(map).flatMap(([key, entry]) => placeOne([section, key], key, entry, source, report));
}

function placeOne(path: Path, key: string, raw: unknown, source: ConfigSource, report: Report): PlacedUpstream[] {
  if (isRecord(raw) && isTrue(raw['disabled'])) return [];
  if (isRecord(raw) && 'command' in raw) {
    const message = 'stdio upstreams are not supported by this version';
    const hint = 'give a url, or set disabled: true';
    report.problems.push(source.problem([...path, 'command'], message, { at: 'key', hint }));
    return [];
  }
  const checked = check(clientServerSchema, source, path, report);
  const prefix = prefixOfKey(key);
  if (prefix === undefined) {
    report.problems.push(source.problem(path, `no prefix can be made from the key "${key}"`, { at: 'key' }));
  }
  if (checked === undefined || prefix === undefined) return [];
  warn(path, checked.timeout, source, report);
  return [{ entry: upstreamOfClientServer(checked, prefix), source, path, kind: 'map' }];
}

function warn(path: Path, timeoutMs: number | undefined, source: ConfigSource, report: Report): void {
  for (const key of IGNORED_CLIENT_KEYS) {
    if (source.get([...path, key]) === undefined) continue;
    const where = formatPosition(source.locate([...path, key], 'key'));
    report.warnings.push(`${where}: ${key} is ignored: approval is the business of the client`);
  }
  if (timeoutMs === undefined || timeoutMs >= SUSPICIOUS_TIMEOUT_MS) return;
  const where = formatPosition(source.locate([...path, 'timeout']));
  report.warnings.push(`${where}: timeout counts milliseconds, so calls are cut after ${timeoutMs} ms`);
}

function isTrue(value: unknown): boolean {
  return value === true || value === 'true';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
