/** What is wrong with a configuration, and where: every problem at once, each with file, line and column. */
import { GatewayError } from '../core/errors.js';

export type Path = readonly (string | number)[];

/** Line and column count from 1; both are 0 when `file` is not a file but a flag or an environment variable. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

export interface Problem extends Position {
  /** Such as `upstreams[0].url`; empty for the whole file. */
  path: string;
  message: string;
  /** What to do about it; may have several lines. */
  hint?: string;
}

/** Collects while a configuration is read; one configuration, one report. */
export interface Report {
  problems: Problem[];
  warnings: string[];
  /** Absolute paths of everything that was read or named to be read. */
  files: Set<string>;
  /** When reading began, in milliseconds since 1970. */
  readonly readAtMs: number;
}

export function newReport(): Report {
  return { problems: [], warnings: [], files: new Set(), readAtMs: Date.now() };
}

export class ConfigError extends GatewayError {
  override readonly code = 'CONFIG_INVALID';
  readonly problems: readonly Problem[];
  /** As in `GatewayConfig`: a change of any of these may put it right. */
  readonly files: readonly string[];

  constructor(problems: readonly Problem[], files: Iterable<string> = []) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
    this.files = [...files];
  }
}

/** No configuration file was named and none was found, or the named one cannot be read. */
export class ConfigNotFoundError extends GatewayError {
  override readonly code = 'CONFIG_NOT_FOUND';
}

/** `FILE:LINE:COL: message (hint)`; a hint of several lines follows indented. */
export function formatProblem(problem: Problem): string {
  const start = `${formatPosition(problem)}: ${problem.message}`;
  if (problem.hint === undefined) return start;
  if (!problem.hint.includes('\n')) return `${start} (${problem.hint})`;
  return `${start}\n${problem.hint.replace(/^/gm, '    ')}`;
}

/** `FILE:LINE:COL`, or the name alone for a flag or a variable. */
export function formatPosition(position: Position): string {
  return position.line === 0 ? position.file : `${position.file}:${position.line}:${position.column}`;
}

/** `upstreams[0].headers.X-Key` */
export function formatPath(path: Path): string {
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join('');
}

/** A key for maps; no two paths share one. */
export function pathKey(path: Path): string {
  return JSON.stringify(path);
}
