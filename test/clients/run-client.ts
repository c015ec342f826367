/** Each third-party client as one function: list the tools at a URL, call one, say what came back. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

export interface Visit {
  readonly url: string;
  readonly transport: 'sse' | 'http';
  readonly tool: string;
  readonly args: Readonly<Record<string, string | number>>;
}

export interface Seen {
  readonly tools: readonly string[];
  /** The call's result as JSON text, in the client's own form. */
  readonly result: string;
}

export type RunClient = (visit: Visit) => Promise<Seen>;

const INSPECTOR = 'test/clients/node_modules/.bin/mcp-inspector';
const MCP_REMOTE = 'test/clients/node_modules/.bin/mcp-remote';
const TIMEOUT_MS = 45_000;

export const clients = new Map<string, RunClient>([
  ['MCP Inspector', runInspector],
  ['mcp-remote', runMcpRemote],
  ['AI SDK', (visit) => runProgram('ai-sdk', visit)],
  ['LangChain', (visit) => runProgram('langchain', visit)],
]);

async function runInspector({ url, transport, tool, args }: Visit): Promise<Seen> {
  const inspect = async (...rest: string[]): Promise<unknown> => {
    const fixed = [INSPECTOR, '--cli', url, '--transport', transport, '--format', 'json', '-q'];
    return (JSON.parse(await run([...fixed, ...rest])) as { result: unknown }).result;
  };
  const toolArgs = Object.entries(args).flatMap(([name, value]) => ['--tool-arg', `${name}=${value}`]);
  const listed = (await inspect('--method', 'tools/list')) as { tools: { name: string }[] };
  const called = await inspect('--method', 'tools/call', '--tool-name', tool, ...toolArgs);
  return { tools: listed.tools.map(({ name }) => name), result: JSON.stringify(called) };
}

async function runMcpRemote({ url, transport, tool, args }: Visit): Promise<Seen> {
  const client = new Client({ name: 'test', version: '1.0.0' });
  const only = transport === 'sse' ? 'sse-only' : 'http-only';
  const options = [url, '--transport', only, '--allow-http'];
  return inEmptyHome(async (env) => {
    try {
      const command = { command: process.execPath, args: [MCP_REMOTE, ...options], env };
      await client.connect(new StdioClientTransport({ ...command, stderr: 'ignore' }));
      const { tools } = await client.listTools();
      const called = await client.callTool({ name: tool, arguments: args });
      return { tools: tools.map(({ name }) => name), result: JSON.stringify(called) };
    } finally {
      await client.close();
    }
  });
}

async function runProgram(name: string, { url, transport, tool, args }: Visit): Promise<Seen> {
  const stdout = await run([`test/clients/programs/${name}.mjs`, url, transport, tool, JSON.stringify(args)]);
  const { tools, result } = JSON.parse(stdout) as { tools: string[]; result: unknown };
  return { tools, result: JSON.stringify(result) };
}

/** @returns what `node args...` printed on standard output */
function run(args: readonly string[]): Promise<string> {
  return inEmptyHome(async (env) => {
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: TIMEOUT_MS, env });
    return stdout;
  });
}

/** Clients keep sessions and secrets in the home directory: none may be found there, and none stay behind. */
async function inEmptyHome<T>(use: (env: Record<string, string>) => Promise<T>): Promise<T> {
  const home = await mkdtemp(join(tmpdir(), 'mcp-client-'));
  try {
    // The Inspector's default store is the desktop's keychain.
    return await use({ PATH: process.env['PATH'] ?? '', HOME: home, MCP_INSPECTOR_SECRET_STORE: 'memory' });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
