import { expect, test } from 'vitest';
import { VERSION } from '../../../src/core/version.js';
import { Metrics, type RouteFacts } from '../../../src/metrics/metrics.js';

const WELL: RouteFacts = {
  route: 'sumit',
  sessions: { sse: 2, 'streamable-http': 0 },
  isUpstreamUp: true,
  breaker: 'closed',
};

/** The samples of one series, each as it stands in the text, without the common prefix. */
async function samples(metrics: Metrics, name: string): Promise<string[]> {
  const { text } = await metrics.expose();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`mcp_gateway_${name}`))
    .map((line) => line.slice('mcp_gateway_'.length));
}

function count(metrics: Metrics, method: string): void {
  metrics.route('sumit').requestEnded(method, 'ok', 3, 0.2);
}

test('counts requests by route, method and outcome', async () => {
  const metrics = new Metrics(() => []);
  metrics.route('sumit').requestEnded('tools/call', 'ok', 1, 1);
  metrics.route('sumit').requestEnded('tools/call', 'ok', 1, 1);
  metrics.route('sumit').requestEnded('tools/call', 'timeout', 1, 1);
  metrics.route('other-route').requestEnded('ping', 'denied', 1, 1);
  expect(await samples(metrics, 'requests_total')).toEqual([
    'requests_total{route="sumit",method="tools/call",outcome="ok"} 2',
    'requests_total{route="sumit",method="tools/call",outcome="timeout"} 1',
    'requests_total{route="other-route",method="ping",outcome="denied"} 1',
  ]);
});

test('says the same when it is asked again', async () => {
  const metrics = new Metrics(() => [WELL]);
  count(metrics, 'tools/call');
  const first = await samples(metrics, 'requests_total');
  expect(await samples(metrics, 'requests_total')).toEqual(first);
  expect(await samples(metrics, 'active_sessions')).toEqual(await samples(metrics, 'active_sessions'));
});

test('gives durations in seconds, cumulative by bound, with sum and count', async () => {
  const metrics = new Metrics(() => []);
  metrics.route('sumit').requestEnded('tools/call', 'ok', 40, 0.2);
  metrics.route('sumit').requestEnded('tools/call', 'ok', 400_000, 0.03);
  const durations = await samples(metrics, 'request_duration_seconds');
  const labels = 'route="sumit",method="tools/call"';
  expect(durations).toContain(`request_duration_seconds_bucket{${labels},le="0.025"} 0`);
  expect(durations).toContain(`request_duration_seconds_bucket{${labels},le="0.05"} 1`);
  expect(durations).toContain(`request_duration_seconds_bucket{${labels},le="300"} 1`);
  expect(durations).toContain(`request_duration_seconds_bucket{${labels},le="+Inf"} 2`);
  expect(durations).toContain(`request_duration_seconds_sum{${labels}} 400.04`);
  expect(durations).toContain(`request_duration_seconds_count{${labels}} 2`);
  const overheads = await samples(metrics, 'overhead_duration_seconds');
  expect(overheads).toContain(`overhead_duration_seconds_bucket{${labels},le="0.00005"} 1`);
  expect(overheads).toContain(`overhead_duration_seconds_bucket{${labels},le="0.00025"} 2`);
  expect(overheads).toContain(`overhead_duration_seconds_count{${labels}} 2`);
});

test.each([
  ['rate_limited_total', 'limited'],
  ['rate_limit_store_failures_total', 'decidedWithoutStore'],
] as const)('%s counts by limit, and shows those of the configuration before anything happens', async (name, event) => {
  let limits = ['per-caller', 'sms'];
  const metrics = new Metrics(() => [], { limits: () => limits });
  metrics[event]('sms');
  metrics[event]('role:user');
  metrics[event]('sms');
  const expected = [`${name}{limit="per-caller"} 0`, `${name}{limit="sms"} 2`, `${name}{limit="role:user"} 1`];
  expect(await samples(metrics, name)).toEqual(expected);
  expect(await samples(metrics, name)).toEqual(expected);
  // What was counted stays counted when the configuration changes.
  limits = [];
  expect(await samples(metrics, name)).toEqual(expected.slice(1));
});

