/** An upstream on the second generation of the SDK, and clients of that generation, with what tests want to know of both. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  acceptedContent,
  completable,
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  InMemoryServerEventBus,
  inputRequired,
  type JsonSchemaType,
  McpServer,
  type McpServerOptions,
  ResourceTemplate,
  type ServerNotifier,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { listenOnLoopback } from '../helpers/loopback.js';
import { delay } from '../helpers/wait.js';

export const MODERN = '2026-07-28';
const VERSION = 'io.modelcontextprotocol/protocolVersion';
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';

export interface Hit {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface ModernUpstream {
  readonly url: string;
  readonly port: number;
  /** Messages that reached it, in order. */
  readonly hits: readonly Hit[];
  /** Calls of `slow` that were cancelled. */
  readonly cancelled: number;
  /** Subscriptions that are open now. */
  readonly openSubscriptions: number;
  readonly notify: ServerNotifier;
  /** Answers every request with this status and no body, or cuts its connection, until it is taken back with undefined. */
  failWith(how: number | 'cut' | undefined): void;
  /** How often a method reached it. */
  count(method: string): number;
  /** Cuts every connection. */
  killConnections(): void;
  close(): Promise<void>;
}

export interface ModernUpstreamOptions {
  /** Whether clients with a handshake are served too. */
  readonly legacy?: 'stateless' | 'reject';
  readonly cacheHints?: McpServerOptions['cacheHints'];
  readonly port?: number;
}

interface State {
  cancelled: number;
  notify: ServerNotifier | undefined;
}

export async function startModernUpstream(options: ModernUpstreamOptions = {}): Promise<ModernUpstream> {
  const state: State = { cancelled: 0, notify: undefined };
  const bus = new InMemoryServerEventBus();
  const handler = createMcpHandler(() => createModernServer(state, options.cacheHints), {
    legacy: options.legacy ?? 'stateless',
    bus,
  });
  state.notify = handler.notify;
  const handle = toNodeHandler(handler);
  const hits: Hit[] = [];
  let failure: number | 'cut' | undefined;
  const server = createServer((request, response) => {
    receive(request, response).catch(() => response.destroy());
  });
  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readJson(request);
    const { method } = (body ?? {}) as { method?: string };
    hits.push({ method: method ?? `HTTP ${request.method}`, headers: request.headers });
    if (failure === undefined)
      await handle(request as IncomingMessage & { method: string; url: string }, response, body);
    else if (failure === 'cut') response.destroy();
    else response.writeHead(failure).end();
  }
  const listener = await listenOnLoopback(server, options.port);
  return {
    url: `http://127.0.0.1:${listener.port}/mcp`,
    port: listener.port,
    hits,
    get cancelled() {
      return state.cancelled;
    },
    get openSubscriptions() {
      return bus.listenerCount;
    },
    notify: handler.notify,
    failWith: (how) => {
      failure = how;
    },
    count: (method) => hits.filter((hit) => hit.method === method).length,
    killConnections: () => listener.killConnections(),
    close: async () => {
      await handler.close();
      await listener.close();
    },
  };
}

function createModernServer(state: State, cacheHints: McpServerOptions['cacheHints']): McpServer {
  const states = createRequestStateCodec({ key: 'only ever used between a test and itself' });
  const server = new McpServer(
    { name: 'modern-fixture', version: '1.0.0' },
    {
      capabilities: {
        logging: {},
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
      },
      requestState: { verify: (echoed, context) => states.verify(echoed, context) },
      ...(cacheHints === undefined ? {} : { cacheHints }),
    },
  );
  addPlainTools(server);
  addSlowTool(server, state);
  addToolsThatTell(server, state);
  addToolsThatAsk(server, states);
  addResourcesAndPrompts(server);
  return server;
}

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });

function addPlainTools(server: McpServer): void {
  const message = z.object({ message: z.string() });
  server.registerTool('echo', { description: 'Returns its message', inputSchema: message }, (args) =>
    text(args.message),
  );
  server.registerTool('fail', { description: 'Fails as a tool', inputSchema: message }, (args) => ({
    ...text(args.message),
    isError: true,
  }));
  const mirrored = {
    type: 'object',
    properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
    required: ['region'],
  } as JsonSchemaType;
  const inputSchema = fromJsonSchema<{ region: string }>(mirrored);
  server.registerTool('regional', { description: 'Has a mirrored parameter', inputSchema }, ({ region }) =>
    text(region),
  );
}

