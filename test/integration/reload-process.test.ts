/** Signals that have files read or opened again, as the operating system delivers them; and certificates, as connections see them. */
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Child, printed, startNode } from '../helpers/child.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { waitFor } from '../helpers/wait.js';
import { TestClient } from './faults-support.js';
import { ReloadableGateway, yamlOf } from './reload-support.js';

const FIXTURES = join(import.meta.dirname, '../fixtures/tls');

let upstream: SdkUpstream;
let directory: string;
let child: Child | undefined;

beforeAll(async () => {
  upstream = await startSdkUpstream();
  directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-signals-'));
});

afterAll(async () => {
  await upstream.close();
  await rm(directory, { recursive: true });
});

afterEach(async () => {
  await child?.stop('SIGKILL');
  child = undefined;
});

const route = (prefix: string): object => ({ url: upstream.urls.streamable, prefix });

async function start(args: readonly string[], input?: string): Promise<{ child: Child; url: string }> {
  const env = { MCP_GATEWAY_SERVER_PORT: '0' };
  child = startNode(['dist/cli/main.js', ...args], input === undefined ? { env } : { env, input });
  return { child, url: await printed(child, /listen(?:ing|s) on (http:\/\/[^\s"]+:\d+)/) };
}

function logged(event: string): Promise<string> {
  if (child === undefined) throw new Error('nothing was started');
  return printed(child, new RegExp(`("event":"${event}".*)\n`), 5000);
}

test('SIGHUP reloads the file, and sessions of unchanged routes live on', async () => {
  const file = join(directory, 'gateway.yaml');
  await writeFile(file, yamlOf({ upstreams: [route('up')] }));
  const gateway = await start(['--config', file]);
  const client = await TestClient.connect(gateway.url, '/up', 'sse');
  gateway.child.process.kill('SIGHUP');
  await logged('config_reloaded');
  await writeFile(file, yamlOf({ upstreams: [route('up'), route('more')] }));
  gateway.child.process.kill('SIGHUP');
  await waitFor('the route', async () => (await fetch(`${gateway.url}/more/status`)).status === 200);
  expect((await client.request('tools/list')).error).toBeUndefined();
  client.close();
  expect(await gateway.child.stop('SIGTERM')).toBe(0);
});

test.each([
  ['standard input', ['--config', '-']],
  ['flags alone', ['--upstream', 'http://127.0.0.1:1/mcp']],
])('SIGHUP says that there is nothing to reload when the configuration is %s', async (_name, args) => {
  const gateway = await start(args, args.includes('-') ? yamlOf({ upstreams: [route('up')] }) : undefined);
  gateway.child.process.kill('SIGHUP');
  await logged('reload_unsupported');
  expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
  expect(await gateway.child.stop('SIGTERM')).toBe(0);
});

test('SIGUSR2 goes on in new files after a rotation', async () => {
  const file = join(directory, 'rotated.yaml');
  const config = { logging: { file: './gateway.log' }, audit: { file: './audit.jsonl' }, upstreams: [route('up')] };
  await writeFile(file, yamlOf(config));
  const gateway = await start(['--config', file]);
  for (const name of ['gateway.log', 'audit.jsonl']) {
    await waitFor(name, () => readFile(join(directory, name)).catch(() => undefined));
    await rename(join(directory, name), join(directory, `${name}.1`));
  }
  gateway.child.process.kill('SIGUSR2');
  await waitFor('a new audit trail', () => readFile(join(directory, 'audit.jsonl')).catch(() => undefined));
  gateway.child.process.kill('SIGHUP');
  await waitFor('a line in the new log', async () => {
    const text = await readFile(join(directory, 'gateway.log'), 'utf8').catch(() => '');
    return text.includes('config_reloaded');
  });
  expect(await gateway.child.stop('SIGTERM')).toBe(0);
});

test('new connections get the new certificate, and one that does not fit its key changes nothing', async () => {
  const pem = (name: string): Promise<string> => readFile(join(FIXTURES, name), 'utf8');
  const tls = { certFile: './cert.pem', keyFile: './key.pem' };
  const files = { 'cert.pem': await pem('server.pem'), 'key.pem': await pem('server.key') };
  const gateway = await ReloadableGateway.start({ server: { tls }, upstreams: [route('up')] }, files);
  const before = await fingerprintOf(gateway);

  await gateway.write(await pem('client.pem'), 'cert.pem');
  await gateway.hasLogged('config_reload_failed');
  expect(await fingerprintOf(gateway)).toBe(before);

  await gateway.write(await pem('client.key'), 'key.pem');
  await gateway.hasLogged('config_reloaded');
  expect(await fingerprintOf(gateway)).not.toBe(before);
  await gateway.stop();
});

function fingerprintOf(gateway: ReloadableGateway): Promise<string> {
  const port = Number(new URL(gateway.url).port);
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
