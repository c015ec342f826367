import { spawnSync } from 'node:child_process';

/** `mcp-gateway audit verify FILE` of the build, with the key beside the file. */
export function verifyAudit(file: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/cli/main.js', 'audit', 'verify', file], {
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}
