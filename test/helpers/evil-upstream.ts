/**
 * A programmable upstream on bare node:http that can break in every way a network server can.
 * Speaks HTTP+SSE at `/sse` and Streamable HTTP at `/mcp`. Well-behaved until told otherwise: `inject` plans a fault,
 * `answer` replaces a result, `push` writes whatever to open streams. Records what it received, byte for byte, and
 * counts how often each `nonce` was executed. For an upstream that does everything right, see `sdk-upstream`.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { type Fault, FaultPlan, type Trigger } from './faults.js';
import { type Loopback, listenOnLoopback } from './loopback.js';
import { breakAnswer, breakOpening, type Delivery, event, spoil, startStream } from './misbehave.js';

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values as they stood on the wire, in order. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  /** The JSON-RPC method, when the body was a request or notification. */
  readonly rpcMethod: string | undefined;
}

export interface RpcMessage {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
}

export interface EvilUpstreamOptions {
  /** How Streamable HTTP requests are answered. Default: `sse`. */
  readonly answers?: 'sse' | 'json';
  /** 0 (default) for any free port. */
  readonly port?: number;
}

type Answer = (message: RpcMessage, request: RecordedRequest) => unknown;

interface Call extends Delivery {
  readonly message: RpcMessage;
  readonly request: RecordedRequest;
}

export class EvilUpstream {
  readonly requests: RecordedRequest[] = [];
  /** Executions by `params.arguments.nonce` of `tools/call`. */
  readonly executions = new Map<string, number>();
  /** Open HTTP+SSE streams by session id. */
  readonly sseStreams = new Map<string, ServerResponse>();
  /** Open Streamable HTTP GET streams. */
  readonly getStreams = new Set<ServerResponse>();
  /** Streamable HTTP sessions that are known; clear it to forget them all. */
  readonly sessions = new Set<string>();
  #connections = 0;
  readonly #faults = new FaultPlan();
  readonly #answers = new Map<string, Answer>();
  readonly #mode: 'sse' | 'json';
  #listener: Loopback | undefined;

  private constructor(options: EvilUpstreamOptions) {
    this.#mode = options.answers ?? 'sse';
  }

