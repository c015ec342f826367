/**
 * Finishes a build: drops output whose source is gone (tsc never deletes) and makes the command line executable.
 */
import { chmod, readdir, readFile, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const main = 'dist/cli/main.js';

for (const entry of await readdir('dist', { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const output = join(entry.parentPath, entry.name);
  const source = output.replace(/^dist/, 'src').replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts');
  if (!existsSync(source)) await rm(output);
}

const text = await readFile(main, 'utf8');
if (!text.startsWith('#!/usr/bin/env node\n')) throw new Error(`${main} does not start with "#!/usr/bin/env node"`);
await chmod(main, 0o755);
