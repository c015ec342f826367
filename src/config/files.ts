/** Makes the file paths of a configuration absolute, and says at once which of them cannot be read. */
import { accessSync, constants, statSync } from 'node:fs';
import type { LoggingOptions } from '../core/logging-options.js';
import type { ServerOptions } from '../downstream/options.js';
import type { PlacedUpstream } from './assign-prefixes.js';
import { readFailure } from './interpolate.js';
import type { Path, Report } from './problem.js';
import type { ConfigSource } from './source.js';

export function resolveServerTls(server: ServerOptions, source: ConfigSource, cwd: string, report: Report): void {
  if (server.tls !== undefined) resolveAll(server.tls, ['server', 'tls'], source, cwd, report);
}

export function resolveUpstreamTls({ entry, source, path }: PlacedUpstream, cwd: string, report: Report): void {
  if (entry.tls !== undefined) resolveAll(entry.tls, [...path, 'tls'], source, cwd, report);
}

export function resolveLogFile(logging: LoggingOptions, source: ConfigSource, cwd: string): void {
  if (logging.file !== undefined) logging.file = source.resolveFile(['logging', 'file'], logging.file, cwd);
}

function resolveAll(files: object, path: Path, source: ConfigSource, cwd: string, report: Report): void {
  for (const [key, file] of Object.entries(files)) {
    if (typeof file !== 'string') continue;
    const absolute = source.resolveFile([...path, key], file, cwd);
    Object.assign(files, { [key]: absolute });
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
