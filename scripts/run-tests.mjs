/**
 * Runs the named vitest projects and ends with one line, `N passed, N failed, N skipped`.
 *
 *     node scripts/run-tests.mjs unit integration fuzz [-- vitest arguments]
 *
 * Exits non-zero on a failure, when nothing passed, and, with $CI set, when a test was skipped.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { provideTools } from './system-tools.mjs';
import { readTotals, totalLine } from './test-totals.mjs';

const separator = process.argv.indexOf('--');
const projects = process.argv.slice(2, separator === -1 ? undefined : separator);
const extra = separator === -1 ? [] : process.argv.slice(separator + 1);
const outputFile = `.cache/test-results/${projects.join('-')}.json`;

/** Projects whose tests start programs of the system. */
const NEED_TOOLS = new Set(['integration', 'chaos']);
if (projects.some((name) => NEED_TOOLS.has(name))) console.log(provideTools());

mkdirSync('.cache/test-results', { recursive: true });
rmSync(outputFile, { force: true });
const run = spawnSync(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    ...projects.flatMap((name) => ['--project', name]),
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${outputFile}`,
    ...extra,
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);

const totals = readTotals(outputFile);
// An error outside any test (an unhandled rejection, a file that does not load) shows only in the exit code.
if (run.status !== 0 && totals.failed === 0) totals.failed = 1;
const skippedFails = process.env.CI !== undefined && totals.skipped > 0;
if (skippedFails) console.error('A test was skipped: under CI every test must run.');
console.log(totalLine(totals));
process.exitCode = totals.failed > 0 || totals.passed === 0 || skippedFails ? 1 : 0;
