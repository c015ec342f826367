/** Sums vitest JSON reports. As a program: `node scripts/test-totals.mjs REPORT.json...` prints the sum. */
import { readFileSync } from 'node:fs';
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

export function totalLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const totals = process.argv.slice(2).map(readTotals);
  const sum = (key) => totals.reduce((total, one) => total + one[key], 0);
  console.log(totalLine({ passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') }));
}