  static async start(options: EvilUpstreamOptions = {}): Promise<EvilUpstream> {
    const upstream = new EvilUpstream(options);
    const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
      response.on('error', () => {});
      void upstream.#receive(request, response).catch(() => response.destroy());
    });
    // A listener of its own in front of HTTP, so that a connection can be left unread.
    const front = createTcpServer({ noDelay: true }, (socket) => {
      if (upstream.#accept(socket)) server.emit('connection', socket);
    });
    upstream.#listener = await listenOnLoopback(front, options.port);
    return upstream;
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get sseUrl(): string {
    return `http://127.0.0.1:${this.port}/sse`;
  }

  get mcpUrl(): string {
    return `http://127.0.0.1:${this.port}/mcp`;
  }

  /** TCP connections accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  get openSockets(): number {
    return this.#listener?.sockets.size ?? 0;
  }

  /** Plans a fault; faults of one trigger strike in the order they were planned. */
  inject(trigger: Trigger, fault: Fault, times = Number.POSITIVE_INFINITY): void {
    this.#faults.add(trigger, fault, times);
  }

  /** Behaves again from now on. */
  heal(): void {
    this.#faults.clear();
  }

  /** Replaces the result of a method. */
  answer(rpcMethod: string, answer: Answer): void {
    this.#answers.set(rpcMethod, answer);
  }

  /** Writes to every open stream that is nobody's answer: a message as one SSE event, a string as it is. */
  push(content: object | string): void {
    const text = typeof content === 'string' ? content : event(JSON.stringify(content));
    for (const stream of [...this.sseStreams.values(), ...this.getStreams]) stream.write(text);
  }

  /** Resets every connection. */
  killConnections(): void {
    for (const socket of this.#listener?.sockets ?? []) socket.resetAndDestroy();
  }

  requestsOf(rpcMethod: string): RecordedRequest[] {
    return this.requests.filter((request) => request.rpcMethod === rpcMethod);
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }

  /** @returns whether the connection may speak HTTP */
  #accept(socket: Socket): boolean {
    this.#connections += 1;
    socket.on('error', () => {});
    const fault = this.#faults.take('connection');
    if (fault === undefined) return true;
    if (fault.kind !== 'hang') socket.resetAndDestroy();
    return false;
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const message = parse(body);
    const recorded: RecordedRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      rawHeaders: request.rawHeaders,
      body,
      rpcMethod: message?.method,
    };
    this.requests.push(recorded);
    const url = new URL(recorded.path, 'http://upstream');
    if (recorded.method === 'GET') this.#open(url.pathname, recorded, response);
    else if (recorded.method === 'DELETE') this.#delete(recorded, response);
    else if (message === undefined) response.writeHead(400).end();
    else if (url.pathname === '/mcp') this.#postStreamable(message, recorded, response);
    else this.#postSse(message, recorded, url.searchParams.get('sessionId') ?? '', response);
  }

  #open(pathname: string, request: RecordedRequest, response: ServerResponse): void {
    const fault = this.#faults.take('open');
    if (fault !== undefined && breakOpening(fault, response)) return;
    startStream(response);
    if (pathname === '/mcp') {
      this.getStreams.add(response);
      response.on('close', () => this.getStreams.delete(response));
      response.flushHeaders();
      return;
    }
    const id = randomUUID();
    this.sseStreams.set(id, response);
    response.on('close', () => this.sseStreams.delete(id));
    response.write(`event: endpoint\ndata: ${request.path.replace(/sse.*$/, 'messages')}?sessionId=${id}\n\n`);
  }

  #delete(request: RecordedRequest, response: ServerResponse): void {
    const fault = this.#faults.take('delete');
    if (fault !== undefined && breakOpening(fault, response)) return;
    const known = this.sessions.delete(String(request.headers['mcp-session-id']));
    response.writeHead(known ? 200 : 404).end();
  }

  #postSse(message: RpcMessage, request: RecordedRequest, sessionId: string, response: ServerResponse): void {
    const stream = this.sseStreams.get(sessionId);
    if (stream === undefined) response.writeHead(404).end();
    else this.#execute({ message, request, response, stream });
  }

  #postStreamable(message: RpcMessage, request: RecordedRequest, response: ServerResponse): void {
    const sessionId = request.headers['mcp-session-id'];
    if (message.method === 'initialize') {
      const id = randomUUID();
      this.sessions.add(id);
      response.setHeader('mcp-session-id', id);
    } else if (typeof sessionId === 'string' && !this.sessions.has(sessionId)) {
      response.writeHead(404).end();
      return;
    }
    this.#execute({ message, request, response, stream: undefined });
  }

  #execute(call: Call): void {
    const { message, request, response } = call;
    const nonce = (message.params?.['arguments'] as Record<string, unknown> | undefined)?.['nonce'];
    if (message.method === 'tools/call' && typeof nonce === 'string') {
      this.executions.set(nonce, (this.executions.get(nonce) ?? 0) + 1);
    }
    const fault = message.method === undefined ? undefined : this.#faults.take(message.method);
    if (fault?.kind === 'session-gone') this.sessions.delete(String(request.headers['mcp-session-id']));
    if (fault !== undefined && breakAnswer(fault, call)) return;
    if (message.id === undefined || message.method === undefined) {
      response.writeHead(202).end();
      return;
    }
    const answer = this.#answers.get(message.method) ?? defaultAnswer;
    const reply = { jsonrpc: '2.0', id: message.id, result: answer(message, request) };
    this.#reply(call, spoil(fault, reply));
  }

  /** @param lines the JSON texts to send, each as one message */
  #reply({ response, stream }: Delivery, lines: readonly string[]): void {
    if (stream !== undefined) {
      response.writeHead(202).end('Accepted');
      stream.write(lines.map(event).join(''));
    } else if (this.#mode === 'json') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(lines.join(''));
    } else {
      startStream(response).end(lines.map(event).join(''));
    }
  }
}

function defaultAnswer(message: RpcMessage, request: RecordedRequest): unknown {
  const text = (value: unknown) => ({ content: [{ type: 'text', text: JSON.stringify(value) }] });
  switch (message.method) {
    case 'initialize':
      return {
        protocolVersion: message.params?.['protocolVersion'],
        capabilities: { tools: {} },
        serverInfo: { name: 'evil', version: '1' },
      };
    case 'tools/list':
      return { tools: ['echo', 'headers'].map((name) => ({ name, inputSchema: { type: 'object' } })) };
    case 'tools/call':
      return text(message.params?.['name'] === 'headers' ? request.headers : (message.params?.['arguments'] ?? null));
    default:
      return {};
  }
}

function parse(body: Buffer): RpcMessage | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
