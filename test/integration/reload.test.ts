/** Changing the configuration of a running gateway: what is unchanged must not notice, and a mistake must change nothing. */
import { mkdir, mkdtemp, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { delay, waitFor } from '../helpers/wait.js';
import { type ClientKind, TestClient } from './faults-support.js';
import { type ConfigObject, ReloadableGateway, yamlOf } from './reload-support.js';

/** RELOADS sets how often the configuration is replaced under load. */
const RELOADS = Number(process.env['RELOADS'] ?? 50);
const CLIENT_KINDS: readonly ClientKind[] = ['sse', 'streamable-http'];

let upstream: SdkUpstream;
const open: { stop(): Promise<unknown> }[] = [];

beforeAll(async () => {
  upstream = await startSdkUpstream();
});

afterAll(() => upstream.close());

afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.stop();
});

async function start(config: ConfigObject, files?: Readonly<Record<string, string>>): Promise<ReloadableGateway> {
  const gateway = await ReloadableGateway.start(config, files);
  open.push(gateway);
  return gateway;
}

async function connect(gateway: ReloadableGateway, kind: ClientKind, prefix = '/up'): Promise<TestClient> {
  const client = await TestClient.connect(gateway.url, prefix, kind);
  open.push({ stop: async () => client.close() });
  return client;
}

interface SdkClient {
  readonly client: Client;
  /** How often it was told that the tools changed. */
  changes: number;
}

async function connectSdk(gateway: ReloadableGateway, kind: ClientKind): Promise<SdkClient> {
  const client = new Client({ name: 'reload-test', version: '1' }, { capabilities: { sampling: {} } });
  const connected: SdkClient = { client, changes: 0 };
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    connected.changes += 1;
  });
  const path = kind === 'sse' ? 'sse' : 'mcp';
  const url = new URL(`${gateway.url}/up/${path}`);
  await client.connect(kind === 'sse' ? new SSEClientTransport(url) : new StreamableHTTPClientTransport(url));
  open.push({ stop: () => client.close() });
  return connected;
}

const up = (more: object = {}): object => ({ url: upstream.urls.streamable, prefix: 'up', ...more });
const other = (prefix: string): object => ({ url: upstream.urls.streamableJson, prefix });
const policyOf = (...allow: string[]): object => ({
  version: '2.0',
  name: 'p',
  default: 'deny',
  roles: { user: { allow } },
});
const guarded = (...allow: string[]): ConfigObject => ({
  upstreams: [up({ policy: 'p', role: 'user' })],
  policies: { p: policyOf(...allow) },
});

function callSlow(client: TestClient, nonce: string, steps = 5): ReturnType<TestClient['request']> {
  return client.request('tools/call', { name: 'slow', arguments: { steps, delayMs: 100, nonce } }, 10_000);
}

async function toolNames(client: Client): Promise<string[]> {
  return (await client.listTools()).tools.map(({ name }) => name);
}

describe('rules', () => {
  test.each(CLIENT_KINDS)('an edited policy reaches a live %s session, which is told', async (kind) => {
    const gateway = await start(guarded('echo', 'add'));
    const session = await connectSdk(gateway, kind);
    expect(await toolNames(session.client)).toEqual(['echo', 'add']);

    await gateway.replace(guarded('echo'));
    await waitFor('the notification', () => session.changes === 1);
    expect(await toolNames(session.client)).toEqual(['echo']);
    await expect(session.client.callTool({ name: 'add', arguments: { a: 1, b: 2 } })).rejects.toThrow();
    expect((await gateway.status())['policy_stats']).toMatchObject({ total_allowed_tools: 1 });
    expect(gateway.logged('config_reloaded').at(-1)?.fields).toMatchObject({ added: [], removed: [], replaced: [] });
  });

  test('a session that sees the same tools as before is told nothing', async () => {
    const gateway = await start(guarded('echo', 'add'));
    const session = await connectSdk(gateway, 'sse');
    expect(await toolNames(session.client)).toEqual(['echo', 'add']);
    await gateway.apply(guarded('add', 'echo', 'no_such_tool'));
    await gateway.apply(guarded('echo'));
    await waitFor('a notification', () => session.changes > 0);
    expect(session.changes).toBe(1);
  });

  test('a policy file of its own is watched too', async () => {
    const file = (...allow: string[]): string => JSON.stringify(policyOf(...allow));
    const config = { upstreams: [up({ policy: 'p', role: 'user' })], policies: { p: './policy.json' } };
    const gateway = await start(config, { 'policy.json': file('echo', 'add') });
    const session = await connectSdk(gateway, 'streamable-http');
    expect(await toolNames(session.client)).toEqual(['echo', 'add']);
    await gateway.write(file('add'), 'policy.json');
    await waitFor('the notification', () => session.changes === 1);
    expect(await toolNames(session.client)).toEqual(['add']);
  });

  test('tools that are no longer exposed are gone from live sessions', async () => {
    const gateway = await start({ upstreams: [up()] });
    const client = await connect(gateway, 'sse');
    expect((await client.request('tools/list')).error).toBeUndefined();
    await gateway.apply({ upstreams: [up({ expose: { tools: false } })] });
    expect((await client.request('tools/list')).error).toBeDefined();
    expect(client.messages()).toContainEqual(expect.objectContaining({ method: 'notifications/tools/list_changed' }));
  });
});

