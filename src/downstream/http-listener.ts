/**
 * The one listener: guards every request, then hands it to the transport its path names. MCP requests go there directly;
 * everything an operator asks goes through Koa.
 */
import { readFileSync } from 'node:fs';
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions as NodeServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Principal } from '../auth/principal.js';
import type { Logger } from '../core/logger.js';
import type { Caller, RouteDoor } from './client-session.js';
import { type Endpoint, EndpointTable, METHODS } from './endpoints.js';
import { HttpRefusalError } from './errors.js';
import { HostGuard } from './host-guard.js';
import type { HttpExchange } from './http-exchange.js';
import { createOpsApp, type OpsView, PROBE_PATHS } from './ops-routes.js';
import type { ListenerOptions } from './options.js';
import { OriginGuard } from './origin-guard.js';
import { answerBadRequest } from './bad-request.js';
import { parseTarget, refuseAmbiguousHeaders } from './request-head.js';
import { type HeaderList, sendEmpty, sendError } from './respond.js';
import { type MessageLimits, openSse, receiveSseMessage } from './sse.js';
import { deleteSession, openGeneralStream, receiveStreamable } from './streamable-http.js';

export interface HttpListenerDependencies {
  readonly logger: Logger;
  readonly ops: OpsView;
  /** Who a request comes from. @throws refusals of authentication */
  identify(request: IncomingMessage): Principal;
}

const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Longer than the idle time of common load balancers, so that it is they who close an idle connection and no request is lost to the race. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const CLOSE_CONNECTION: HeaderList = ['connection', 'close'];

export class HttpListener {
  readonly #options: ListenerOptions;
  readonly #dependencies: HttpListenerDependencies;
  readonly #limits: MessageLimits;
  readonly #server: Server;
  readonly #opsHandler: (request: IncomingMessage, response: ServerResponse) => void;
  #endpoints = new EndpointTable([], undefined);
  #hosts: HostGuard;
  #origins: OriginGuard;
  #isDraining = false;

  constructor(options: ListenerOptions, dependencies: HttpListenerDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    const { bodyBytes, jsonDepth, jsonTokens } = options.limits;
    this.#limits = { bodyBytes, maxDepth: jsonDepth, maxTokens: jsonTokens };
    this.#hosts = this.#createHostGuard([]);
    this.#origins = new OriginGuard(options.allowedOrigins, this.#hosts.isOn);
    this.#opsHandler = createOpsApp(dependencies.ops).callback();
    this.#server = this.#createServer();
  }

  /** Takes the routes to serve; may be called again with others. */
  serve(doors: readonly RouteDoor[], defaultPrefix: string | undefined): void {
    this.#endpoints = new EndpointTable(doors, defaultPrefix);
    this.#hosts = this.#createHostGuard(doors.map((door) => door.prefix));
    this.#origins = new OriginGuard(this.#options.allowedOrigins, this.#hosts.isOn);
  }

