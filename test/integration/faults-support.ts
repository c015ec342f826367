/**
 * What the tests of hostile peers share: a plain MCP client that keeps all it was told, and a canary, a well-behaved
 * client on a healthy route that must not notice what happens elsewhere.
 */
import { randomUUID } from 'node:crypto';
import { SseStream } from '../helpers/sse-client.js';
import { delay, waitFor } from '../helpers/wait.js';

export type ClientKind = 'sse' | 'streamable-http';

export interface Reply {
  readonly id?: string | number;
  readonly result?: ToolResult & Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> };
}

interface ToolResult {
  readonly isError?: boolean;
  readonly content?: readonly { readonly text: string }[];
  readonly _meta?: Readonly<Record<string, ToolFailure>>;
}

/** What the gateway says of a tool call that got no answer. */
export interface ToolFailure {
  readonly code: string;
  readonly executed: string;
  readonly retryAfterMs?: number;
}

export class TestClient {
  readonly kind: ClientKind;
  readonly #base: string;
  readonly #exchanges: SseStream[] = [];
  #stream: SseStream | undefined;
  #endpoint: string;
  #sessionId: string | undefined;
  #lastId = 0;

  private constructor(kind: ClientKind, base: string) {
    this.kind = kind;
    this.#base = base;
    this.#endpoint = `${base}/mcp`;
  }

  /** @param origin `http://127.0.0.1:PORT` @param prefix such as `/sumit`; empty for the default route */
  static async open(origin: string, prefix: string, kind: ClientKind): Promise<TestClient> {
    const client = new TestClient(kind, `${origin}${prefix}`);
    if (kind === 'sse') await client.#openStream(origin);
    return client;
  }

  /** Opened and through the handshake. */
  static async connect(origin: string, prefix: string, kind: ClientKind): Promise<TestClient> {
    const client = await TestClient.open(origin, prefix, kind);
    const reply = await client.initialize();
    if (reply.error !== undefined) throw new Error(`initialize failed: ${JSON.stringify(reply)}`);
    return client;
  }

  /** Everything the gateway said so far, heads and bodies. */
  get transcript(): string {
    const streams = this.#stream === undefined ? this.#exchanges : [this.#stream, ...this.#exchanges];
    return streams
      .map((stream) => `${JSON.stringify(stream.headers)}\n${stream.body}\n${JSON.stringify(stream.events)}`)
      .join('\n');
  }

  /** HTTP statuses of all answers to POSTs so far. */
  get statuses(): number[] {
    return this.#exchanges.map((exchange) => exchange.status);
  }

  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  /** Where messages of an HTTP+SSE session go, and the id in it. */
  get endpointPath(): string {
    return this.#endpoint.slice(new URL(this.#endpoint).origin.length);
  }

  get endpointId(): string {
    return new URL(this.#endpoint).searchParams.get('sessionId') ?? '';
  }

  async initialize(timeoutMs?: number): Promise<Reply> {
    const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } };
    const reply = await this.request('initialize', params, timeoutMs);
    if (reply.error === undefined) await this.send({ method: 'notifications/initialized' });
    return reply;
  }

  callTool(nonce: string, timeoutMs?: number): Promise<Reply> {
    return this.request('tools/call', { name: 'echo', arguments: { nonce } }, timeoutMs);
  }

  /** Sends a request and waits for the answer to it. */
  async request(method: string, params: object = {}, timeoutMs = 15_000): Promise<Reply> {
    this.#lastId += 1;
    const id = this.#lastId;
    await this.send({ id, method, params });
    return waitFor(`the answer to ${method}`, () => this.repliesTo(id)[0], timeoutMs);
  }

  /** Sends any message; resolves when the head of the HTTP answer is there. */
  async send(message: object | string): Promise<SseStream> {
    const body = typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message });
    const headers = this.#sessionId === undefined ? {} : { 'mcp-session-id': this.#sessionId };
    const exchange = await SseStream.open(this.#endpoint, { method: 'POST', body, headers });
    this.#exchanges.push(exchange);
    const sessionId = exchange.headers['mcp-session-id'];
    if (typeof sessionId === 'string') this.#sessionId = sessionId;
    return exchange;
  }

  /** All answers so far that carry this id. */
  repliesTo(id: string | number): Reply[] {
    return this.messages().filter((message) => message.id === id && !('method' in message));
  }

  /** Every JSON-RPC message received, errors that came as HTTP answers included. */
  messages(): Reply[] {
    const streams = this.#stream === undefined ? this.#exchanges : [this.#stream, ...this.#exchanges];
    return streams.flatMap((stream) => messagesOf(stream));
  }

  close(): void {
    this.#stream?.close();
    for (const exchange of this.#exchanges) exchange.close();
  }

  async #openStream(origin: string): Promise<void> {
    const stream = await SseStream.open(`${this.#base}/sse`);
    this.#stream = stream;
    const { event, data } = await stream.next();
    if (event !== 'endpoint') throw new Error(`expected the endpoint event, got ${event}`);
    this.#endpoint = origin + data;
  }
}

function messagesOf(stream: SseStream): Reply[] {
  if (stream.body !== '') return stream.ended ? [JSON.parse(stream.body) as Reply] : [];
  return stream.events
    .filter((event) => event.event === 'message' && event.data !== '')
    .map((event) => JSON.parse(event.data) as Reply);
}

/** What the gateway says of a failed tool call; undefined when the reply is none of its own failures. */
export function toolFailure(reply: Reply): ToolFailure | undefined {
  return reply.result?._meta?.['mcp-gateway/error'];
}

const CANARY_INTERVAL_MS = 10;

/** Calls a tool on a healthy route over and over, and takes down everything that went wrong. */
export class Canary {
  readonly problems: string[] = [];
  calls = 0;
  readonly #client: TestClient;
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();

  private constructor(client: TestClient) {
    this.#client = client;
  }

  static async start(origin: string, prefix: string): Promise<Canary> {
    const canary = new Canary(await TestClient.connect(origin, prefix, 'streamable-http'));
    canary.#running = canary.#run();
    process.on('unhandledRejection', canary.#onFatal);
    process.on('uncaughtException', canary.#onFatal);
    return canary;
  }

  /** @returns what went wrong; also when it could not call at all meanwhile */
  async stop(): Promise<string[]> {
    this.#isStopped = true;
    await this.#running;
    // A rejection nobody handles is reported one turn later.
    await delay(0);
    process.off('unhandledRejection', this.#onFatal);
    process.off('uncaughtException', this.#onFatal);
    this.#client.close();
    return this.calls === 0 ? [...this.problems, 'no call was made'] : this.problems;
  }

  readonly #onFatal = (error: unknown): void => {
    this.problems.push(`unhandled: ${String(error)}`);
  };

  async #run(): Promise<void> {
    do {
      const nonce = randomUUID();
      try {
        const reply = await this.#client.callTool(nonce);
        if (reply.result?.content?.[0]?.text !== JSON.stringify({ nonce })) {
          this.problems.push(`not its own answer: ${JSON.stringify(reply)}`);
        }
        this.calls += 1;
      } catch (error) {
        this.problems.push(String(error));
      }
      await delay(CANARY_INTERVAL_MS);
    } while (!this.#isStopped);
  }
}
