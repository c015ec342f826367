/** One official SDK client with one session, every call of which goes into the history. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { type CallToolResult, ErrorCode, type JSONRPCMessage, McpError } from '@modelcontextprotocol/sdk/types.js';
import { createParser } from 'eventsource-parser';
import type { ClientKind } from '../integration/sessions-support.js';
import type { History, Outcome } from './history.js';

/** How long a call may take, where nothing else is said, before it counts as silence. */
const CALL_TIMEOUT_MS = 20_000;

export interface ChaosClientOptions {
  readonly kind: ClientKind;
  /** Unique: it is part of each nonce. */
  readonly name: string;
  /** Of the load balancer, or of one replica. */
  readonly base: string;
  readonly prefix: string;
  readonly history: History;
}

export class ChaosClient {
  readonly kind: ClientKind;
  readonly name: string;
  readonly #history: History;
  readonly #client: Client;
  readonly #transport: Transport;
  /** By JSON-RPC id. */
  readonly #nonces = new Map<string | number, string>();
  #count = 0;

  private constructor({ kind, name, base, prefix, history }: ChaosClientOptions) {
    this.kind = kind;
    this.name = name;
    this.#history = history;
    this.#client = new Client({ name, version: '1' });
    this.#transport = this.#tapped(kind === 'sse' ? this.#sse(base, prefix) : this.#streamable(base, prefix));
  }

  static async open(options: ChaosClientOptions): Promise<ChaosClient> {
    const client = new ChaosClient(options);
    await client.#client.connect(client.#transport);
    return client;
  }

  get sessionId(): string | undefined {
    return this.#transport.sessionId;
  }

  /** Never rejects: what happened is in the history. @returns whether the right answer came */
  async call(tool: string, delayMs = 0, timeoutMs = CALL_TIMEOUT_MS): Promise<boolean> {
    this.#count += 1;
    const nonce = `${this.name}-${this.#count}`;
    this.#history.sent({ nonce, client: this.name, tool, delayMs });
    const outcome = await this.#outcomeOf(tool, { nonce, delayMs }, timeoutMs);
    this.#history.ended(nonce, outcome);
    return outcome.kind === 'reply' && outcome.text === nonce;
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #outcomeOf(name: string, args: Record<string, unknown>, timeoutMs: number): Promise<Outcome> {
    try {
      const result = await this.#client.callTool({ name, arguments: args }, undefined, { timeout: timeoutMs });
      const text = textOf(result);
      return result.isError === true
        ? { kind: 'error', reason: `${text} ${JSON.stringify(result._meta ?? {})}` }
        : { kind: 'reply', text };
    } catch (error) {
      if (error instanceof McpError && error.code === (ErrorCode.RequestTimeout as number)) return { kind: 'silence' };
      return { kind: 'error', reason: reasonOf(error) };
    }
  }

  /** Sees each message before the client does. */
  #tapped(transport: Transport): Transport {
    const send = transport.send.bind(transport);
    transport.send = (message, options) => {
      const nonce = nonceOf(message);
      if (nonce !== undefined && 'id' in message && message.id !== undefined) this.#nonces.set(message.id, nonce);
      return send(message, options);
    };
    transport.onmessage = (message: JSONRPCMessage) => {
      if ('method' in message || message.id === undefined) return;
      const nonce = this.#nonces.get(message.id);
      if (nonce !== undefined) this.#history.answered(nonce, contentOf(message));
    };
    return transport;
  }

  #streamable(base: string, prefix: string): Transport {
    return new StreamableHTTPClientTransport(new URL(`${base}/${prefix}/mcp`), {
      fetch: async (url, init) => {
        const nonce = nonceOf(parsed(init?.body));
        const response = await fetch(url, init);
        return nonce === undefined ? response : tapped(response, { onEnd: () => this.#history.closedCall(nonce) });
      },
    });
  }

  /** The SDK overwrites the header by which EventSource says what it saw last; so it is remembered here. */
  #sse(base: string, prefix: string): Transport {
    let lastEventId: string | undefined;
    return new SSEClientTransport(new URL(`${base}/${prefix}/sse`), {
      eventSourceInit: {
        fetch: async (url, init) => {
          const headers = new Headers(init?.headers);
          if (lastEventId !== undefined) headers.set('last-event-id', lastEventId);
          const response = await fetch(url, { ...(init as RequestInit), headers });
          const parser = createParser({ onEvent: ({ id }) => (lastEventId = id ?? lastEventId) });
          const decoder = new TextDecoder();
          return tapped(response, {
            onChunk: (chunk) => parser.feed(decoder.decode(chunk, { stream: true })),
            onEnd: () => this.#history.closed((call) => call.client === this.name),
          });
        },
      },
    });
  }
}

interface Tap {
  onChunk?(chunk: Uint8Array): void;
  /** The body is over, whole or not. */
  onEnd(): void;
}

function tapped(response: Response, tap: Tap): Response {
  const reader = response.body?.getReader();
  if (reader === undefined) return response;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done) {
          tap.onChunk?.(value);
          controller.enqueue(value);
          return;
        }
        tap.onEnd();
        controller.close();
      } catch (error) {
        tap.onEnd();
        controller.error(error);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
  const { status, statusText, headers } = response;
  return new Response(body, { status, statusText, headers });
}

function parsed(body: unknown): unknown {
  return typeof body === 'string' ? JSON.parse(body) : undefined;
}

function nonceOf(message: unknown): string | undefined {
  const params = (message as { params?: { arguments?: { nonce?: unknown } } } | undefined)?.params;
  const nonce = params?.arguments?.nonce;
  return typeof nonce === 'string' ? nonce : undefined;
}

/** What an answer carries: its text, or `error ...`. */
function contentOf(message: JSONRPCMessage): string {
  if ('error' in message) return `error ${message.error.code}`;
  const result = ('result' in message ? message.result : {}) as Partial<CallToolResult>;
  const text = textOf(result);
  return result.isError === true ? `error ${text}` : text;
}

function textOf({ content }: Partial<CallToolResult>): string {
  const [first] = content ?? [];
  return first?.type === 'text' ? first.text : '';
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