  /** @returns the port listened on @throws what `listen` says, e.g. EADDRINUSE */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: host.replace(/^\[|\]$/g, ''), port }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => {
          this.#dependencies.logger.error('listener_error', 'the listener reported an error', {
            reason: error.message,
          });
        });
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** From now on every answer ends its connection, so that clients and load balancers go elsewhere. */
  drain(): void {
    this.#isDraining = true;
    this.#server.closeIdleConnections();
  }

  /** Stops accepting; what is still open is cut. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #createServer(): Server {
    const { tls } = this.#options;
    const nodeOptions: NodeServerOptions = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 2000,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      // Missing ones are refused with the others, in a form that clients can read.
      requireHostHeader: false,
      insecureHTTPParser: false,
      noDelay: true,
    };
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => this.#onRequest(request, response);
    const server =
      tls === undefined
        ? createServer(nodeOptions, onRequest)
        : createTlsServer(
            {
              ...nodeOptions,
              minVersion: 'TLSv1.2',
              cert: readFileSync(tls.certFile),
              key: readFileSync(tls.keyFile),
              ...(tls.clientCaFile === undefined
                ? {}
                : { ca: readFileSync(tls.clientCaFile), requestCert: true, rejectUnauthorized: true }),
            },
            onRequest,
          );
    server.maxHeadersCount = 0;
    server.on('clientError', answerBadRequest);
    server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
      this.#refuse(response, new HttpRefusalError(417, 'no such expectation is met here'), CLOSE_CONNECTION);
    });
    server.on('connect', (_request: IncomingMessage, socket: Socket) => answerBadRequest({ code: 'METHOD' }, socket));
    return server;
  }

  #createHostGuard(prefixes: readonly string[]): HostGuard {
    const { host, domain, publicUrl, allowedHosts } = this.#options;
    const publicHost = publicUrl?.origin === undefined ? undefined : new URL(publicUrl.origin).hostname;
    return new HostGuard({ host, domain, publicHost, allowedHosts, prefixes });
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    let headers: HeaderList = this.#isDraining ? CLOSE_CONNECTION : [];
    try {
      refuseAmbiguousHeaders(request);
      const { path, query } = parseTarget(request.url ?? '');
      if (PROBE_PATHS.has(path)) {
        this.#opsHandler(request, response);
        return;
      }
      const hostPrefix = this.#hosts.check(request.headers.host);
      const cors = this.#origins.check(request);
      if (cors.length > 0) headers = [...headers, ...cors];
      const endpoint = this.#endpoints.find(path, hostPrefix);
      if (endpoint === undefined) {
        for (let i = 0; i < headers.length; i += 2) response.setHeader(headers[i] as string, headers[i + 1] as string);
        this.#opsHandler(request, response);
        return;
      }
      if (request.method === 'OPTIONS') {
        sendEmpty(response, 204, [
          ...headers,
          'allow',
          METHODS[endpoint.kind],
          ...OriginGuard.preflightHeaders(METHODS[endpoint.kind]),
        ]);
        return;
      }
      this.#dispatch(endpoint, {
        request,
        response,
        query,
        caller: this.#callerOf(request),
        headers,
        publicPrefix: this.#publicPrefix(endpoint, hostPrefix),
      });
    } catch (error) {
      this.#refuse(response, error, headers);
    }
  }

  #dispatch(endpoint: Endpoint, exchange: HttpExchange): void {
    const { kind, door } = endpoint;
    const { method } = exchange.request;
    if (kind === 'messages' && method === 'POST') receiveSseMessage(exchange, door, this.#limits);
    else if (kind === 'mcp' && method === 'POST') receiveStreamable(exchange, door, this.#limits);
    else if (kind === 'sse' && method === 'GET') openSse(exchange, door);
    else if (kind === 'mcp' && method === 'GET') openGeneralStream(exchange, door);
    else if (kind === 'mcp' && method === 'DELETE') deleteSession(exchange, door);
    else throw new HttpRefusalError(405, `${method} is not allowed here`, [['allow', METHODS[kind]]]);
  }

  #callerOf(request: IncomingMessage): Caller {
    return {
      principal: this.#dependencies.identify(request),
      ip: request.socket.remoteAddress ?? '',
      headers: request.headers,
    };
  }

  /** Where this client reaches the route: by its own host name there is no prefix in the path. */
  #publicPrefix(endpoint: Endpoint, hostPrefix: string | undefined): string {
    if (hostPrefix === endpoint.door.prefix) return '';
    return `${this.#options.publicUrl?.path ?? ''}/${endpoint.door.prefix}`;
  }

  #refuse(response: ServerResponse, error: unknown, headers: HeaderList): void {
    sendError(response, error, headers);
    if (error instanceof HttpRefusalError) return;
    this.#dependencies.logger.debug('request_refused', 'a request was refused', { reason: String(error) });
  }
}
