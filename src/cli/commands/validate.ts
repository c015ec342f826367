/** `validate`: every problem of a configuration, as text or JSON; exit 78 when there is one. */
import { loadConfig } from '../../config/load.js';
import { ConfigError, formatProblem, type Problem } from '../../config/problem.js';
import { escapeUnsafe } from '../../core/log-format.js';
import { EXIT } from '../exit-codes.js';
import type { Io } from '../io.js';

export interface ValidateOptions {
  config?: string;
  format: 'text' | 'json';
}

export async function validate(options: ValidateOptions, io: Io): Promise<number> {
  try {
    const config = await loadConfig({ file: options.config, env: io.env, cwd: io.cwd, stdin: io.stdin });
    for (const warning of config.warnings) io.err(`warning: ${escapeUnsafe(warning)}\n`);
    if (options.format === 'json') writeJson([], io);
    else io.err(`${config.source} is valid: ${config.upstreams.length} upstream(s)\n`);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (options.format === 'json') writeJson(error.problems, io);
    else for (const problem of error.problems) io.out(`${escapeLines(formatProblem(problem))}\n`);
    return EXIT.config;
  }
}

function writeJson(problems: readonly Problem[], io: Io): void {
  io.out(`${JSON.stringify({ valid: problems.length === 0, problems }, undefined, 2)}\n`);
}

function escapeLines(text: string): string {
  return text.split('\n').map(escapeUnsafe).join('\n');
}
