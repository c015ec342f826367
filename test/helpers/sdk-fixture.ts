/**
 * The MCP server that tests talk to through the gateway: one of everything the protocol has, built on the official SDK.
 * What it remembers beyond one session is in `FixtureState`, which tests read.
 */
import { completable } from '@modelcontextprotocol/sdk/server/completable.js';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  type CallToolResult,
  CreateMessageResultSchema,
  ElicitResultSchema,
  ListRootsResultSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';

export class FixtureState {
  /** Executions of `echo` and `slow` by their `nonce`. */
  readonly executions = new Map<string, number>();
  /** Calls of `slow` that were cancelled. */
  cancelled = 0;
  /** Sessions subscribed to a URI. */
  readonly subscriptions = new Map<string, number>();

  countExecution(nonce: string | undefined): void {
    if (nonce !== undefined) this.executions.set(nonce, (this.executions.get(nonce) ?? 0) + 1);
  }
}

export function createFixtureServer(state: FixtureState): McpServer {
  const server = new McpServer(
    { name: 'fixture', version: '1.0.0' },
    { capabilities: { logging: {}, resources: { subscribe: true, listChanged: true }, tools: { listChanged: true } } },
  );
  addPlainTools(server, state);
  addSlowTool(server, state);
  addToolsThatTalkBack(server);
  addResources(server, state);
  addPrompts(server);
  return server;
}

function addPlainTools(server: McpServer, state: FixtureState): void {
  server.registerTool(
    'echo',
    {
      description: 'Returns its message',
      inputSchema: { message: z.string(), nonce: z.string().optional() },
      annotations: { readOnlyHint: true },
    },
    ({ message, nonce }) => {
      state.countExecution(nonce);
      return text(message);
    },
  );
  server.registerTool(
    'add',
    {
      description: 'Adds two numbers',
      inputSchema: { a: z.number(), b: z.number() },
      outputSchema: { sum: z.number() },
    },
    ({ a, b }) => ({ ...text(String(a + b)), structuredContent: { sum: a + b } }),
  );
  server.registerTool(
    'big',
    { description: 'Returns `bytes` bytes of text', inputSchema: { bytes: z.number().int() } },
    ({ bytes }) => text('x'.repeat(bytes)),
  );
  server.registerTool(
    'fail',
    { description: 'Fails as a tool', inputSchema: { message: z.string() } },
    ({ message }) => ({ ...text(message), isError: true }),
  );
  server.registerTool('headers', { description: 'Returns the HTTP request headers it got' }, (extra) =>
    text(JSON.stringify(extra.requestInfo?.headers ?? {})),
  );
  server.registerTool('change_tools', { description: 'Adds a tool and says that the list changed' }, () => {
    server.registerTool(`extra_${Date.now()}`, { description: 'Was not there before' }, () => text('extra'));
    return text('added');
  });
}

function addSlowTool(server: McpServer, state: FixtureState): void {
  server.registerTool(
    'slow',
    {
      description: 'Reports progress and waits `delayMs`, `steps` times',
      inputSchema: { steps: z.number().int(), delayMs: z.number(), nonce: z.string().optional() },
    },
    async ({ steps, delayMs, nonce }, extra) => {
      state.countExecution(nonce);
      const progressToken = extra._meta?.progressToken;
      // The pause comes after the report: the SDK's client drops progress that arrives together with the result.
      for (let progress = 1; progress <= steps; progress += 1) {
        if (progressToken !== undefined) {
          await extra.sendNotification({
            method: 'notifications/progress',
            params: { progressToken, progress, total: steps, message: `step ${progress}` },
          });
        }
        await pause(delayMs, extra.signal);
        if (extra.signal.aborted) {
          state.cancelled += 1;
          return text('cancelled');
        }
      }
      return text(`did ${steps} steps`);
    },
  );
}

function addToolsThatTalkBack(server: McpServer): void {
  server.registerTool(
    'log',
    { description: 'Logs `count` messages', inputSchema: { message: z.string(), count: z.number().int().default(1) } },
    async ({ message, count }, extra) => {
      for (let index = 0; index < count; index += 1) {
        await extra.sendNotification({
          method: 'notifications/message',
          params: { level: 'info', logger: 'fixture', data: `${message} ${index}` },
        });
      }
      return text(`logged ${count}`);
    },
  );
  server.registerTool(
    'sample',
    { description: 'Asks the client for a completion', inputSchema: { prompt: z.string() } },
    async ({ prompt }, extra) => {
      const messages = [{ role: 'user' as const, content: { type: 'text' as const, text: prompt } }];
      const params = { messages, maxTokens: 100 };
      const answer = await extra.sendRequest({ method: 'sampling/createMessage', params }, CreateMessageResultSchema);
      return text(JSON.stringify(answer.content));
    },
  );
  server.registerTool(
    'elicit',
    { description: 'Asks the person at the client', inputSchema: { message: z.string() } },
    async ({ message }, extra) => {
      const requestedSchema = { type: 'object' as const, properties: { name: { type: 'string' as const } } };
      const params = { message, requestedSchema };
      const answer = await extra.sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema);
      return text(JSON.stringify(answer));
    },
  );
  server.registerTool('list_roots', { description: 'Asks the client for its roots' }, async (extra) => {
    const answer = await extra.sendRequest({ method: 'roots/list' }, ListRootsResultSchema);
    return text(JSON.stringify(answer.roots));
  });
}

function addResources(server: McpServer, state: FixtureState): void {
  const counterUri = 'test://counter';
  let counter = 0;
  server.registerResource('readme', 'test://readme', { mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, text: 'Read me.' }],
  }));
  server.registerResource('counter', counterUri, { mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, text: String(counter) }],
  }));
  const template = new ResourceTemplate('test://items/{id}', {
    list: undefined,
    complete: { id: (value) => ['apple', 'apricot', 'banana'].filter((id) => id.startsWith(value)) },
  });
  server.registerResource('item', template, { mimeType: 'text/plain' }, (uri, { id }) => ({
    contents: [{ uri: uri.href, text: `item ${String(id)}` }],
  }));

  const subscribed = new Set<string>();
  server.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    subscribed.add(params.uri);
    state.subscriptions.set(params.uri, (state.subscriptions.get(params.uri) ?? 0) + 1);
    return {};
  });
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    if (subscribed.delete(params.uri))
      state.subscriptions.set(params.uri, (state.subscriptions.get(params.uri) ?? 0) - 1);
    return {};
  });
  server.registerTool('count', { description: 'Raises the counter resource and tells subscribers' }, async () => {
    counter += 1;
    if (subscribed.has(counterUri)) await server.server.sendResourceUpdated({ uri: counterUri });
    return text(String(counter));
  });
}

function addPrompts(server: McpServer): void {
  const languages = ['English', 'Esperanto', 'German'];
  const language = completable(z.string(), (value) => languages.filter((name) => name.startsWith(value)));
  server.registerPrompt('greet', { description: 'A greeting', argsSchema: { language } }, (args) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Say hello in ${args.language}.` } }],
  }));
}

function text(value: string): CallToolResult {
  return { content: [{ type: 'text', text: value }] };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
