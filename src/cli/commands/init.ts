/** `init`: a commented `gateway.yaml` and policy to start from, and the schema that editors read; nothing is overwritten. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { renderJsonSchema } from '../../config/json-schema.js';
import { EXIT } from '../exit-codes.js';
import { INITIAL_CONFIG, INITIAL_POLICY } from '../initial-config.js';
import type { Io } from '../io.js';

export function init(directory: string, io: Io): number {
  const target = resolve(io.cwd, directory);
  mkdirSync(target, { recursive: true });
  // The configuration first: when there is one already, nothing at all is written.
  for (const [name, text] of [
    ['gateway.yaml', INITIAL_CONFIG],
    ['policies/basic.yaml', INITIAL_POLICY],
    ['gateway.schema.json', renderJsonSchema()],
  ] as const) {
    const shown = join(directory, name);
    if (!writeNew(join(target, name), text)) {
      io.err(`${shown} exists already and is left as it is\n`);
      if (name === 'gateway.yaml') return EXIT.notPermitted;
    } else io.err(`wrote ${shown}\n`);
  }
  io.err(`next: edit it, then run: mcp-gateway --config ${join(directory, 'gateway.yaml')}\n`);
  return EXIT.ok;
}

function writeNew(file: string, text: string): boolean {
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}