describe('routes', () => {
  test.each(CLIENT_KINDS)('come and go while a %s session and its call under way live on', async (kind) => {
    const gateway = await start({ upstreams: [up(), other('gone')] });
    const client = await connect(gateway, kind);
    const { opened } = upstream;
    const call = callSlow(client, `kept-${kind}`);
    await waitFor('the call upstream', () => upstream.state.executions.has(`kept-${kind}`));

    await gateway.apply({ upstreams: [up(), other('new')] });
    expect(gateway.logged('config_reloaded').at(-1)?.fields).toMatchObject({ added: ['new'], removed: ['gone'] });
    expect(await gateway.prefixes()).toEqual(['new', 'up']);
    expect((await call).result?.content?.[0]?.text).toBe('did 5 steps');
    expect((await client.request('tools/list')).error).toBeUndefined();
    expect(upstream.opened).toBe(opened);
    const fresh = await connect(gateway, kind, '/new');
    expect((await fresh.request('tools/list')).error).toBeUndefined();
    await waitFor('404', async () => (await fetch(`${gateway.url}/gone/sse`)).status === 404);
  });

  test.each(CLIENT_KINDS)('that are removed let a call of a %s session finish, and take no other', async (kind) => {
    const gateway = await start({ upstreams: [up(), other('stays')] });
    const held = upstream.servers.size;
    const [busy, idle] = [await connect(gateway, kind), await connect(gateway, kind)];
    const call = callSlow(busy, `removed-${kind}`);
    await waitFor('the call upstream', () => upstream.state.executions.has(`removed-${kind}`));

    await gateway.apply({ upstreams: [other('stays')] });
    expect((await busy.send({ id: 99, method: 'tools/list' })).status).toBe(404);
    expect((await idle.send({ id: 99, method: 'tools/list' })).status).toBe(404);
    expect((await call).result?.content?.[0]?.text).toBe('did 5 steps');
    expect(upstream.state.executions.get(`removed-${kind}`)).toBe(1);
    await waitFor('the sessions upstream to end', () => upstream.servers.size <= held);
  });

  test('that are reached in another way get new sessions, and the old may still answer the server', async () => {
    const gateway = await start({ upstreams: [up()] });
    const before = await connectSdk(gateway, 'sse');
    let isAsked = false;
    let answer: () => void = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    before.client.setRequestHandler(CreateMessageRequestSchema, async () => {
      isAsked = true;
      await answered;
      return { model: 'm', role: 'assistant', content: { type: 'text', text: 'late' } };
    });
    const call = before.client.callTool({ name: 'sample', arguments: { prompt: 'x' } });
    await waitFor('the question', () => isAsked);

    await gateway.apply({ upstreams: [up({ headers: { 'x-new': '1' } })] });
    expect(gateway.logged('config_reloaded').at(-1)?.fields).toMatchObject({ replaced: ['up'] });
    const after = await connectSdk(gateway, 'sse');
    const headers = await after.client.callTool({ name: 'headers', arguments: {} });
    expect(JSON.stringify(headers)).toContain('x-new');
    answer();
    expect(JSON.stringify(await call)).toContain('late');
  });

  test('that are removed are cut when the time for draining is over', async () => {
    const server = { drain: { timeout: '300ms' } };
    const gateway = await start({ server, upstreams: [up(), other('stays')] });
    const client = await connect(gateway, 'streamable-http');
    const call = callSlow(client, 'cut', 50);
    await waitFor('the call upstream', () => upstream.state.executions.has('cut'));
    await gateway.apply({ server, upstreams: [other('stays')] });
    expect((await call).result?.isError).toBe(true);
  });

  test('of an include directory appear with their files', async () => {
    const gateway = await start({ upstreams: [up()], include: ['./*.routes.yaml'] });
    await gateway.write(yamlOf({ upstreams: [other('dropped')] }), 'a.routes.yaml');
    await gateway.hasLogged('config_reloaded');
    expect(await gateway.prefixes()).toEqual(['dropped', 'up']);
  });
});

