/** A real server behind a PlainFront, and the requests and answers to try it with. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { answerBadRequest } from '../../src/downstream/bad-request.js';
import { PlainFront } from '../../src/http-server/plain-front.js';
import type { ServedRequest, ServedResponse } from '../../src/http-server/types.js';
import { type Loopback, listenOnLoopback } from '../helpers/loopback.js';
import { RawConnection } from '../helpers/raw-http.js';

export type Via = 'plain' | 'node';
export type Serve = (request: ServedRequest, response: ServedResponse, via: Via) => void;

export class PlainRig {
  readonly server: Server;
  readonly front: PlainFront;
  /** What was served, in order. */
  readonly seen: { readonly via: Via; readonly url: string | undefined }[] = [];
  serve: Serve = echo;
  readonly #clients: RawConnection[] = [];
  #loopback: Loopback | undefined;

  /** Targets that start with `/node` are Node's. */
  constructor(tls?: { readonly cert: Buffer; readonly key: Buffer }) {
    const onRequest = (request: IncomingMessage, response: ServerResponse) => this.#take(request, response, 'node');
    this.server = tls === undefined ? createServer(onRequest) : createTlsServer(tls, onRequest);
    this.server.on('clientError', answerBadRequest);
    this.front = new PlainFront(this.server, {
      takes: (url) => !url.startsWith('/node'),
      serve: (request, response) => this.#take(request, response, 'plain'),
      answerBroken: answerBadRequest,
    });
  }

  static async start(tls?: { readonly cert: Buffer; readonly key: Buffer }): Promise<PlainRig> {
    const rig = new PlainRig(tls);
    rig.#loopback = await listenOnLoopback(rig.server);
    return rig;
  }

  get port(): number {
    return this.#loopback?.port ?? 0;
  }

  get openSockets(): number {
    return this.#loopback?.sockets.size ?? 0;
  }

  async connect(): Promise<RawConnection> {
    const client = await RawConnection.open(this.port);
    this.#clients.push(client);
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await this.#loopback?.close();
  }

  #take(request: ServedRequest, response: ServedResponse, via: Via): void {
    this.seen.push({ via, url: request.url });
    this.serve(request, response, via);
  }
}

export interface Echo {
  readonly via: Via;
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

/** Answers with what it was asked. */
export function echo(request: ServedRequest, response: ServedResponse, via: Via): void {
  readBody(request, (body) => {
    if (request.method === 'HEAD') response.writeHead(204).end();
    else answer(response, JSON.stringify({ via, method: request.method, url: request.url, body }));
  });
}

export function readBody(request: ServedRequest, done: (body: string) => void): void {
  let body = '';
  request.on('data', (chunk) => {
    body += chunk.toString('latin1');
  });
  request.on('end', () => done(body));
}

export function answer(response: ServedResponse, text: string, headers: string[] = []): void {
  const bytes = Buffer.from(text);
  response.writeHead(200, ['content-length', String(bytes.length), ...headers]).end(bytes);
}

/** @param lines More of its head. */
export function post(url: string, body: string, ...lines: string[]): string {
  const head = [`POST ${url} HTTP/1.1`, 'Host: a', ...lines, `Content-Length: ${body.length}`];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

export function get(url: string, ...lines: string[]): string {
  return `${[`GET ${url} HTTP/1.1`, 'Host: a', ...lines].join('\r\n')}\r\n\r\n`;
}

export function chunkedPost(url: string, ...chunks: string[]): string {
  const body = [...chunks, ''].map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
  return `POST ${url} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
}

/** The next answer, which must be one of `echo`. */
export async function nextEcho(client: RawConnection): Promise<Echo> {
  const { status, body } = await client.response();
  if (status !== 200) throw new Error(`answered ${status}: ${body}`);
  return JSON.parse(body) as Echo;
}

/** Sends the pieces between `cuts` one after the other, each within a turn of its own. */
export async function sendInPieces(client: RawConnection, text: string, cuts: readonly number[]): Promise<void> {
  const bytes = Buffer.from(text, 'latin1');
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    if (end > start) client.send(bytes.subarray(start, end));
    start = end;
    await nextTurn();
    await nextTurn();
  }
}
