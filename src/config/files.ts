/** Makes the file paths of a configuration absolute, and says at once which of them cannot be read. */
import { accessSync, constants, statSync } from 'node:fs';
import type { AuditOptions } from '../audit/options.js';
import type { AuthOptions } from '../auth/options.js';
import type { LoggingOptions } from '../core/logging-options.js';
import type { ServerOptions } from '../downstream/options.js';
import type { PlacedUpstream } from './assign-prefixes.js';
import { readFailure } from './interpolate.js';
import type { Path, Report } from './problem.js';
import type { ConfigSource } from './source.js';

export function resolveServerTls(server: ServerOptions, source: ConfigSource, cwd: string, report: Report): void {
  const { tls } = server;
  if (tls !== undefined) resolveAll(tls, Object.keys(tls), ['server', 'tls'], source, cwd, report);
}

export function resolveUpstreamTls({ entry, source, path }: PlacedUpstream, cwd: string, report: Report): void {
  const { tls } = entry;
  if (tls !== undefined) resolveAll(tls, Object.keys(tls), [...path, 'tls'], source, cwd, report);
}

export function resolveKeySetFiles(auth: AuthOptions, source: ConfigSource, cwd: string, report: Report): void {
  for (const [index, issuer] of (auth.jwt ?? []).entries()) {
    resolveAll(issuer, ['jwksFile'], ['auth', 'jwt', index], source, cwd, report);
  }
}

export function resolveAuditFile(audit: AuditOptions, source: ConfigSource, cwd: string): void {
  audit.file = source.resolveFile(['audit', 'file'], audit.file, cwd);
}

export function resolveLogFile(logging: LoggingOptions, source: ConfigSource, cwd: string): void {
  if (logging.file !== undefined) logging.file = source.resolveFile(['logging', 'file'], logging.file, cwd);
}

function resolveAll(
  options: object,
  keys: readonly string[],
  path: Path,
  source: ConfigSource,
  cwd: string,
  report: Report,
): void {
  for (const key of keys) {
    const file: unknown = Reflect.get(options, key);
    if (typeof file !== 'string') continue;
    const absolute = source.resolveFile([...path, key], file, cwd);
    Object.assign(options, { [key]: absolute });
    report.files.add(absolute);
    const failure = whyUnreadable(absolute);
    if (failure !== undefined)
      report.problems.push(
        source.problem([...path, key], `cannot read ${source.nameOf([...path, key], absolute)}: ${failure}`),
      );
  }
}

function whyUnreadable(file: string): string | undefined {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).isDirectory() ? 'it is a directory' : undefined;
  } catch (error) {
    return readFailure(error);
  }
}
