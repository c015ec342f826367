/** Makes the file paths of a configuration absolute, and says at once which of them cannot be read or used. */
import { accessSync, constants, statSync } from 'node:fs';
import type { AuditOptions } from '../audit/options.js';
import { type AuthOptions, keySetFileProblem } from '../auth/options.js';
import type { LoggingOptions } from '../core/logging-options.js';
import type { ServerOptions } from '../downstream/options.js';
import type { PlacedUpstream } from './assign-prefixes.js';
import { certificateProblems } from './certificates.js';
import { readFailure } from './interpolate.js';
import type { Path, Report } from './problem.js';
import type { ConfigSource } from './source.js';

export function resolveServerTls(server: ServerOptions, source: ConfigSource, cwd: string, report: Report): void {
  const { tls } = server;
  const path = ['server', 'tls'];
  if (tls === undefined || !resolveAll(tls, Object.keys(tls), path, source, cwd, report)) return;
  for (const { key, problem } of certificateProblems({ ...tls, caFile: tls.clientCaFile })) {
    const written = key === 'caFile' ? 'clientCaFile' : key;
    reportUnusable([...path, written], tls[written], problem, source, report);
  }
}

export function resolveUpstreamTls({ entry, source, path }: PlacedUpstream, cwd: string, report: Report): void {
  const { tls } = entry;
  const place = [...path, 'tls'];
  if (tls === undefined || !resolveAll(tls, Object.keys(tls), place, source, cwd, report)) return;
  for (const { key, problem } of certificateProblems(tls)) {
    reportUnusable([...place, key], tls[key], problem, source, report);
  }
}

export function resolveKeySetFiles(auth: AuthOptions, source: ConfigSource, cwd: string, report: Report): void {
  for (const [index, issuer] of (auth.jwt ?? []).entries()) {
    const path = ['auth', 'jwt', index];
    if (!resolveAll(issuer, ['jwksFile'], path, source, cwd, report) || issuer.jwksFile === undefined) continue;
    const problem = keySetFileProblem(issuer.jwksFile);
    if (problem !== undefined) reportUnusable([...path, 'jwksFile'], issuer.jwksFile, problem, source, report);
  }
}

export function resolveAuditFile(audit: AuditOptions, source: ConfigSource, cwd: string): void {
  audit.file = source.resolveFile(['audit', 'file'], audit.file, cwd);
}

export function resolveLogFile(logging: LoggingOptions, source: ConfigSource, cwd: string): void {
  if (logging.file !== undefined) logging.file = source.resolveFile(['logging', 'file'], logging.file, cwd);
}

/** @returns whether all of them can be read */
function resolveAll(
  options: object,
  keys: readonly string[],
  path: Path,
  source: ConfigSource,
  cwd: string,
  report: Report,
): boolean {
  let areReadable = true;
  for (const key of keys) {
    const file: unknown = Reflect.get(options, key);
    if (typeof file !== 'string') continue;
    const absolute = source.resolveFile([...path, key], file, cwd);
    Object.assign(options, { [key]: absolute });
    report.files.add(absolute);
    const failure = whyUnreadable(absolute);
    if (failure === undefined) continue;
    areReadable = false;
    report.problems.push(
      source.problem([...path, key], `cannot read ${source.nameOf([...path, key], absolute)}: ${failure}`),
    );
  }
  return areReadable;
}

function reportUnusable(
  path: Path,
  file: string | undefined,
  problem: string,
  source: ConfigSource,
  report: Report,
): void {
  report.problems.push(source.problem(path, `${source.nameOf(path, file ?? '')} ${problem}`));
}

function whyUnreadable(file: string): string | undefined {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).isDirectory() ? 'it is a directory' : undefined;
  } catch (error) {
    return readFailure(error);
  }
}
