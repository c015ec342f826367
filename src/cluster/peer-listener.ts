/**
 * Where other replicas reach this one: takes their requests, refuses everybody else's, and hands over what it took.
 * It passes nothing on, so that no request can go in a circle; a handler that does not own the session answers 421.
 */
import { createServer, type Server, type ServerOptions as NodeServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describeError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { PlainFront } from '../http-server/plain-front.js';
import type { ServedRequest, ServedResponse } from '../http-server/types.js';
import type { Envelope } from './envelope.js';
import { ForwardVerifier, isIntact, type SealDependencies, type VerifiedHead } from './forward-seal.js';
import type { ListenAddress } from './options.js';

export interface ForwardedRequest {
  readonly envelope: Envelope;
  /** Its `headers` are those that the sender passed on, and no others; its body is read. */
  readonly request: ServedRequest;
  readonly response: ServedResponse;
  readonly body: Buffer;
}

export interface PeerListenerOptions {
  readonly listen: ListenAddress;
  readonly replicaId: string;
  /** Asked for every request that has a body. */
  readonly maxBodyBytes: () => number;
}

export interface PeerListenerDependencies extends SealDependencies {
  readonly logger: Logger;
}

/** Marks a 403 of the listener, which is none of the gateway behind it. */
export const REFUSED_HEADER = 'x-mcp-gateway-refused';
export const PING_PATH = '/ping';

/** Whatever a client may say in its head, as JSON that escapes all of it. */
const MAX_HEAD_BYTES = 128 * 1024;

const NODE_OPTIONS: NodeServerOptions = {
  maxHeaderSize: MAX_HEAD_BYTES,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 2000,
  keepAliveTimeout: 75_000,
  insecureHTTPParser: false,
  noDelay: true,
};
const NO_BYTES = Buffer.alloc(0);
const REFUSAL = ['content-length', '0', 'connection', 'close', REFUSED_HEADER, '1'];
const TOO_LARGE = ['content-length', '0', 'connection', 'close'];
const REFUSAL_LOG_INTERVAL_MS = 60_000;

interface Arrival extends VerifiedHead {
  readonly request: ServedRequest;
  readonly response: ServedResponse;
}

export class PeerListener {
  readonly #options: PeerListenerOptions;
  readonly #dependencies: PeerListenerDependencies;
  readonly #handler: (forwarded: ForwardedRequest) => void;
  readonly #verifier: ForwardVerifier;
  readonly #server: Server;
  readonly #front: PlainFront;
  #answering = 0;
  #onIdle: (() => void) | undefined;
  #refusalLoggedMs = Number.NEGATIVE_INFINITY;

  constructor(
    options: PeerListenerOptions,
    dependencies: PeerListenerDependencies,
    handler: (forwarded: ForwardedRequest) => void,
  ) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#handler = handler;
    this.#verifier = new ForwardVerifier(options.replicaId, dependencies);
    this.#server = createServer(NODE_OPTIONS, (request, response) => this.#onRequest(request, response));
    this.#front = new PlainFront(this.#server, {
      takes: () => true,
      serve: (request, response) => this.#onRequest(request, response),
      answerBroken: (_error, socket) => socket.destroy(),
    });
  }

  /** @throws what `listen` says, e.g. EADDRINUSE */
  listen(): Promise<{ port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.listen, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => {
          this.#dependencies.logger.error('peer_listener_error', 'the replica listener reported an error', {
            reason: error.message,
          });
        });
        resolve({ port: (this.#server.address() as AddressInfo).port });
      });
    });
  }

  /** Stops accepting; answers that are being given have `graceMs` to end, then they are cut. */
  async close({ graceMs = 0 }: { graceMs?: number } = {}): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (this.#answering > 0 && graceMs > 0) await this.#idleWithin(graceMs);
    this.#server.closeAllConnections();
    this.#front.closeAll();
    await closed;
  }

  #idleWithin(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #onRequest(request: ServedRequest, response: ServedResponse): void {
    this.#answering += 1;
    response.on('close', () => {
      this.#answering -= 1;
      if (this.#answering === 0) this.#onIdle?.();
    });
    const verified = this.#verifier.verify(request.method ?? '', request.url ?? '', request.headers);
    if (verified === undefined) this.#refuse(response);
    else this.#receive({ envelope: verified.envelope, body: verified.body, request, response });
  }

  #receive(arrival: Arrival): void {
    const { request, response, envelope, body } = arrival;
    request.headers = envelope.headers;
    if (envelope.path === PING_PATH && request.method === 'GET') {
      const id = this.#options.replicaId;
      response.writeHead(200, ['content-type', 'text/plain', 'content-length', String(Buffer.byteLength(id))]).end(id);
    } else if (body.bytes > this.#options.maxBodyBytes()) response.writeHead(413, TOO_LARGE).end();
    else this.#readBody(arrival);
  }

  /** Nobody is told when the sender goes away before the end. */
  #readBody(arrival: Arrival): void {
    const { request, response, body: expected } = arrival;
    let body: Buffer = NO_BYTES;
    let chunks: Buffer[] | undefined;
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > expected.bytes) {
        if (!response.headersSent) this.#refuse(response);
      } else if (body.length === 0) body = chunk;
      else (chunks ??= [body]).push(chunk);
    });
    request.on('end', () => {
      if (chunks !== undefined) body = Buffer.concat(chunks);
      if (response.headersSent) return;
      if (isIntact(body, expected)) this.#hand(arrival, body);
      else this.#refuse(response);
    });
  }

  #hand({ envelope, request, response }: Arrival, body: Buffer): void {
    try {
      this.#handler({ envelope, request, response, body });
    } catch (error) {
      this.#dependencies.logger.error('forwarded_request_failed', 'a forwarded request could not be handled', {
        reason: describeError(error),
      });
      if (response.headersSent) response.destroy();
      else response.writeHead(500, ['content-length', '0']).end();
    }
  }

  /** Says nothing of why: to whom it may be said would know already. */
  #refuse(response: ServedResponse): void {
    response.writeHead(403, REFUSAL).end();
    const { clock, logger } = this.#dependencies;
    if (clock.now() - this.#refusalLoggedMs < REFUSAL_LOG_INTERVAL_MS) return;
    this.#refusalLoggedMs = clock.now();
    logger.warn(
      'forward_refused',
      'the replica listener refused a request: not from a replica with our secret and time',
      {
        ip: response.req.socket.remoteAddress ?? '',
      },
    );
  }
}
