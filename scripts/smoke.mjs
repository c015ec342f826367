/**
 * Does what the README promises: `npm start` comes up, a client lists the tools of both routes over both transports,
 * SIGTERM ends it with exit code 0. Prints what it saw; exits non-zero when a promise was broken.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const BASE = 'http://127.0.0.1:8080';
const EXPECTED = new Map([
  ['sumit', 'post_sms_3_messages'],
  ['company', 'find_employee'],
]);
const watchdog = setTimeout(() => void fail('not done within 60 s'), 60_000);
const npm = spawn('npm', ['start'], { stdio: ['ignore', 'pipe', 'inherit'] });
const exited = once(npm, 'exit');

try {
  await untilPrinted(npm.stdout, 'The gateway is ready.');
  for (const [route, tool] of EXPECTED) {
    await requireTool(route, tool, new SSEClientTransport(new URL(`${BASE}/${route}/sse`)));
    await requireTool(route, tool, new StreamableHTTPClientTransport(new URL(`${BASE}/${route}/mcp`)));
  }
  npm.kill('SIGTERM');
  const [code, signal] = await exited;
  if (code !== 0) throw new Error(`npm start ended with ${code ?? signal} after SIGTERM`);
  clearTimeout(watchdog);
  console.log('Smoke test passed.');
} catch (error) {
  await fail(error.message);
}

async function requireTool(route, tool, transport) {
  const client = new Client({ name: 'smoke', version: '1.0.0' });
  await client.connect(transport);
  const { tools } = await client.listTools();
  await client.close();
  if (!tools.some(({ name }) => name === tool)) throw new Error(`/${route} does not list ${tool}`);
  console.log(`/${route}: ${tools.length} tools`);
}

async function untilPrinted(stream, text) {
  let printed = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    printed += chunk;
    if (printed.includes(text)) {
      // Read on, or the pipe would fill up.
      stream.resume();
      return;
    }
  }
  throw new Error('npm start ended before it was ready');
}

async function fail(message) {
  console.error(`Smoke test failed: ${message}`);
  npm.kill('SIGTERM');
  await Promise.race([exited, delay(10_000)]);
  process.exit(1);
}
