/**
 * From a file, standard input or flags to a checked `GatewayConfig`, or to every problem at once.
 * Precedence: flag, environment, file, default.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { assemble } from './assemble.js';
import type { GatewayConfig } from './config.js';
import { applyEnvironment } from './env-overrides.js';
import { findConfigFile } from './find.js';
import { readFailure } from './interpolate.js';
import { ConfigError, ConfigNotFoundError, newReport, type Path, type Problem, type Report } from './problem.js';
import { ConfigSource } from './source.js';
import { readYaml } from './yaml-source.js';

/** One value that a command-line flag sets. */
export interface FlagValue {
  path: Path;
  value: unknown;
  /** As the user wrote it, for messages. */
  flag: string;
}

export interface ConfigContext {
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  flags?: readonly FlagValue[];
}

export interface LoadOptions extends ConfigContext {
  /** A path, or `-` for standard input; absent: the usual places. */
  file?: string | undefined;
  stdin?: NodeJS.ReadableStream;
}

/**
 * Finds, reads and checks the configuration.
 *
 * @throws {ConfigNotFoundError} there is no file, or it cannot be read
 * @throws {ConfigError} it says something wrong; all problems are in `problems`
 */
export async function loadConfig(options: LoadOptions = {}): Promise<GatewayConfig> {
  const env = options.env ?? process.env;
  const cwd = options.cwd ?? process.cwd();
  const file = findConfigFile({ file: options.file, env, cwd });
  if (file === '-') return parseConfig(await buffer(options.stdin ?? process.stdin), '<stdin>', options);
  const readAtMs = Date.now();
  let bytes: Uint8Array;
  try {
    bytes = await readFile(resolve(cwd, file));
  } catch (error) {
    throw new ConfigNotFoundError(`cannot read ${file}: ${readFailure(error)}`, { cause: error });
  }
  return { ...parseConfig(bytes, file, options), readAtMs };
}

/**
 * Checks the text of a configuration.
 *
 * @param file its name in messages; relative paths in it start at its directory
 * @throws {ConfigError} it says something wrong; all problems are in `problems`
 */
export function parseConfig(text: string | Uint8Array, file: string, context: ConfigContext = {}): GatewayConfig {
  const env = context.env ?? process.env;
  const cwd = context.cwd ?? process.cwd();
  const report = newReport();
  if (file !== '<stdin>') report.files.add(resolve(cwd, file));
  const baseDir = file === '<stdin>' ? cwd : dirname(resolve(cwd, file));
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  const source = readYaml(bytes, { file, baseDir, env }, report);
  return finish(source, { env, cwd, flags: context.flags ?? [] }, report);
}

/**
 * Makes a configuration of flags alone, without a file.
 *
 * @throws {ConfigError} the flags say something wrong
 */
export function configFromFlags(
  flags: readonly FlagValue[],
  context: Omit<ConfigContext, 'flags'> = {},
): GatewayConfig {
  const cwd = context.cwd ?? process.cwd();
  const source = new ConfigSource('command line', cwd, {});
  return finish(source, { env: context.env ?? process.env, cwd, flags }, newReport());
}

function finish(source: ConfigSource | undefined, context: Required<ConfigContext>, report: Report): GatewayConfig {
  if (source === undefined) throw new ConfigError(inOrder(report.problems), report.files);
  applyEnvironment(source, context.env, report);
  for (const { path, value, flag } of context.flags) source.override(path, value, flag);
  const config = assemble(source, context, report);
  if (config === undefined || report.problems.length > 0) throw new ConfigError(inOrder(report.problems), report.files);
  return config;
}

/** File by file as they were read, and top to bottom within each. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const files = [...new Set(problems.map((problem) => problem.file))];
  return problems.toSorted(
    (one, other) =>
      files.indexOf(one.file) - files.indexOf(other.file) || one.line - other.line || one.column - other.column,
  );
}
