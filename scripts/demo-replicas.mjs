/**
 * `npm run demo:replicas`: what examples/replicas describes, as plain processes on free ports. A client calls a tool again and
 * again through the load balancer while the gateway that holds its session is killed; what it saw is printed.
 * Everything is taken down at the end; exit code 0 when the client's session went on.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { findTool, provideTools } from './system-tools.mjs';

const GATEWAYS = ['gateway-1', 'gateway-2', 'gateway-3'];
const START_TIMEOUT_MS = 20_000;
const CALL_TIMEOUT_MS = 10_000;
const CALL_EVERY_MS = 100;
const BEFORE_KILL_MS = 3000;
const AFTER_KILL_MS = 8000;

process.chdir(join(import.meta.dirname, '..'));
const directory = mkdtempSync(join(tmpdir(), 'mcp-gateway-demo-'));
const startedAtMs = performance.now();
/** @type {import('node:child_process').ChildProcess[]} in starting order */
const running = [];
process.on('exit', () => {
  for (const child of running.toReversed()) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

try {
  console.log(provideTools());
  const gateways = await startGateways(await startServers(), await startRedis());
  const base = await startNginx(gateways);
  process.exitCode = (await demonstrate(base, gateways)) ? 0 : 1;
} catch (error) {
  console.error(`demo: ${error.message}`);
  process.exitCode = 1;
} finally {
  await stopAll();
}

async function startServers() {
  const [sms, company] = await Promise.all(
    ['sms', 'company'].map(async (name) => {
      const child = start(process.execPath, [`examples/servers/${name}/server.mjs`, '--port', '0']);
      return printed(child, /(http:\S+)\n/);
    }),
  );
  say(`example servers: ${sms} and ${company}`);
  return { SMS_URL: sms, COMPANY_URL: new URL('/mcp', company).href };
}

async function startRedis() {
  const port = await freePort();
  const fleeting = ['--save', '', '--appendonly', 'no', '--dir', directory];
  const child = startTool('redis-server', ['--port', String(port), '--bind', '127.0.0.1', ...fleeting]);
  await printed(child, /(Ready to accept connections)/);
  say(`Redis: 127.0.0.1:${port}`);
  return `redis://127.0.0.1:${port}`;
}

async function startGateways(servers, redisUrl) {
  const secret = randomBytes(32).toString('base64');
  const env = { ...servers, REDIS_URL: redisUrl, MCP_GATEWAY_SECRET: secret, MCP_GATEWAY_SERVER_PORT: '0' };
  return Promise.all(
    GATEWAYS.map(async (name) => {
      const child = start(process.execPath, ['dist/cli/main.js', '--config', 'examples/replicas/gateway.yaml'], env);
      const url = await printed(child, /"event":"gateway_started".*?"address":"([^"]+)"/);
      say(`${name}: ${url}`);
      return { name, url, child };
    }),
  );
}

/** The example's configuration, with names and paths as they are here. */
async function startNginx(gateways) {
  const port = await freePort();
  let text = readFileSync('examples/replicas/nginx.conf', 'utf8').replace('listen 8080', `listen 127.0.0.1:${port}`);
  for (const { name, url } of gateways) text = text.replace(`${name}:8080`, new URL(url).host);
  const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${kind};`).join('');
  writeFileSync(join(directory, 'nginx.conf'), text.replace('http {', `http { access_log off; ${own}`));
  const globals = 'daemon off; pid nginx.pid; error_log error.log;';
  startTool('nginx', ['-p', directory, '-e', 'error.log', '-c', 'nginx.conf', '-g', globals]);
  const base = `http://127.0.0.1:${port}`;
  await until('nginx', () => fetch(`${base}/readyz`).then(({ ok }) => ok));
  say(`nginx: ${base}`);
  return base;
}

/** @returns {Promise<boolean>} whether the session went on */
async function demonstrate(base, gateways) {
  const client = new Client({ name: 'demo', version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(new URL(`${base}/sumit/mcp`));
  await client.connect(transport);
  const { sessionId } = transport;
  say('a client has opened a session at /sumit/mcp and calls a tool ten times a second');
  const calls = [];
  const killed = killOwner(gateways);
  for (const endMs = performance.now() + BEFORE_KILL_MS + AFTER_KILL_MS; performance.now() < endMs; ) {
    calls.push(await call(client));
    await delay(CALL_EVERY_MS);
  }
  const killedAtMs = await killed;
  const wentOn = summarize(calls, killedAtMs) && transport.sessionId === sessionId;
  await client.close();
  return wentOn;
}

/** @returns {Promise<number>} when it was killed */
async function killOwner(gateways) {
  await delay(BEFORE_KILL_MS);
  const owner = await ownerAmong(gateways);
  const killedAtMs = performance.now();
  owner.child.kill('SIGKILL');
  say(`killed ${owner.name}, which held the session`);
  return killedAtMs;
}

async function ownerAmong(gateways) {
  for (const gateway of gateways) {
    const { routes } = await (await fetch(`${gateway.url}/status`)).json();
    if (routes.some(({ connections }) => connections > 0)) return gateway;
  }
  throw new Error('no gateway holds the session');
}

async function call(client) {
  const sentAtMs = performance.now();
  let failure;
  try {
    const params = { name: 'post_sms_1_preview', arguments: { text: 'Hello' } };
    const result = await client.callTool(params, undefined, { timeout: CALL_TIMEOUT_MS });
    if (result.isError) failure = result.content[0].text;
  } catch (error) {
    failure = error.message;
  }
  const tookMs = performance.now() - sentAtMs;
  if (failure !== undefined) say(`a call failed after ${Math.round(tookMs)} ms: ${failure.split('\n')[0]}`);
  else if (tookMs > 500) say(`a call was answered after ${Math.round(tookMs)} ms`);
  return { sentAtMs, tookMs, isGood: failure === undefined };
}

function summarize(calls, killedAtMs) {
  const good = calls.filter(({ isGood }) => isGood);
  const after = good.filter(({ sentAtMs }) => sentAtMs > killedAtMs);
  const longestMs = Math.round(Math.max(...good.map(({ tookMs }) => tookMs)));
  say(
    `${good.length} of ${calls.length} calls were answered, ${after.length} of them after the kill; the slowest took ${longestMs} ms`,
  );
  const wentOn = after.length > 0 && calls.at(-1).isGood;
  say(wentOn ? 'the same session went on with another gateway' : 'the session did not go on');
  return wentOn;
}

function startTool(name, args) {
  const { file, env } = findTool(name);
  return start(file, args, env);
}

function start(file, args, env = {}) {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  return child;
}

async function printed(child, pattern) {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  return until(String(pattern), () => {
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} ended: ${output}`);
    return pattern.exec(output)?.[1];
  });
}

async function until(what, probe) {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const value = await Promise.resolve(probe()).catch(() => undefined);
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`timed out waiting for ${what}`);
    await delay(20);
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

async function stopAll() {
  for (const child of running.toReversed()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGTERM');
    await Promise.race([once(child, 'exit'), delay(5000)]);
  }
}

function say(text) {
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  console.log(`${seconds.padStart(5)} s  ${text}`);
}
