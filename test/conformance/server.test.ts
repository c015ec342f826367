/** The protocol's own conformance tools find through the gateway what they find without it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSdkUpstream, type SdkUpstream } from '../helpers/sdk-upstream.js';
import { type ChildGateway, startGatewayProcess } from '../helpers/start-gateway.js';
import { EXPECTED_FAILURES, expectedFailuresOf } from './expected-failures.js';
import { createLegacyServer } from './fixtures/legacy-server.js';
import { type Fixture, serveDual, serveLegacy } from './fixtures/serve.js';
import { count, judge } from './judge.js';
import { type Check, runTool, TOOL_TIMEOUT_MS } from './run-tool.js';
import { type Run, RUNS } from './runs.js';

let legacy: Fixture;
let dual: Fixture;
let overSse: SdkUpstream;
let gateway: ChildGateway;

beforeAll(async () => {
  [legacy, dual, overSse] = await Promise.all([
    serveLegacy(),
    serveDual(),
    startSdkUpstream({ createServer: createLegacyServer }),
  ]);
  gateway = await startGatewayProcess({
    upstreams: [
      { url: legacy.url, prefix: 'legacy-streamable-http' },
      { url: dual.url, prefix: 'dual-streamable-http' },
      { url: overSse.urls.sse, prefix: 'legacy-sse' },
    ],
  });
});

afterAll(async () => {
  await gateway.stop();
  await Promise.all([legacy.close(), dual.close(), overSse.close()]);
});

describe.each(RUNS)('$name', (run) => {
  let direct: readonly Check[];
  let through: readonly Check[];

  beforeAll(async () => {
    // One after the other: some scenarios measure time.
    direct = await runTool(run, (run.fixture === 'legacy' ? legacy : dual).url);
    through = await runTool(run, routeOf(run));
  }, 2 * TOOL_TIMEOUT_MS);

  test(`the server itself passes all ${run.passes} checks`, () => {
    expect(direct.filter((check) => check.status === 'FAILURE')).toEqual([]);
    expect(count(direct, 'SUCCESS')).toBe(run.passes);
  });

  test('no check comes out worse through the gateway', () => {
    expect(judge(direct, through, expectedFailuresOf(run.name))).toEqual({ regressions: [], stale: [] });
  });

  test('no check fails through the gateway that is not expected to', () => {
    const expected = expectedFailuresOf(run.name);
    expect(through.filter((check) => check.status === 'FAILURE' && !expected.has(check.name))).toEqual([]);
  });

  test('at least as many checks pass through the gateway', () => {
    const excused = expectedFailuresOf(run.name).size;
    expect(count(through, 'SUCCESS')).toBeGreaterThanOrEqual(run.passes - excused);
  });
});

test('failures are expected only of runs that exist', () => {
  const names = new Set(RUNS.map(({ name }) => name));
  expect([...EXPECTED_FAILURES.keys()].filter((name) => !names.has(name))).toEqual([]);
});

function routeOf({ fixture, upstream }: Run): string {
  return `${gateway.url}/${fixture}-${upstream}/mcp`;
}
