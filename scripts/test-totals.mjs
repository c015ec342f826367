/** Sums vitest JSON reports. As a program: `node scripts/test-totals.mjs REPORT.json...` prints what failed, and the sum. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { pathToFileURL } from 'node:url';

/** @param {string} file A report of vitest's JSON reporter; one that is missing or broken counts as a failure. */
export function readTotals(file) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    // A file that could not be loaded has no tests to count.
    const brokenFiles = report.testResults.filter(
      (result) => result.status === 'failed' && !result.assertionResults.some((test) => test.status === 'failed'),
    );
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests + brokenFiles.length,
      skipped: report.numPendingTests + (report.numTodoTests ?? 0),
    };
  } catch (error) {
    console.error(`${file}: ${error instanceof Error ? error.message : 'unreadable'}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/** @returns a line for each test that failed: where it is, what it is called, and how its first error begins */
function* failures(file) {
  let results;
  try {
    results = JSON.parse(readFileSync(file, 'utf8')).testResults;
  } catch {
    return;
  }
  for (const { name, message, status, assertionResults } of results) {
    const failed = assertionResults.filter((test) => test.status === 'failed');
    for (const test of failed) yield failureLine(name, test.fullName, test.failureMessages[0]);
    if (status === 'failed' && failed.length === 0) yield failureLine(name, 'does not load', message);
  }
}

function failureLine(file, name, error = '') {
  return `FAILED ${relative('.', file)}: ${name}: ${error.split('\n', 1)[0].slice(0, 500)}`;
}

export function totalLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const reports = process.argv.slice(2);
  for (const report of reports) for (const line of failures(report)) console.log(line);
  const totals = reports.map(readTotals);
  const sum = (key) => totals.reduce((total, one) => total + one[key], 0);
  console.log(totalLine({ passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') }));
}
