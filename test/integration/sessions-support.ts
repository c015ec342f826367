/**
 * Clients for tests of the bridge: the official one on either transport, and bare ones whose every byte is the test's own.
 * Answers are found by id; nothing reconnects by itself.
 */
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { SseStream } from '../helpers/sse-client.js';
import { waitFor } from '../helpers/wait.js';

export type ClientKind = 'sse' | 'streamable-http';
export const CLIENT_KINDS: readonly ClientKind[] = ['sse', 'streamable-http'];

/** How long tests wait for what normally takes milliseconds, on a machine that is busy. */
export const PATIENCE_MS = 15_000;
export const LATEST_VERSION = '2025-11-25';

export type Params = Readonly<Record<string, unknown>>;

export interface Reply {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string };
}

/** The endpoint of a route that a client of this kind connects to. */
export function endpointUrl(kind: ClientKind, base: string, prefix: string): string {
  return `${base}/${prefix}/${kind === 'sse' ? 'sse' : 'mcp'}`;
}

export function sdkTransport(kind: ClientKind, base: string, prefix: string): Transport {
  const url = new URL(endpointUrl(kind, base, prefix));
  const options = { fetch: fetchAgainAfterTimeout };
  return kind === 'sse' ? new SSEClientTransport(url, options) : new StreamableHTTPClientTransport(url, options);
}

/**
 * Node's fetch may pick a connection it opened and never used at the very moment the server gives it up. The answer, 408, says
 * that no request was read, so it may be sent again.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9
 */
async function fetchAgainAfterTimeout(url: string | URL, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  return response.status === 408 ? fetch(url, init) : response;
}

export function textOf(result: unknown): string {
  const [first] = (result as CallToolResult).content;
  return first?.type === 'text' ? first.text : '';
}

export function initializeParams(protocolVersion = LATEST_VERSION): Params {
  return { protocolVersion, capabilities: {}, clientInfo: { name: 'bare', version: '1' } };
}

/** What both bare clients can do. */
export interface BareClient {
  readonly kind: ClientKind;
  /** Posts any body. @returns the HTTP status */
  post(body: object | string): Promise<number>;
  /** Posts a request and waits for its answer. */
  request(method: string, params?: Params, id?: string | number): Promise<Reply>;
  notify(method: string, params?: Params): Promise<void>;
  /** Everything that was said on the general stream so far, without answers. */
  readonly heard: readonly Reply[];
  close(): void;
}

export async function openBare(kind: ClientKind, base: string, prefix: string): Promise<BareClient> {
  const client = kind === 'sse' ? await BareSse.open(base, prefix) : await BareStreamable.open(base, prefix);
  await client.notify('notifications/initialized');
  return client;
}

let lastId = 0;
export function nextId(): number {
  lastId += 1;
  return lastId;
}

/** HTTP+SSE by hand. */
export class BareSse implements BareClient {
  readonly kind = 'sse';
  stream: SseStream;
  /** Absolute. */
  readonly messagesUrl: string;
  readonly sseUrl: string;

  private constructor(sseUrl: string, stream: SseStream, messagesUrl: string) {
    this.sseUrl = sseUrl;
    this.stream = stream;
    this.messagesUrl = messagesUrl;
  }

  /** Opens the stream and says `initialize`. */
  static async open(base: string, prefix: string, protocolVersion?: string): Promise<BareSse> {
    const client = await BareSse.connect(base, prefix);
    await client.request('initialize', initializeParams(protocolVersion));
    return client;
  }

  /** Opens the stream and nothing else. */
  static async connect(base: string, prefix: string, headers: Record<string, string> = {}): Promise<BareSse> {
    const sseUrl = endpointUrl('sse', base, prefix);
    const stream = await SseStream.open(sseUrl, { headers });
    const { data } = await stream.next(PATIENCE_MS);
    return new BareSse(sseUrl, stream, new URL(data, base).href);
  }

  get sessionId(): string {
    return new URL(this.messagesUrl).searchParams.get('sessionId') ?? '';
  }

  get messages(): Reply[] {
    return messagesOf(this.stream);
  }

  get heard(): Reply[] {
    return this.messages.filter((message) => message.method !== undefined);
  }

  async post(body: object | string): Promise<number> {
    const { status } = await this.postFully(body);
    return status;
  }

  async postFully(body: object | string): Promise<{ status: number; headers: Headers; body: string }> {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(this.messagesUrl, { method: 'POST', headers, body: textOfBody(body) });
    return { status: response.status, headers: response.headers, body: await response.text() };
  }

