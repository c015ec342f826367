/** Arguments in, exit code out. */
import { CommanderError } from 'commander';
import { ConfigError } from '../config/problem.js';
import { describeError } from '../core/errors.js';
import { escapeUnsafe } from '../core/log-format.js';
import { EXIT, exitCodeOf } from './exit-codes.js';
import type { Io } from './io.js';
import { createProgram } from './program.js';
import { readVersion } from './version.js';

/** @param words what the user wrote after the name of the program */
export async function run(words: readonly string[], io: Io): Promise<number> {
  const program = createProgram(io, readVersion());
  try {
    await program.command.parseAsync(words, { from: 'user' });
    return program.exitCode();
  } catch (error) {
    // Help and version end this way too, with exit code 0; the parser has printed everything already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const code = exitCodeOf(error);
    io.err(`${textOf(error, code)}\n`);
    return code;
  }
}

function textOf(error: unknown, code: number): string {
  const text = describeError(error).split('\n').map(escapeUnsafe).join('\n');
  if (error instanceof ConfigError) return text;
  const isBug = code === EXIT.internal && error instanceof Error;
  return `mcp-gateway: ${isBug ? (error.stack ?? text) : text}`;
}
