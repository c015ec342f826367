/** `init`: a commented `gateway.yaml` and policy to start from, and the schema that editors read; nothing is overwritten. */
import { writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { renderJsonSchema } from '../../config/json-schema.js';
import { describeError } from '../../core/errors.js';
import { makeFolder } from '../../core/make-folder.js';
import { EXIT } from '../exit-codes.js';
import { INITIAL_CONFIG, INITIAL_POLICY } from '../initial-config.js';
import type { Io } from '../io.js';

const FOLDER_MODE = 0o777;

export async function init(directory: string, io: Io): Promise<number> {
  const target = resolve(io.cwd, directory);
  // The configuration first: when there is one already, nothing at all is written.
  for (const [name, text] of [
    ['gateway.yaml', INITIAL_CONFIG],
    ['policies/basic.yaml', INITIAL_POLICY],
    ['gateway.schema.json', renderJsonSchema()],
  ] as const) {
    const shown = join(directory, name);
    try {
      await writeNew(join(target, name), text);
      io.err(`wrote ${shown}\n`);
    } catch (error) {
      if (!isThere(error)) {
        io.err(`mcp-gateway: cannot write ${shown}: ${describeError(error)}\n`);
        return EXIT.notPermitted;
      }
      io.err(`${shown} exists already and is left as it is\n`);
      if (name === 'gateway.yaml') return EXIT.notPermitted;
    }
  }
  io.err(`next: edit it, then run: mcp-gateway --config ${join(directory, 'gateway.yaml')}\n`);
  return EXIT.ok;
}

async function writeNew(file: string, text: string): Promise<void> {
  await makeFolder(dirname(file), FOLDER_MODE);
  await writeFile(file, text, { flag: 'wx' });
}

/** And not something else in the place of a folder. */
function isThere(error: unknown): boolean {
  return (
    error instanceof Error &&
    'syscall' in error &&
    error.syscall === 'open' &&
    'code' in error &&
    error.code === 'EEXIST'
  );
}
