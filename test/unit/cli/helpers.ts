import { Readable } from 'node:stream';
import { run } from '../../../src/cli/run.js';

/** Runs the command line in this process. */
export async function cli(words: string[], seams: { env?: Record<string, string>; cwd?: string; stdin?: string } = {}) {
  let out = '';
  let err = '';
  const code = await run(words, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    env: seams.env ?? {},
    cwd: seams.cwd ?? '/nonexistent',
    stdin: Readable.from([Buffer.from(seams.stdin ?? '')]),
  });
  return { code, out, err };
}