  async request(method: string, params: Params = {}, id: string | number = nextId()): Promise<Reply> {
    const { status, body } = await this.postFully({ jsonrpc: '2.0', id, method, params });
    if (status !== 202) throw new Error(`HTTP ${status}: ${body}`);
    return this.answer(id);
  }

  /** Waits for the answer to a request that was posted. */
  answer(id: string | number): Promise<Reply> {
    return waitFor(`an answer to ${id}`, () => this.messages.find((each) => isAnswerTo(each, id)), PATIENCE_MS);
  }

  async notify(method: string, params: Params = {}): Promise<void> {
    await this.post({ jsonrpc: '2.0', method, params });
  }

  /** Comes back with the id of an event; with that of the newest one unless told otherwise. */
  async resume(lastEventId = this.stream.lastEventId): Promise<SseStream> {
    this.stream = await SseStream.open(this.sseUrl, lastEventId === undefined ? {} : { lastEventId });
    return this.stream;
  }

  close(): void {
    this.stream.close();
  }
}

/** Streamable HTTP by hand. */
export class BareStreamable implements BareClient {
  readonly kind = 'streamable-http';
  readonly url: string;
  sessionId: string | undefined;
  general: SseStream | undefined;
  readonly #version: string;

  private constructor(url: string, version: string) {
    this.url = url;
    this.#version = version;
  }

  /** Says `initialize` and keeps the session id. */
  static async open(base: string, prefix: string, protocolVersion = LATEST_VERSION): Promise<BareStreamable> {
    const client = BareStreamable.at(base, prefix, protocolVersion);
    await client.request('initialize', initializeParams(protocolVersion));
    return client;
  }

  /** Says nothing yet. */
  static at(base: string, prefix: string, protocolVersion = LATEST_VERSION): BareStreamable {
    return new BareStreamable(endpointUrl('streamable-http', base, prefix), protocolVersion);
  }

  get headers(): Record<string, string> {
    if (this.sessionId === undefined) return {};
    return { 'mcp-session-id': this.sessionId, 'mcp-protocol-version': this.#version };
  }

  get heard(): Reply[] {
    return this.general === undefined ? [] : messagesOf(this.general);
  }

  /** The answer as it comes: JSON in `body`, or events. */
  open(body: object | string, headers: Record<string, string> = {}): Promise<SseStream> {
    return SseStream.open(this.url, {
      method: 'POST',
      body: textOfBody(body),
      headers: { ...this.headers, ...headers },
    });
  }

  async post(body: object | string): Promise<number> {
    const response = await this.open(body);
    await response.end(PATIENCE_MS);
    return response.status;
  }

  async request(method: string, params: Params = {}, id: string | number = nextId()): Promise<Reply> {
    const response = await this.open({ jsonrpc: '2.0', id, method, params });
    const answer = await answerOn(response, id);
    this.sessionId ??= response.headers['mcp-session-id'] as string | undefined;
    return answer;
  }

  async notify(method: string, params: Params = {}): Promise<void> {
    await this.post({ jsonrpc: '2.0', method, params });
  }

  async openGeneral(lastEventId?: string): Promise<SseStream> {
    this.general = await SseStream.open(this.url, {
      headers: this.headers,
      ...(lastEventId === undefined ? {} : { lastEventId }),
    });
    return this.general;
  }

  async delete(): Promise<number> {
    return (await fetch(this.url, { method: 'DELETE', headers: this.headers })).status;
  }

  close(): void {
    this.general?.close();
  }
}

/** Waits until the answer to one POST is complete, and finds the reply in it. */
export async function answerOn(response: SseStream, id: string | number): Promise<Reply> {
  await response.end(PATIENCE_MS);
  const replies = response.body === '' ? messagesOf(response) : [JSON.parse(response.body) as Reply];
  const answer = replies.find((each) => isAnswerTo(each, id));
  if (answer === undefined) throw new Error(`HTTP ${response.status}, no answer to ${id}: ${response.body}`);
  return answer;
}

/** Priming events and endpoints are no messages. */
export function messagesOf(stream: SseStream): Reply[] {
  return stream.events
    .filter(({ event, data }) => event === 'message' && data !== '')
    .map(({ data }) => JSON.parse(data) as Reply);
}

function isAnswerTo(reply: Reply, id: string | number): boolean {
  return reply.id === id && reply.method === undefined;
}

function textOfBody(body: object | string): string {
  return typeof body === 'string' ? body : JSON.stringify(body);
}