function addSlowTool(server: McpServer, state: State): void {
  const inputSchema = z.object({ steps: z.number().int(), delayMs: z.number() });
  server.registerTool(
    'slow',
    { description: 'Reports progress and waits', inputSchema },
    async ({ steps, delayMs }, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      mcpReq.signal.addEventListener('abort', () => {
        state.cancelled += 1;
      });
      for (let progress = 1; progress <= steps && !mcpReq.signal.aborted; progress += 1) {
        const params = { progressToken, progress, total: steps };
        if (progressToken !== undefined) await mcpReq.notify({ method: 'notifications/progress', params });
        await delay(delayMs);
      }
      return text(`did ${steps} steps`);
    },
  );
}

function addToolsThatTell(server: McpServer, state: State): void {
  server.registerTool('log', { description: 'Logs three messages' }, async ({ mcpReq }) => {
    await mcpReq.log('debug', 'detail');
    await mcpReq.log('info', 'news');
    await mcpReq.log('error', 'trouble');
    return text('logged');
  });
  server.registerTool('change', { description: 'Says that everything changed' }, () => {
    state.notify?.toolsChanged();
    state.notify?.resourceUpdated('test://readme');
    state.notify?.resourceUpdated('test://other');
    return text('changed');
  });
}

function addToolsThatAsk(server: McpServer, states: ReturnType<typeof createRequestStateCodec>): void {
  const question = (message: string) =>
    inputRequired.elicit({ message, requestedSchema: z.object({ answer: z.string() }) });
  server.registerTool('ask_twice', { description: 'Asks twice, one after the other' }, async ({ mcpReq }) => {
    const first = mcpReq.requestState<{ first: string }>()?.first;
    const answer = (key: string) => acceptedContent<{ answer: string }>(mcpReq.inputResponses, key)?.answer;
    if (first !== undefined && answer('second') !== undefined) return text(`${first} and ${answer('second')}`);
    const given = answer('first');
    if (given === undefined) return inputRequired({ inputRequests: { first: question('First?') } });
    const requestState = await states.mint({ first: given });
    return inputRequired({ inputRequests: { second: question('Second?') }, requestState });
  });
}

function addResourcesAndPrompts(server: McpServer): void {
  server.registerResource('readme', 'test://readme', { mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, text: 'Read me.' }],
  }));
  const template = new ResourceTemplate('test://items/{id}', { list: undefined });
  server.registerResource('item', template, { mimeType: 'text/plain' }, (uri, { id }) => ({
    contents: [{ uri: uri.href, text: `item ${String(id)}` }],
  }));
  const languages = ['English', 'Esperanto', 'German'];
  const language = completable(z.string(), (value) => languages.filter((name) => name.startsWith(value)));
  server.registerPrompt('greet', { description: 'A greeting', argsSchema: z.object({ language }) }, (args) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Say hello in ${args.language}.` } }],
  }));
}

/** How a client of the second generation chooses its era. */
export type Mode = 'auto' | 'legacy' | 'pinned';

export function modernClient(mode: Mode, options: ClientOptions = {}): Client {
  const negotiation = mode === 'pinned' ? { pin: MODERN } : mode;
  return new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: negotiation }, ...options });
}

export async function connectModern(url: string, mode: Mode = 'pinned', options: ClientOptions = {}): Promise<Client> {
  const client = modernClient(mode, options);
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return client;
}

/** A request as it stands on the wire, with an envelope. */
export function envelopedRequest(method: string, params: object = {}, capabilities: object = {}): object {
  const meta = { [VERSION]: MODERN, [CAPABILITIES]: capabilities };
  return { jsonrpc: '2.0', id: 7, method, params: { ...params, _meta: meta } };
}

export interface Posted {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly id?: unknown;
    readonly result?: Readonly<Record<string, unknown>>;
    readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
  };
}

/** Posts a message whose answer is JSON, with these headers beside those every request has. */
export async function postJson(url: string, message: object, headers: Record<string, string>): Promise<Posted> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify(message),
  });
  const body = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: body === '' ? {} : (JSON.parse(body) as Posted['body']),
  };
}

/** The headers a well-behaved client would send with `message`. */
export function mirrorsOf(message: object): Record<string, string> {
  const { method, params = {} } = message as { method: string; params?: { name?: string; uri?: string } };
  const name = method === 'resources/read' ? params.uri : params.name;
  return {
    'mcp-protocol-version': MODERN,
    'mcp-method': method,
    ...(name === undefined ? {} : { 'mcp-name': name }),
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString('utf8'));
}
