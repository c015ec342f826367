/** How the gateway starts and stops as a process: signals, exit codes, and what becomes of calls that are under way. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Child, startNode } from '../helpers/child.js';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { type ChildGateway, startGatewayProcess } from '../helpers/start-gateway.js';
import { startSdkUpstream } from '../helpers/sdk-upstream.js';
import { waitFor, within } from '../helpers/wait.js';
import { type ClientKind, TestClient, toolFailure } from './faults-support.js';

let upstream: EvilUpstream;
let directory: string;

beforeEach(async () => {
  upstream = await EvilUpstream.start();
  directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-drain-'));
});

afterEach(async () => {
  await upstream.close();
  await rm(directory, { recursive: true, force: true });
});

function start(server: object = {}, url = upstream.mcpUrl): Promise<ChildGateway> {
  return startGatewayProcess({ server, upstreams: [{ url, prefix: 'sumit' }] });
}

/** The exit code; the signal's name when one killed it. */
function exitOf(child: Child, timeoutMs = 10_000): Promise<number | string> {
  const { process } = child;
  return within(
    'the gateway to exit',
    waitFor('an exit', () => process.exitCode !== null || process.signalCode !== null, timeoutMs).then(
      () => process.exitCode ?? process.signalCode ?? '',
    ),
    timeoutMs,
  );
}

const clientKinds: ClientKind[] = ['sse', 'streamable-http'];

describe('SIGTERM', () => {
  test.each(clientKinds)('lets a call of a %s client finish, opens nothing new, and exits 0', async (kind) => {
    const sdk = await startSdkUpstream();
    const gateway = await start({}, sdk.urls.streamable);
    const client = await TestClient.connect(gateway.url, '/sumit', kind);
    const call = client.request(
      'tools/call',
      { name: 'slow', arguments: { steps: 3, delayMs: 400, nonce: 'drain' } },
      10_000,
    );
    await waitFor('the call upstream', () => sdk.state.executions.has('drain'));
    gateway.child.process.kill('SIGTERM');

    await waitFor('readiness to end', async () => (await fetch(`${gateway.url}/readyz`)).status === 503);
    expect((await fetch(`${gateway.url}/livez`)).status).toBe(200);
    for (const newKind of clientKinds) {
      const path = newKind === 'sse' ? '/sumit/sse' : '/sumit/mcp';
      const refused = await openSession(gateway.url + path, newKind);
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(refused.headers.get('connection')).toBe('close');
      expect(await refused.json()).toMatchObject({ jsonrpc: '2.0', error: { code: 1503 } });
    }
    expect((await call).result?.content?.[0]?.text).toBe('did 3 steps');
    expect(await exitOf(gateway.child)).toBe(0);
    expect(sdk.state.executions.get('drain')).toBe(1);
    client.close();
    await gateway.stop();
    await sdk.close();
  });

  test('exits 0 at once when nothing is under way, although streams are open', async () => {
    const gateway = await start();
    const clients = await Promise.all(clientKinds.map((kind) => TestClient.connect(gateway.url, '/sumit', kind)));
    gateway.child.process.kill('SIGTERM');
    expect(await exitOf(gateway.child)).toBe(0);
    for (const client of clients) client.close();
    await gateway.stop();
  });

  test.each(clientKinds)('answers a %s client whose time is up, and exits 0 all the same', async (kind) => {
    const gateway = await start({ drain: { timeout: '500ms' } });
    const client = await TestClient.connect(gateway.url, '/sumit', kind);
    upstream.inject('tools/call', { kind: 'hang', at: 'headers' });
    const call = client.callTool('endless', 10_000);
    await waitFor('the call upstream', () => upstream.executions.has('endless'));
    gateway.child.process.kill('SIGTERM');
    expect(await exitOf(gateway.child)).toBe(0);
    expect(toolFailure(await call)).toEqual({ code: 'upstream_failed', executed: 'unknown' });
    client.close();
    await gateway.stop();
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('ends at once when a %s comes after it', async (second) => {
    const gateway = await start();
    const client = await TestClient.connect(gateway.url, '/sumit', 'streamable-http');
    upstream.inject('tools/call', { kind: 'hang', at: 'headers' });
    const call = client.callTool('endless', 10_000).catch(() => 'closed');
    await waitFor('the call upstream', () => upstream.executions.has('endless'));
    gateway.child.process.kill('SIGTERM');
    await waitFor('the drain', async () => (await fetch(`${gateway.url}/readyz`)).status === 503);
    // Two signals within an instant are taken for one, so the second is sent until it counts.
    const again = setInterval(() => gateway.child.process.kill(second), 100);
    const code = await exitOf(gateway.child);
    clearInterval(again);
    expect(code).toBe(second === 'SIGTERM' ? 143 : 130);
    await call;
    client.close();
    await gateway.stop();
  });

  test('goes on serving for preStop while no longer ready', async () => {
    const gateway = await start({ drain: { preStop: '1s' } });
    const client = await TestClient.connect(gateway.url, '/sumit', 'streamable-http');
    gateway.child.process.kill('SIGTERM');
    await waitFor('readiness to end', async () => (await fetch(`${gateway.url}/readyz`)).status === 503);
    expect((await client.callTool('still')).result?.content?.[0]?.text).toBe('{"nonce":"still"}');
    expect(await exitOf(gateway.child)).toBe(0);
    client.close();
    await gateway.stop();
  });
});

function openSession(url: string, kind: ClientKind): Promise<Response> {
  if (kind === 'sse') return fetch(url, { headers: { accept: 'text/event-stream' } });
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'late', version: '1' } },
    }),
  });
}

describe('a start that cannot succeed', () => {
  async function startWith(yaml: string): Promise<Child> {
    const file = join(directory, 'gateway.yaml');
    await writeFile(file, yaml);
    return startNode(['dist/cli/main.js', '--config', file]);
  }

  test('exits 69 when a required upstream is down, and names it', async () => {
    const child = await startWith(`version: 1
server: { port: 0 }
upstreams:
  - { url: "http://127.0.0.1:1/mcp", prefix: vital, required: true }
  - { url: "${upstream.mcpUrl}", prefix: fine, required: true }
`);
    expect(await exitOf(child)).toBe(69);
    expect(child.output).toContain('vital');
    expect(child.output).not.toContain('fine,');
    expect(child.output).not.toMatch(/\n\s+at /);
  });

  test('exits 71 when the address is in use', async () => {
    const child = await startWith(`version: 1
server: { port: ${upstream.port} }
upstreams: [{ url: "${upstream.mcpUrl}", prefix: one }]
`);
    expect(await exitOf(child)).toBe(71);
    expect(child.output).toContain(`127.0.0.1:${upstream.port}`);
    expect(child.output).not.toMatch(/\n\s+at /);
  });

  test('does not happen when an upstream that is not required is down', async () => {
    const gateway = await start({}, 'http://127.0.0.1:1/mcp');
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
    gateway.child.process.kill('SIGTERM');
    expect(await exitOf(gateway.child)).toBe(0);
    await gateway.stop();
  });
});
