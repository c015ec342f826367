/** The real process: what it prints, how it reacts to signals, which code it ends with. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

const UPSTREAM = 'http://127.0.0.1:9/sse';
const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
});

interface Run {
  child: ChildProcess;
  out(): string;
  err(): string;
  /** Resolves when standard error holds `text`; rejects when the process ends without. */
  says(text: string): Promise<void>;
  ended: Promise<number | null>;
}

function start(words: string[], { stdin = '', env = {} }: { stdin?: string; env?: Record<string, string> } = {}): Run {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...words], {
    env: { PATH: process.env['PATH'], NODE_NO_WARNINGS: '1', ...env },
    stdio: 'pipe',
  });
  running.push(child);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => void (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => void (err += chunk.toString()));
  child.stdin.end(stdin);
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (err.includes(text)) resolve();
      };
      child.stderr.on('data', look);
      void ended.then(() => reject(new Error(`ended without saying ${text}: ${err}`)));
      look();
    });
  return { child, out: () => out, err: () => err, says, ended };
}

function logLines(run: Run): Record<string, unknown>[] {
  return run
    .err()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('serves standard input, says where in JSON lines, is healthy, and drains on SIGTERM', async () => {
  const run = start(['--config', '-', '--port', '0'], {
    stdin: `server: { port: 1 }\nupstreams: [{ url: "${UPSTREAM}", prefix: here, headers: { x-api-key: canary } }]\n`,
  });
  await run.says('"gateway_started"');
  const started = logLines(run).find((line) => line['event'] === 'gateway_started');
  const address = String(started?.['address']);
  expect(started).toMatchObject({
    config: '<stdin>',
    routes: [
      { prefix: 'here', endpoints: [`${address}/here/sse`, `${address}/here/mcp`, `${address}/sse`, `${address}/mcp`] },
    ],
  });
  expect(await start(['healthcheck', '--url', `${address}/readyz`]).ended).toBe(0);
  run.child.kill('SIGHUP');
  await run.says('reload_unsupported');
  run.child.kill('SIGTERM');
  expect(await run.ended).toBe(0);
  expect(logLines(run).map((line) => line['event'])).toContain('config_warning');
  expect(run.out()).toBe('');
  expect(run.err()).not.toContain('canary');
});

test('prints a banner for people, and logs to a file when there is one', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'cli-')), 'gateway.log');
  const run = start(['--upstream', UPSTREAM, '--port', '0'], { env: { MCP_GATEWAY_LOGGING_FILE: file } });
  await run.says('/mcp\n');
  run.child.kill('SIGINT');
  expect(await run.ended).toBe(0);
  expect(run.err()).toMatch(
    /^mcp-gateway \S+ listens on (http:\/\/127\.0\.0\.1:\d+) \(configuration: command line\)\n {2}ip-127-0-0-1 -> \S+\n {6}\1\/ip-127-0-0-1\/sse\n/,
  );
  expect(readFileSync(file, 'utf8')).toContain('"event":"gateway_started"');
});

test('a second signal ends a long drain at once', async () => {
  const run = start(['--config', '-'], {
    stdin: `server: { port: 0, drain: { preStop: 10m } }\nupstreams: [${UPSTREAM}]\n`,
  });
  await run.says('"gateway_started"');
  run.child.kill('SIGTERM');
  await run.says('"signal":"SIGTERM"');
  // Signals within 50 ms count as one, so repeat until it is over.
  const repeat = setInterval(() => run.child.kill('SIGTERM'), 60);
  expect(await run.ended).toBe(143);
  clearInterval(repeat);
});

test('ends with 71 when the address is taken', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const run = start(['--upstream', UPSTREAM, '--port', String(port)]);
  expect(await run.ended).toBe(71);
  expect(run.err()).toContain(`127.0.0.1:${port}`);
  server.close();
});

test('ends with 69 when a required upstream is not there', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const run = start(['--config', '-', '--port', '0'], {
    stdin: `upstreams: [{ url: "http://127.0.0.1:${port}/sse", prefix: needed, required: true }]\n`,
  });
  expect(await run.ended).toBe(69);
  expect(run.err()).toContain('needed');
});

test.each([
  [['--bogus'], 64],
  [['--config', 'none.yaml'], 66],
  [['--upstream', 'ftp://a'], 78],
])('%j ends with %d and keeps standard output clean', async (words, code) => {
  const run = start(words);
  expect(await run.ended).toBe(code);
  expect(run.out()).toBe('');
  expect(run.err()).not.toMatch(/^ +at /m);
});

test('ends with 78 when the log file cannot be opened', async () => {
  const run = start(['--upstream', UPSTREAM, '--port', '0'], {
    env: { MCP_GATEWAY_LOGGING_FILE: '/nonexistent/g.log' },
  });
  expect(await run.ended).toBe(78);
  expect(run.err()).toContain('logging.file cannot be opened');
});

test.each([
  ['whose key file is empty', 'trail.jsonl', 'trail.jsonl.key" is empty'],
  ['that is a folder', '.', 'cannot be written: EISDIR'],
  ['whose folder cannot be made', '/proc/missing/trail.jsonl', 'cannot be written: ENOENT'],
])('ends with 78 on an audit file %s', async (_what, file, reason) => {
  const cwd = mkdtempSync(join(tmpdir(), 'cli-'));
  writeFileSync(join(cwd, 'trail.jsonl.key'), '');
  const config = join(cwd, 'gateway.yaml');
  writeFileSync(config, `server: { port: 0 }\nupstreams: [${UPSTREAM}]\naudit: { file: ${file} }\n`);
  const run = start(['--config', config]);
  expect(await run.ended).toBe(78);
  expect(run.err()).toContain(`mcp-gateway: audit`);
  expect(run.err()).toContain(reason);
  expect(run.err()).not.toMatch(/^ +at /m);
});

test('survives a reader of its log that goes away', async () => {
  const run = start(['--upstream', UPSTREAM, '--port', '0']);
  await run.says('"gateway_started"');
  run.child.stderr?.destroy();
  run.child.kill('SIGHUP');
  run.child.kill('SIGTERM');
  const [code] = (await once(run.child, 'exit')) as [number | null];
  expect(code).toBe(0);
});
