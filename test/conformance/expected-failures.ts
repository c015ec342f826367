/** Checks of the conformance tools that the gateway is known to worsen. An entry that no longer does fails the run, so that none outlives its reason. */
import type { ExpectedFailures } from './judge.js';

const NONE: ExpectedFailures = new Map();
const PLAIN_JSON = 'HTTP+SSE does not tell that an answer will take its time, so one that comes at once is plain JSON';

/** By name of the run, see `runs`. */
export const EXPECTED_FAILURES: ReadonlyMap<string, ExpectedFailures> = new Map([
  [
    '2025-11-25, SDK v1 over HTTP+SSE',
    new Map([
      ['server-sse-multiple-streams server-sse-streams-functional', PLAIN_JSON],
      ['server-sse-polling server-sse-priming-event', PLAIN_JSON],
      ['server-sse-polling server-sse-retry-field', PLAIN_JSON],
      ['server-sse-polling server-sse-disconnect-resume', PLAIN_JSON],
    ]),
  ],
]);

export function expectedFailuresOf(run: string): ExpectedFailures {
  return EXPECTED_FAILURES.get(run) ?? NONE;
}
