/** Programs of the system that tests run: `scripts/system-tools.mjs` sees to it that they are there. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findTool } from '../../scripts/system-tools.mjs';

export interface Tool {
  readonly file: string;
  /** Variables without which it does not run. */
  readonly env: Readonly<Record<string, string>>;
}

/** @throws {Error} saying how to get it */
export function requireTool(name: string): Tool {
  const tool = findTool(name);
  if (tool === undefined) throw new Error(`${name} is missing: run "node scripts/system-tools.mjs"`);
  return tool;
}

/**
 * How to start a program so that the kernel ends it with us, even if we are killed.
 * Where there is no `setpriv` (macOS), ending it is left to the hook on our own exit.
 */
export function boundToUs(tool: Tool, signal: 'KILL' | 'TERM'): readonly string[] {
  const setpriv = onPath('setpriv');
  return setpriv === undefined ? [tool.file] : [setpriv, '--pdeathsig', signal, tool.file];
}

function onPath(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