describe('files', () => {
  test('a bad one changes nothing, and the reasons are told', async () => {
    const gateway = await start({ upstreams: [up()], audit: { file: './audit.jsonl' } });
    const client = await connect(gateway, 'sse');
    const before = await gateway.status();
    await gateway.write('version: 1\nupstreams:\n  - { url: "ftp://x", prefix: up }\n  - { urk: 1 }\n');
    const [failure] = await gateway.hasLogged('config_reload_failed');
    const problems = failure?.fields['problems'];
    expect(problems).toContainEqual(expect.stringMatching(/gateway\.yaml:3:/));
    expect(problems).toContainEqual(expect.stringMatching(/gateway\.yaml:4:/));
    const after = await gateway.status();
    expect([after['config_hash'], after['last_reload']]).toEqual([before['config_hash'], before['last_reload']]);
    expect(await metric(gateway)).toBe(0);
    expect((await client.request('tools/list')).error).toBeUndefined();

    await gateway.write(yamlOf({ upstreams: [up({ inFlight: 7 })], audit: { file: './audit.jsonl' } }));
    await gateway.hasLogged('config_reloaded');
    const mended = await gateway.status();
    expect(mended['config_hash']).not.toBe(before['config_hash']);
    expect(mended['last_reload']).not.toBe(before['last_reload']);
    expect(await metric(gateway)).toBe(1);
    await waitFor('the audit trail', async () => {
      const outcomes = await reloadOutcomes(gateway);
      return outcomes.length === 2 && outcomes;
    });
    expect(await reloadOutcomes(gateway)).toEqual(['error', 'ok']);
  });

  test('one that is half written and then completed is read in the end', async () => {
    const gateway = await start({ upstreams: [up()] });
    const text = yamlOf({ upstreams: [up(), other('late')] });
    await gateway.write(`${text.slice(0, text.indexOf('prefix: late'))}prefix: [`);
    await gateway.hasLogged('config_reload_failed');
    expect(await gateway.prefixes()).toEqual(['up']);
    await gateway.write(text);
    await gateway.hasLogged('config_reloaded');
    expect(await gateway.prefixes()).toEqual(['late', 'up']);
  });

  test('one that was away and is back is read again', async () => {
    const gateway = await start({ upstreams: [up()] });
    await rename(join(gateway.directory, 'gateway.yaml'), join(gateway.directory, 'away.yaml'));
    await gateway.hasLogged('config_reload_failed');
    await gateway.replace({ upstreams: [up(), other('back')] });
    await gateway.hasLogged('config_reloaded');
    expect(await gateway.prefixes()).toEqual(['back', 'up']);
  });

  test('ones behind a link that is swapped, twice', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-volume-'));
    const volume = async (name: string, ...prefixes: string[]): Promise<void> => {
      await mkdir(join(directory, name));
      const upstreams = prefixes.map((prefix) => other(prefix));
      await writeFile(join(directory, name, 'gateway.yaml'), yamlOf({ upstreams }));
    };
    await volume('..1', 'one');
    await symlink('..1', join(directory, '..data'));
    await symlink('..data/gateway.yaml', join(directory, 'gateway.yaml'));
    const gateway = await ReloadableGateway.startIn(directory);
    open.push(gateway);
    for (const [index, prefix] of ['two', 'three'].entries()) {
      await volume(`..${prefix}`, prefix);
      await symlink(`..${prefix}`, join(directory, '..tmp'));
      await rename(join(directory, '..tmp'), join(directory, '..data'));
      await gateway.hasLogged('config_reloaded', index + 1);
      expect(await gateway.prefixes()).toEqual([prefix]);
    }
  });

  test('that change while the gateway starts are read again', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-volume-'));
    const write = (prefix: string) =>
      writeFile(join(directory, 'gateway.yaml'), yamlOf({ upstreams: [other(prefix)] }));
    await write('one');
    const gateway = await ReloadableGateway.startIn(directory, () => write('two'));
    open.push(gateway);
    await gateway.hasLogged('config_reloaded');
    expect(await gateway.prefixes()).toEqual(['two']);
  });

  test('of others in the same directory are nobody business', async () => {
    const gateway = await start({ upstreams: [up()], audit: { file: './audit.jsonl' } });
    const client = await connect(gateway, 'streamable-http');
    await client.request('tools/list');
    await gateway.write('x', 'notes.txt');
    await delay(600);
    expect(gateway.logged('config_reloaded')).toEqual([]);
    expect(gateway.logged('config_reload_failed')).toEqual([]);
  });
});

