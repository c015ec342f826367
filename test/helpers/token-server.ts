/** A token endpoint for client credentials that can be slow, down, or wrong; every token it gives out is another. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { listenOnLoopback } from './loopback.js';

export interface TokenRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly form: URLSearchParams;
}

export class TokenServer {
  readonly requests: TokenRequest[] = [];
  readonly url: string;
  expiresInS: number | undefined = 3600;
  delayMs = 0;
  /** Instead of a token. */
  answer: { status: number; headers?: Record<string, string>; body: string } | undefined;
  readonly #close: () => Promise<void>;

  private constructor(url: string, close: () => Promise<void>) {
    this.url = url;
    this.#close = close;
  }

  static async start(): Promise<TokenServer> {
    let endpoint: TokenServer | undefined;
    const onRequest = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      endpoint?.requests.push({
        method: request.method ?? '',
        headers: request.headers,
        form: new URLSearchParams(body),
      });
      const answer = endpoint?.answer ?? { status: 200, body: endpoint?.grant() ?? '' };
      setTimeout(() => {
        response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers }).end(answer.body);
      }, endpoint?.delayMs);
    };
    const server = createServer((request, response) => {
      onRequest(request, response).catch(() => response.destroy());
    });
    const listener = await listenOnLoopback(server);
    endpoint = new TokenServer(`http://127.0.0.1:${listener.port}/token`, () => listener.close());
    return endpoint;
  }

  /** The token that was given out last. */
  get current(): string {
    return tokenOf(this.requests.length);
  }

  grant(): string {
    const token = { access_token: this.current, token_type: 'Bearer' };
    return JSON.stringify(this.expiresInS === undefined ? token : { ...token, expires_in: this.expiresInS });
  }

  close(): Promise<void> {
    return this.#close();
  }
}

/** The nth token, counted from 1. */
export function tokenOf(n: number): string {
  return `canary-upstream-token-${String(n).padStart(4, '0')}`;
}
