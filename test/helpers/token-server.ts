/** A token endpoint for client credentials that can be slow, down, or wrong; every token it gives out is another. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Loopback, listenOnLoopback } from './loopback.js';
import { delay } from './wait.js';

export interface TokenRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly form: URLSearchParams;
}

export class TokenServer {
  readonly requests: TokenRequest[] = [];
  expiresInS: number | undefined = 3600;
  delayMs = 0;
  /** Instead of a token. */
  answer: { status: number; headers?: Record<string, string>; body: string } | undefined;
  #listener: Loopback | undefined;

  static async start(): Promise<TokenServer> {
    const endpoint = new TokenServer();
    const server = createServer((request, response) => {
      endpoint.#receive(request, response).catch(() => response.destroy());
    });
    endpoint.#listener = await listenOnLoopback(server);
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listener?.port}/token`;
  }

  /** The token that was given out last. */
  get current(): string {
    return tokenOf(this.requests.length);
  }

  grant(): string {
    const token = { access_token: this.current, token_type: 'Bearer' };
    return JSON.stringify(this.expiresInS === undefined ? token : { ...token, expires_in: this.expiresInS });
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    this.requests.push({ method: request.method ?? '', headers: request.headers, form: new URLSearchParams(body) });
    const answer = this.answer ?? { status: 200, body: this.grant() };
    if (this.delayMs > 0) await delay(this.delayMs);
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers }).end(answer.body);
  }
}

/** The nth token, counted from 1. */
export function tokenOf(n: number): string {
  return `canary-upstream-token-${String(n).padStart(4, '0')}`;
}