async function metric(gateway: ReloadableGateway): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  return Number(/^mcp_gateway_config_last_reload_success (\d)$/m.exec(text)?.[1]);
}

async function reloadOutcomes(gateway: ReloadableGateway): Promise<string[]> {
  const lines = (await readFile(join(gateway.directory, 'audit.jsonl'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '');
  const records = lines.map((line) => JSON.parse(line) as { event: string; outcome: string });
  return records.filter(({ event }) => event === 'config_reload').map(({ outcome }) => outcome);
}

describe('the listener', () => {
  test('takes new origins and limits, and names what needs a restart', async () => {
    const origin = { origin: 'https://app.example' };
    const gateway = await start({ upstreams: [up()] });
    const client = await connect(gateway, 'streamable-http');
    expect((await fetch(`${gateway.url}/status`, { headers: origin })).status).toBe(403);
    const limits = { bodyBytes: '1KiB', sessions: 1 };
    const server = { allowedOrigins: [origin.origin], limits, host: 'localhost' };
    await gateway.apply({ server, upstreams: [up()], metrics: { enabled: false } });
    expect((await fetch(`${gateway.url}/status`, { headers: origin })).status).toBe(200);
    expect((await fetch(`${gateway.url}/metrics`)).status).toBe(200);
    expect(gateway.logged('restart_needed').at(-1)?.fields['keys']).toEqual(['server.host', 'metrics']);
    const late = await TestClient.open(gateway.url, '/up', 'streamable-http');
    expect((await late.send({ id: 1, method: 'initialize', params: {} })).status).toBe(503);
    const params = { name: 'echo', arguments: { message: 'x'.repeat(2000) } };
    expect((await client.send({ id: 9, method: 'tools/call', params })).status).toBe(413);
    expect((await client.request('tools/list')).error).toBeUndefined();
  });

  test('does not go without credentials on an address that others can reach', async () => {
    const auth = { apiKeys: [{ name: 'ci', sha256: 'a'.repeat(64) }] };
    const gateway = await start({ server: { host: '0.0.0.0' }, auth, upstreams: [up()] });
    await gateway.apply({ server: { host: '127.0.0.1' }, upstreams: [up()] });
    expect(gateway.logged('config_reload_failed')).toHaveLength(1);
    expect((await fetch(`${gateway.url}/up/sse`)).status).toBe(401);
  });

  test('asks for credentials as soon as they are configured, and ends sessions that had none', async () => {
    const gateway = await start({ upstreams: [up()] });
    const held = upstream.servers.size;
    const client = await connect(gateway, 'sse');
    expect(upstream.servers.size).toBe(held + 1);
    await gateway.apply({ upstreams: [up()], auth: { apiKeys: [{ name: 'ci', sha256: 'a'.repeat(64) }] } });
    expect((await fetch(`${gateway.url}/up/sse`)).status).toBe(401);
    expect((await client.send({ id: 5, method: 'tools/list' })).status).toBe(401);
    await waitFor('the session upstream to end', () => upstream.servers.size <= held);
  });
});

test(`${RELOADS} reloads under load lose no call`, { timeout: 30_000 + RELOADS * 1000 }, async () => {
  const config = (turn: number): ConfigObject => ({
    upstreams: [up({ role: `role${turn % 3}`, policy: 'p' }), other(`r${turn % 4}`)],
    policies: { p: { ...policyOf('nothing'), name: `p${turn}`, default: 'allow' } },
  });
  const gateway = await start(config(0));
  const clients = await Promise.all(CLIENT_KINDS.flatMap((kind) => [connect(gateway, kind), connect(gateway, kind)]));
  const over = new AbortController();
  const loads = clients.map(async (client, index) => {
    let count = 0;
    for (; !over.signal.aborted; count += 1) {
      const reply = await client.request('tools/call', { name: 'echo', arguments: { message: `${index}-${count}` } });
      expect(reply.result?.content?.[0]?.text).toBe(`${index}-${count}`);
    }
    return count;
  });
  const reloads = (async () => {
    for (let turn = 1; turn <= RELOADS; turn += 1) await gateway.apply(config(turn));
    over.abort();
  })();
  const counts = await Promise.all(loads);
  await reloads;
  for (const count of counts) expect(count).toBeGreaterThan(5);
  expect(gateway.logged('config_reload_failed')).toEqual([]);
  expect(gateway.logged('config_reloaded').length).toBeGreaterThanOrEqual(RELOADS);
});
