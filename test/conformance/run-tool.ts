/** Runs one of the protocol's conformance tools against a server, under the newer Node the tools ask for, and reads what it checked. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodePath } from './node-path.js';

const MODULES = join(import.meta.dirname, 'node_modules');
/** For all scenarios of one run together. */
export const TOOL_TIMEOUT_MS = 60_000;

/** The released line of the tool, and the one that knows the stateless revision. */
const TOOLS = {
  released: join(MODULES, 'conformance-released/dist/index.js'),
  next: join(MODULES, '@modelcontextprotocol/conformance/dist/index.js'),
};

export interface ToolRun {
  readonly tool: keyof typeof TOOLS;
  /** Only the scenarios of this revision, in its era; undefined for all the tool has. */
  readonly specVersion?: '2025-11-25' | '2026-07-28';
}

export interface Check {
  /** `scenario check-id`, numbered from the second one of that name on. */
  readonly name: string;
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO';
  readonly error: string | undefined;
}

/** @throws {Error} with the tool's output: it checked nothing */
export async function runTool(run: ToolRun, url: string): Promise<readonly Check[]> {
  const directory = await mkdtemp(join(tmpdir(), 'mcp-conformance-'));
  try {
    const version = run.specVersion === undefined ? [] : ['--spec-version', run.specVersion];
    const output = await execute([
      TOOLS[run.tool],
      'server',
      '--url',
      url,
      '--suite',
      'all',
      ...version,
      '-o',
      directory,
    ]);
    const checks = await readChecks(directory);
    if (checks.length === 0) throw new Error(`the conformance tool checked nothing:\n${output}`);
    return checks;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A failed check makes the exit code non-zero; the checks themselves say more. */
function execute(args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(
      nodePath(MODULES),
      args,
      { timeout: TOOL_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        resolve(`${error?.message ?? ''}\n${stdout}\n${stderr}`);
      },
    );
  });
}

interface CheckRecord {
  readonly id: string;
  readonly status: Check['status'];
  readonly errorMessage?: string;
}

/** One directory per scenario, named after it and the time it ran. */
async function readChecks(directory: string): Promise<Check[]> {
  const checks: Check[] = [];
  const seen = new Map<string, number>();
  for (const entry of (await readdir(directory)).toSorted()) {
    const scenario = entry.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T.*$/, '');
    const records = JSON.parse(await readFile(join(directory, entry, 'checks.json'), 'utf8')) as CheckRecord[];
    for (const { id, status, errorMessage } of records) {
      const name = `${scenario} ${id}`;
      const count = (seen.get(name) ?? 0) + 1;
      seen.set(name, count);
      checks.push({ name: count === 1 ? name : `${name} #${count}`, status, error: errorMessage });
    }
  }
  return checks;
}
