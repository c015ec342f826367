/** Policy, limits and the audit trail as clients and operators meet them: through a running gateway and the official SDK. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { McpError } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { verifyAuditFiles } from '../../src/audit/verify.js';
import { readAuditKey } from '../../src/audit/key.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';

const overSse = (url: string): Transport => new SSEClientTransport(new URL(`${url}/up/sse`));
const overStreamable = (url: string): Transport => new StreamableHTTPClientTransport(new URL(`${url}/up/mcp`));
const TRANSPORTS: readonly [string, (url: string) => Transport][] = [
  ['HTTP+SSE', overSse],
  ['Streamable HTTP', overStreamable],
];

interface GatewayErrorMeta {
  readonly code: string;
  readonly [fact: string]: unknown;
}

let upstream: SdkUpstream;
let gateway: InProcessGateway | undefined;
let client: Client | undefined;
let directory: string;

beforeAll(async () => {
  upstream = await startSdkUpstream();
  directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-policy-'));
});

afterAll(async () => {
  await upstream.close();
  await rm(directory, { recursive: true });
});

afterEach(async () => {
  await client?.close();
  await gateway?.stop();
  client = undefined;
  gateway = undefined;
});

async function open(policy: object, connect: (url: string) => Transport, more: object = {}): Promise<Client> {
  gateway = await startTestGateway({
    upstreams: [{ url: upstream.urls.streamable, prefix: 'up', policy: 'p', role: 'user' }],
    policies: { p: policy },
    ...more,
  });
  client = new Client({ name: 'policy-test', version: '1' });
  await client.connect(connect(gateway.url));
  return client;
}

function errorMeta(result: unknown): GatewayErrorMeta | undefined {
  const { _meta } = result as { _meta?: Record<string, unknown> };
  return _meta?.['mcp-gateway/error'] as GatewayErrorMeta | undefined;
}

async function refusal(call: Promise<unknown>): Promise<McpError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(McpError);
  return error as McpError;
}

const READS_ONLY = { version: '2.0', name: 'Reads', default: 'deny', roles: { user: { allow: ['echo', 'add'] } } };

describe.each(TRANSPORTS)('over %s', (_name, connect) => {
  test('lists exactly the tools the role may call, and refuses the others with the reason', async () => {
    const user = await open(READS_ONLY, connect);
    const { tools } = await user.listTools();
    expect(tools.map((tool) => tool.name).toSorted()).toEqual(['add', 'echo']);
    const answer = await user.callTool({ name: 'echo', arguments: { message: 'hello' } });
    expect(answer.isError ?? false).toBe(false);
    const denied = await refusal(user.callTool({ name: 'fail', arguments: {} }));
    expect(denied.code).toBe(1403);
    expect(denied.message).toContain('Access denied: ');
    expect(denied.data).toMatchObject({ layer: 'role', decisionId: expect.stringMatching(/^d-/) as string });
  });

  test('hides a denied tool behind the words for one that does not exist', async () => {
    const user = await open({ ...READS_ONLY, denials: 'hide' }, connect);
    const hidden = await refusal(user.callTool({ name: 'fail', arguments: {} }));
    const missing = await refusal(user.callTool({ name: 'no_such_tool', arguments: {} }));
    expect(hidden.code).toBe(-32602);
    expect(hidden.message.replace('fail', 'X')).toBe(missing.message.replace('no_such_tool', 'X'));
    expect(hidden.data).toEqual(missing.data);
  });

  test('names rule and field when an argument breaks a rule, as a tool result', async () => {
    const policy = {
      ...READS_ONLY,
      tools: [{ match: 'echo', arguments: { properties: { message: { type: 'string', maxLength: 3 } } } }],
    };
    const user = await open(policy, connect);
    const refused = await user.callTool({ name: 'echo', arguments: { message: 'too long' } });
    expect(refused.isError).toBe(true);
    expect(errorMeta(refused)).toMatchObject({ code: 'policy_denied' });
    expect(JSON.stringify(refused.content)).toContain('message');
    expect(JSON.stringify(refused.content)).not.toContain('too long');
    expect((await user.callTool({ name: 'echo', arguments: { message: 'ok' } })).isError ?? false).toBe(false);
  });

  test('lets only so many calls through, and says when to come back', async () => {
    const limits = {
      limits: [{ name: 'per-caller', per: ['principal', 'tool'], match: { tool: 'echo' }, limit: '2/h' }],
    };
    const user = await open(READS_ONLY, connect, { rateLimits: limits });
    for (const message of ['1', '2']) {
      expect((await user.callTool({ name: 'echo', arguments: { message } })).isError ?? false).toBe(false);
    }
    const limited = await user.callTool({ name: 'echo', arguments: { message: '3' } });
    expect(limited.isError).toBe(true);
    const meta = errorMeta(limited);
    expect(meta).toMatchObject({ code: 'rate_limited', limit: 'per-caller' });
    expect(meta?.['retryAfterMs']).toBeGreaterThan(3_000_000);
    const sum = await user.callTool({ name: 'add', arguments: { a: 1, b: 2 } });
    expect(sum.isError ?? false).toBe(false);
  });

  test('decides and records under shadow, and lets everything pass', async () => {
    const file = join(directory, `shadow-${_name.length}.jsonl`);
    const user = await open({ ...READS_ONLY, mode: 'shadow' }, connect, { audit: { file } });
    expect((await user.listTools()).tools.length).toBeGreaterThan(2);
    expect((await user.callTool({ name: 'fail', arguments: {} })).isError).toBe(true);
    await gateway?.stop();
    const records = await readRecords(file);
    const call = records.find((record) => record['tool'] === 'fail');
    expect(call).toMatchObject({ effect: 'allow', would: 'deny', outcome: 'ok' });
  });
});

async function readRecords(file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(file, 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('writes one record for each decision, whatever came of it, in a chain that verifies', async () => {
  const file = join(directory, 'decisions.jsonl');
  const user = await open(READS_ONLY, overStreamable, { audit: { file } });
  await user.listTools();
  const calls = Array.from({ length: 20 }, (_, index) =>
    index % 2 === 0
      ? user.callTool({ name: 'echo', arguments: { message: `canary-${index}` } })
      : refusal(user.callTool({ name: 'fail', arguments: {} })),
  );
  await Promise.all(calls);
  await gateway?.stop();
  const records = await readRecords(file);
  const decisions = records.filter((record) => record['event'] === 'decision' && record['method'] === 'tools/call');
  expect(decisions.filter((record) => record['outcome'] === 'ok')).toHaveLength(10);
  expect(decisions.filter((record) => record['outcome'] === 'denied')).toHaveLength(10);
  expect(new Set(decisions.map((record) => record['decisionId'])).size).toBe(20);
  expect(await readFile(file, 'utf8')).not.toContain('canary');
  const key = await readAuditKey(`${file}.key`);
  expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true });
});

test('answers 503 in strict mode while the trail cannot be written, and the upstream sees nothing', async () => {
  const audit = { file: '/dev/full', key: 'k'.repeat(40), mode: 'strict' };
  const user = await open(READS_ONLY, overStreamable, { audit });
  // The first records are on their way to the disk when it turns out to be full.
  const error = await waitFor('a refusal', async () => {
    const outcome = await user
      .callTool({ name: 'echo', arguments: { message: 'hello' } })
      .catch((thrown: unknown) => thrown);
    return outcome instanceof Error ? outcome : undefined;
  });
  expect(error).toMatchObject({ code: 503 });
  expect(error.message).toContain('the audit trail cannot be written');
});

test('tells operators what the role may see once the list was seen', async () => {
  const user = await open(READS_ONLY, overStreamable);
  const { length } = (await user.listTools()).tools;
  const response = await fetch(`${gateway?.url}/up/status`);
  const status = (await response.json()) as {
    policy_active: boolean;
    role: string;
    policy_stats: Record<string, unknown>;
  };
  expect(status.policy_active).toBe(true);
  expect(status.role).toBe('user');
  expect(status.policy_stats).toMatchObject({ version: '2.0', policy_name: 'Reads', total_allowed_tools: length });
  expect(status.policy_stats['total_denied_tools']).toBeGreaterThan(0);
});

test('gates resources and prompts by the same policy, in lists and when asked for', async () => {
  const policy = {
    version: '2.0',
    name: 'Docs',
    default: 'deny',
    roles: { user: { allow: ['*'], resources: { allow: ['nothing://*'] }, prompts: { allow: ['nothing'] } } },
  };
  const user = await open(policy, overSse);
  expect((await user.listResources()).resources).toEqual([]);
  expect((await user.listPrompts()).prompts).toEqual([]);
  expect((await refusal(user.readResource({ uri: 'test://anything' }))).code).toBe(1403);
  expect((await refusal(user.getPrompt({ name: 'anything' }))).code).toBe(1403);
});

test('hides a family of features that the route does not expose', async () => {
  gateway = await startTestGateway({
    upstreams: [{ url: upstream.urls.streamable, prefix: 'up', expose: { prompts: false } }],
  });
  client = new Client({ name: 'policy-test', version: '1' }, { enforceStrictCapabilities: false });
  await client.connect(overStreamable(gateway.url));
  expect(client.getServerCapabilities()?.prompts).toBeUndefined();
  expect(client.getServerCapabilities()?.tools).toBeDefined();
  expect((await refusal(client.listPrompts())).code).toBe(-32601);
});
