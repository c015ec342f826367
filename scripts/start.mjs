/**
 * `npm start`: both example servers and a gateway in front of them, as gateway.yaml says.
 * Builds first when dist/ is missing or older than src/. SIGINT and SIGTERM end everything; exit code 0 then. An example server that
 * ends alone is said, and the rest goes on.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parse } from 'yaml';

const MAIN = 'dist/cli/main.js';
const GATEWAY = 'gateway';
const READY_TIMEOUT_MS = 20_000;

process.chdir(join(import.meta.dirname, '..'));
/** @type {{ name: string, child: import('node:child_process').ChildProcess }[]} in starting order */
const running = [];
/** All of it was started. */
let isReady = false;
/** When the end began; undefined while all is well. */
let stoppingSinceMs;
const isStopping = () => stoppingSinceMs !== undefined;

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, onSignal);
try {
  await start();
} catch (error) {
  if (!isStopping()) {
    console.error(`npm start: ${error.message}`);
    await stop(1);
  }
}

async function start() {
  const config = parse(readFileSync('gateway.yaml', 'utf8'));
  const port = Number(process.env.MCP_GATEWAY_SERVER_PORT ?? config.server.port);
  for (const each of [...config.upstreams.map(({ url }) => Number(new URL(url).port)), port]) await requireFree(each);
  buildIfStale();
  const routes = JSON.parse(execFileSync(process.execPath, [MAIN, 'routes', '--config', 'gateway.yaml', '--json']));

  await Promise.all([startExample('sms'), startExample('company')]);
  run(GATEWAY, [MAIN, '--config', 'gateway.yaml'], ['ignore', 'inherit', 'inherit']);
  await untilReady(`http://127.0.0.1:${port}/readyz`);
  isReady = true;
  if (!isStopping()) console.log(welcome(`http://127.0.0.1:${port}`, routes));
}

function run(name, args, stdio) {
  // A process group of its own, so that Ctrl-C reaches the gateway once, through us: a second signal would cut its drain.
  const child = spawn(process.execPath, args, { stdio, detached: true });
  running.push({ name, child });
  child.on('exit', (code, signal) => {
    if (isStopping()) return;
    console.error(`npm start: ${name} ended unexpectedly (${signal ?? `exit code ${code}`})`);
    // Whoever ends a server to see what the gateway makes of it wants to see it.
    if (isReady && name !== GATEWAY)
      console.error(`The gateway goes on. Again: node examples/servers/${name}/server.mjs`);
    else void stop(1);
  });
  return child;
}

async function startExample(name) {
  const child = run(name, [`examples/servers/${name}/server.mjs`], ['ignore', 'pipe', 'inherit']);
  // The first line is its URL: it listens.
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  child.stdout.resume();
}

async function untilReady(url) {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!isStopping()) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    if (performance.now() > deadline) throw new Error(`the gateway was not ready within ${READY_TIMEOUT_MS} ms`);
    await delay(50);
  }
}

async function requireFree(port) {
  const probe = createServer().listen(port, '127.0.0.1');
  try {
    await once(probe, 'listening');
  } catch (error) {
    if (error.code !== 'EADDRINUSE') throw error;
    throw new Error(`port ${port} is already in use; stop what listens there, or change it in gateway.yaml`, {
      cause: error,
    });
  }
  probe.close();
  await once(probe, 'close');
}

function buildIfStale() {
  const builtAtMs = statSync(MAIN, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync('src', { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const changedAtMs = Math.max(...sources.map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs));
  if (builtAtMs >= changedAtMs) return;
  console.log('Building ...');
  const build = spawnSync('npm', ['run', '--silent', 'build'], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (build.status !== 0) throw new Error('the build failed');
}

function onSignal() {
  // A terminal signals npm and us, and npm passes its own on: repeats that come at once are the same one.
  if (!isStopping()) void stop(0);
  else if (performance.now() - stoppingSinceMs > 1000) {
    for (const { child } of running) child.kill('SIGKILL');
  }
}

/** Ends the gateway first, so that it can drain while its upstreams still answer. */
async function stop(exitCode) {
  if (isStopping()) return;
  stoppingSinceMs = performance.now();
  for (const { child } of running.toReversed()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  process.exit(exitCode);
}

function welcome(base, routes) {
  const lines = routes.flatMap(({ prefix, upstream, endpoints }) => [
    `  /${prefix}  ->  ${upstream}`,
    ...endpoints.map((endpoint) => `      ${endpoint.startsWith('http') ? endpoint : base + endpoint}`),
  ]);
  const [{ prefix }] = routes;
  const cursor = Object.fromEntries(routes.map((route) => [route.prefix, { url: `${base}/${route.prefix}/mcp` }]));
  return `
The gateway is ready.

${lines.join('\n')}

Claude Code:
${routes.map((route) => `  claude mcp add --transport http ${route.prefix} ${base}/${route.prefix}/mcp`).join('\n')}

Cursor (.cursor/mcp.json):
  ${JSON.stringify({ mcpServers: cursor })}

curl:
  curl -N ${base}/${prefix}/sse
  curl ${base}/status

Ctrl-C ends it.
`;
}