test('counts decisions by route, effect and layer', async () => {
  const metrics = new Metrics(() => []);
  metrics.route('sumit').decided('allow', 'role');
  metrics.route('sumit').decided('allow', 'role');
  metrics.route('sumit').decided('deny', 'tool_rule');
  metrics.route('other').decided('deny', 'rate_limit');
  const expected = [
    'policy_decisions_total{route="sumit",effect="allow",layer="role"} 2',
    'policy_decisions_total{route="sumit",effect="deny",layer="tool_rule"} 1',
    'policy_decisions_total{route="other",effect="deny",layer="rate_limit"} 1',
  ];
  expect(await samples(metrics, 'policy_decisions_total')).toEqual(expected);
  expect(await samples(metrics, 'policy_decisions_total')).toEqual(expected);
});

test('counts the records of the audit trail, where there is one', async () => {
  let records = 3;
  const metrics = new Metrics(() => [], { auditRecords: () => records });
  expect(await samples(metrics, 'audit_records_total')).toEqual(['audit_records_total 3']);
  records = 5;
  expect(await samples(metrics, 'audit_records_total')).toEqual(['audit_records_total 5']);
  expect(await samples(new Metrics(() => []), 'audit_records_total')).toEqual([]);
});

test('lets nobody make a series by inventing a method', async () => {
  const metrics = new Metrics(() => []);
  count(metrics, 'tools/call');
  for (let index = 0; index < 500; index += 1) count(metrics, `invented/${index}"} 1\nevil{a="`);
  count(metrics, '__proto__');
  expect(await samples(metrics, 'requests_total')).toEqual([
    'requests_total{route="sumit",method="tools/call",outcome="ok"} 1',
    'requests_total{route="sumit",method="other",outcome="ok"} 501',
  ]);
  expect((await metrics.expose()).text).not.toMatch(/invented|evil|__proto__/);
});

test('reads routes when it is asked, and forgets those that are gone', async () => {
  let facts: RouteFacts[] = [WELL];
  const metrics = new Metrics(() => facts);
  expect(await samples(metrics, 'active_sessions')).toEqual([
    'active_sessions{route="sumit",transport="sse"} 2',
    'active_sessions{route="sumit",transport="streamable-http"} 0',
  ]);
  facts = [{ ...WELL, route: 'next', sessions: { sse: 0, 'streamable-http': 7 } }];
  expect(await samples(metrics, 'active_sessions')).toEqual([
    'active_sessions{route="next",transport="sse"} 0',
    'active_sessions{route="next",transport="streamable-http"} 7',
  ]);
});

test('says nothing of an upstream that was not tried yet', async () => {
  const metrics = new Metrics(() => [
    WELL,
    { ...WELL, route: 'down', isUpstreamUp: false, breaker: 'open' },
    { ...WELL, route: 'new', isUpstreamUp: undefined, breaker: 'half-open' },
  ]);
  expect(await samples(metrics, 'upstream_up')).toEqual([
    'upstream_up{route="sumit"} 1',
    'upstream_up{route="down"} 0',
  ]);
  expect(await samples(metrics, 'breaker_state')).toEqual([
    'breaker_state{route="sumit"} 0',
    'breaker_state{route="down"} 2',
    'breaker_state{route="new"} 1',
  ]);
});

test('names the version, the configuration and the process', async () => {
  const metrics = new Metrics(() => []);
  expect(await samples(metrics, 'build_info')).toEqual([`build_info{version="${VERSION}"} 1`]);
  expect(await samples(metrics, 'config_last_reload_success')).toEqual(['config_last_reload_success 1']);
  expect(await samples(metrics, 'process_cpu_seconds_total')).toHaveLength(1);
  expect(await samples(metrics, 'nodejs_eventloop_lag_p99_seconds')).toHaveLength(1);
});

test('describes every metric once, also with several gateways in one process', async () => {
  const metrics = [new Metrics(() => []), new Metrics(() => [])];
  for (const each of metrics) {
    const { text, contentType } = await each.expose();
    expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
    const described = [...text.matchAll(/^# TYPE (\S+) \S+$/gm)].map(([, name]) => name);
    expect(described).toContain('mcp_gateway_overhead_duration_seconds');
    expect(new Set(described).size).toBe(described.length);
    const stray = text.split('\n').filter((line) => line !== '' && !/^(?:# (?:HELP|TYPE) )?mcp_gateway_/.test(line));
    expect(stray).toEqual([]);
  }
});
