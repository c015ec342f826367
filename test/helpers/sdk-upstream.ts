/**
 * Real SDK servers on loopback, one `McpServer` per session, on every transport an upstream can have:
 * HTTP+SSE, Streamable HTTP answering with SSE or with JSON, and Streamable HTTP without sessions.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import {
  type EventStore,
  StreamableHTTPServerTransport,
  type StreamableHTTPServerTransportOptions,
} from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { createFixtureServer, FixtureState } from './sdk-fixture.js';
import { listenOnLoopback } from './loopback.js';

export interface SdkUpstreamOptions {
  /** 0 (default) for any free port; a fixed one to come back where an upstream has been before. */
  readonly port?: number;
  /** What each session gets. Default: the fixture of `sdk-fixture`. */
  readonly createServer?: (state: FixtureState) => McpServer;
  /** Makes what each Streamable HTTP session keeps for a client that comes back. Default: it keeps nothing. */
  readonly createEventStore?: () => EventStore;
}

export interface SdkUpstream {
  readonly port: number;
  readonly urls: {
    readonly sse: string;
    /** Streamable HTTP, answers as SSE. */
    readonly streamable: string;
    /** Streamable HTTP, answers as JSON. */
    readonly streamableJson: string;
    /** Streamable HTTP without a session id; GET and DELETE are 405. */
    readonly stateless: string;
  };
  readonly state: FixtureState;
  /** Servers of the sessions that are open; of any transport. */
  readonly servers: ReadonlySet<McpServer>;
  /** Sessions opened and closed so far, stateless exchanges not counted. */
  readonly opened: number;
  readonly closed: number;
  /** TCP connections that are open now. */
  readonly openSockets: number;
  /** What was given to the system to send, on connections that are open now. */
  readonly sentBytes: number;
  /** Cuts every connection. HTTP+SSE sessions end with it, Streamable HTTP sessions live on. */
  killConnections(): void;
  /** Forgets every Streamable HTTP session, as a restart would: their ids are 404 from now on. */
  forgetSessions(): void;
  close(): Promise<void>;
}

type StreamableOptions = Pick<StreamableHTTPServerTransportOptions, 'enableJsonResponse' | 'eventStore'>;
type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void>;

/** The sessions of one upstream, whatever their transport. */
class Sessions {
  readonly servers = new Set<McpServer>();
  readonly streamable = new Map<string, StreamableHTTPServerTransport>();
  readonly sse = new Map<string, SSEServerTransport>();
  opened = 0;
  closed = 0;
  readonly #create: () => McpServer;

  constructor(create: () => McpServer) {
    this.#create = create;
  }

  /** Connects a new server; its session ends with its transport. */
  async open(transport: Transport, onClosed: () => void): Promise<void> {
    const server = this.#create();
    this.servers.add(server);
    this.opened += 1;
    server.server.onclose = () => {
      if (!this.servers.delete(server)) return;
      this.closed += 1;
      onClosed();
    };
    await server.connect(transport);
  }

  async openStateless(transport: Transport): Promise<void> {
    await this.#create().connect(transport);
  }
}

export async function startSdkUpstream(options: SdkUpstreamOptions = {}): Promise<SdkUpstream> {
  const state = new FixtureState();
  const sessions = new Sessions(() => (options.createServer ?? createFixtureServer)(state));
  const routes = new Map<string, Handler>([
    ['GET /sse', (_request, response) => openSse(sessions, response)],
    ['POST /messages', (request, response, url) => postSse(sessions, request, response, url)],
  ]);
  const keeping = (): StreamableOptions => {
    const eventStore = options.createEventStore?.();
    return eventStore === undefined ? {} : { eventStore };
  };
  const endpoints = new Map<string, Handler>([
    ['/mcp', (request, response) => streamable(sessions, keeping(), request, response)],
    ['/mcp-json', (request, response) => streamable(sessions, { enableJsonResponse: true }, request, response)],
    ['/mcp-stateless', (request, response) => stateless(sessions, request, response)],
  ]);
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://upstream');
    const handler = routes.get(`${request.method} ${url.pathname}`) ?? endpoints.get(url.pathname);
    if (handler === undefined) response.writeHead(404).end();
    else handler(request, response, url).catch(() => response.destroy());
  });
  const listener = await listenOnLoopback(server, options.port);
  const base = `http://127.0.0.1:${listener.port}`;
  return {
    port: listener.port,
    urls: {
      sse: `${base}/sse`,
      streamable: `${base}/mcp`,
      streamableJson: `${base}/mcp-json`,
      stateless: `${base}/mcp-stateless`,
    },
    state,
    servers: sessions.servers,
    get opened() {
      return sessions.opened;
    },
    get closed() {
      return sessions.closed;
    },
    get openSockets() {
      return listener.sockets.size;
    },
    get sentBytes() {
      return [...listener.sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
    },
    killConnections: () => listener.killConnections(),
    forgetSessions: () => sessions.streamable.clear(),
    close: async () => {
      await listener.close();
      await Promise.all([...sessions.servers].map((each) => each.close()));
    },
  };
}

async function openSse(sessions: Sessions, response: ServerResponse): Promise<void> {
  const transport = new SSEServerTransport('/messages', response);
  sessions.sse.set(transport.sessionId, transport);
  await sessions.open(transport, () => sessions.sse.delete(transport.sessionId));
}

async function postSse(
  sessions: Sessions,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const transport = sessions.sse.get(url.searchParams.get('sessionId') ?? '');
  if (transport === undefined) response.writeHead(404).end();
  else await transport.handlePostMessage(request, response);
}

async function streamable(
  sessions: Sessions,
  options: StreamableOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const id = request.headers['mcp-session-id'];
  const known = typeof id === 'string' ? sessions.streamable.get(id) : undefined;
  if (known !== undefined) {
    await known.handleRequest(request, response);
    return;
  }
  if (id !== undefined) {
    response.writeHead(404).end();
    return;
  }
  const transport = new StreamableHTTPServerTransport({
    ...options,
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (sessionId) => void sessions.streamable.set(sessionId, transport),
  });
  await sessions.open(transport, () => sessions.streamable.delete(transport.sessionId ?? ''));
  await transport.handleRequest(request, response);
  // Refused before it had an id: nobody could ever end it.
  if (transport.sessionId === undefined) await transport.close();
}

async function stateless(sessions: Sessions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'POST') {
    response.writeHead(405, { allow: 'POST' }).end();
    return;
  }
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
  response.on('close', () => void transport.close());
  await sessions.openStateless(transport);
  await transport.handleRequest(request, response);
}
