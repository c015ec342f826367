/**
 * The one listener: guards every request, then hands it to the transport its path names. MCP requests go there directly;
 * everything an operator asks goes through Koa.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as TlsServer } from 'node:https';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AddressInfo } from 'node:net';
import type { Logger } from '../core/logger.js';
import { PlainFront } from '../http-server/plain-front.js';
import type { ServedRequest, ServedResponse } from '../http-server/types.js';
import type { RequestClock } from '../metrics/request-clock.js';
import { OverloadedError } from '../protocol/session-errors.js';
import { answerBadRequest } from './bad-request.js';
import type { AuthFailureHook } from './caller-identity.js';
import { ClientAddresses } from './client-address.js';
import type { Caller } from './client-session.js';
import type { Elsewhere } from './elsewhere.js';
import { type Endpoint, isEndpointTarget, METHODS } from './endpoints.js';
import { HttpRefusalError } from './errors.js';
import { type HttpExchange, refuseOrMove } from './http-exchange.js';
import { createNodeServer, rehearseStop, stopListening, type TlsFiles } from './node-server.js';
import { isMetadataPath } from './oauth-metadata.js';
import { createOpsApp, isOperatorPath, type OpsView, PROBE_PATHS } from './ops-routes.js';
import type { ListenerOptions } from './options.js';
import { OriginGuard } from './origin-guard.js';
import { PublicAddress } from './public-address.js';
import { parseTarget, refuseAmbiguousHeaders } from './request-head.js';
import { type HeaderList, sendEmpty, sendError, sendJson } from './respond.js';
import { Site, type SiteContent, type SiteDependencies } from './site.js';
import { type MessageLimits, openSse, receiveSseMessage } from './sse.js';
import { deleteSession, openGeneralStream, receiveStreamable } from './streamable-http.js';

export interface HttpListenerOptions extends ListenerOptions {
  /** CIDRs of peers whose `X-Forwarded-*` headers are believed. */
  readonly trustedProxies: readonly string[];
}

export interface HttpListenerDependencies {
  readonly logger: Logger;
  readonly ops: OpsView;
  /** Told when the body of a request was read. */
  readonly requestClock: RequestClock;
  /** Told of everyone who is turned away. */
  readonly onAuthFailure?: AuthFailureHook;
  /** Undefined: there are no other replicas. */
  readonly elsewhere?: Elsewhere | undefined;
}

interface NodeExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** One request that passed the guards, with what its answer has to carry. */
interface Visit {
  readonly site: Site;
  readonly request: ServedRequest;
  readonly response: ServedResponse;
  /** The same, where Node has read it. */
  readonly byNode: NodeExchange | undefined;
  readonly path: string;
  readonly query: string;
  /** The route that the host name stands for. */
  readonly hostPrefix: string | undefined;
  readonly headers: HeaderList;
  /** When its head was read, on the clock of durations. */
  readonly startedAtMs: number;
}

const METADATA_METHODS = 'GET, OPTIONS';
const START_RETRY_AFTER_MS = 1000;
const CLOSE_CONNECTION: HeaderList = ['connection', 'close'];

export class HttpListener {
  #options: HttpListenerOptions;
  readonly #dependencies: HttpListenerDependencies;
  #limits: MessageLimits;
  readonly #server: Server;
  readonly #front: PlainFront;
  readonly #opsHandler: (request: IncomingMessage, response: ServerResponse) => void;
  #site: Site | undefined;
  #isDraining = false;

  constructor(options: HttpListenerOptions, dependencies: HttpListenerDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#limits = messageLimits(options);
    const serveOps = createOpsApp(dependencies.ops).callback();
    this.#opsHandler = (request, response) => {
      void serveOps(request, response);
    };
    this.#server = this.#createServer();
    this.#front = new PlainFront(this.#server, {
      takes: (url) => this.#site !== undefined && isEndpointTarget(url),
      serve: (request, response) => this.#onRequest(request, response, undefined),
      answerBroken: answerBadRequest,
    });
  }

  /**
   * Takes what to serve, for all requests that come from now on; may be called again with something else.
   *
   * @param options `host`, `port` and whether there is TLS hold for as long as the listener lives and must be the same.
   */
  serve(content: SiteContent, options: HttpListenerOptions = this.#options): void {
    this.#site = new Site(options, content, siteDependencies(options, this.#dependencies));
    this.#limits = messageLimits(options);
    this.#options = options;
  }

  /** From here on new connections get this certificate. */
  useCertificate(certificate: TlsFiles): void {
    if (this.#server instanceof TlsServer) this.#server.setSecureContext(certificate);
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

  /**
   * From now on every answer ends its connection, so that clients and load balancers go elsewhere.
   * Idle connections are left alone: a request may be on its way over one already, and would be lost.
   */
  drain(): void {
    this.#isDraining = true;
    rehearseStop();
  }

  /** Stops accepting; what is still open is cut. */
  async close(): Promise<void> {
    const closed = this.#server.listening
      ? new Promise<void>((resolve) => this.#server.close(() => resolve()))
      : this.#whenDeserted();
    this.#server.closeAllConnections();
    this.#front.closeAll();
    await closed;
    // Where only its socket was closed before, what else it has ends here.
    this.#server.close();
  }

  async #whenDeserted(): Promise<void> {
    while ((await this.connectionCount()) > 0) await nextTurn();
  }

  #createServer(): Server {
    return createNodeServer(this.#options.tls, {
      request: (request, response) => this.#onRequest(request, response, { request, response }),
      expectation: (response) => {
        this.#refuse(response, new HttpRefusalError(417, 'no such expectation is met here'), CLOSE_CONNECTION);
      },
    });
  }

  /** @param byNode What is plain leaves nothing to be ambiguous; only what Node has read can be so, or be an operator's. */
  #onRequest(request: ServedRequest, response: ServedResponse, byNode: NodeExchange | undefined): void {
    const startedAtMs = this.#dependencies.requestClock.now();
    let headers: HeaderList = this.#isDraining ? CLOSE_CONNECTION : [];
    try {
      if (byNode !== undefined) refuseAmbiguousHeaders(byNode.request);
      const { path, query } = parseTarget(request.url ?? '');
      if (byNode !== undefined && PROBE_PATHS.has(path)) {
        this.#opsHandler(byNode.request, byNode.response);
        return;
      }
      const site = this.#site;
      if (site === undefined) throw new OverloadedError('nothing is served yet', START_RETRY_AFTER_MS);
      const hostPrefix = site.hosts.check(request.headers.host);
      const cors = site.origins.check(request);
      if (cors.length > 0) headers = [...headers, ...cors];
      const visit: Visit = { site, request, response, byNode, path, query, hostPrefix, headers, startedAtMs };
      const endpoint = site.endpoints.find(path, hostPrefix);
      if (endpoint !== undefined) this.#serveEndpoint(endpoint, visit);
      else if (isMetadataPath(path)) describeResource(visit);
      else this.#serveOperator(visit);
    } catch (error) {
      this.#refuse(response, error, headers);
    }
  }

  #serveEndpoint(endpoint: Endpoint, visit: Visit): void {
    const { site, request, response, query, hostPrefix, headers } = visit;
    if (request.method === 'OPTIONS') {
      sendPreflight(visit, METHODS[endpoint.kind]);
      return;
    }
    const place = { query, route: endpoint.door.prefix, metadataUrl: () => site.metadata.urlFor(visit, endpoint) };
    this.#whenKnown(site.identity.identify(request, place), visit, (caller) => {
      const publicPrefix = this.#publicPrefix(endpoint, hostPrefix);
      if (request.method === 'POST') this.#timeBody(request, visit.startedAtMs);
      this.#dispatch(endpoint, { request, response, query, caller, headers, publicPrefix });
    });
  }

  /** What is in no table of ours gets its 404 here too. */
  #serveOperator({ byNode, ...visit }: Visit): void {
    if (byNode === undefined) throw new HttpRefusalError(404, 'not found');
    const { request, response } = byNode;
    const { site, path, query, headers } = visit;
    for (let i = 0; i < headers.length; i += 2) response.setHeader(headers[i] as string, headers[i + 1] as string);
    if (request.method === 'OPTIONS' || !isOperatorPath(path)) {
      this.#opsHandler(request, response);
      return;
    }
    const place = { query, route: undefined, metadataUrl: () => undefined };
    this.#whenKnown(site.identity.identify(request, place), { ...visit, byNode }, (caller) => {
      site.identity.requireAdmin(caller);
      this.#opsHandler(request, response);
    });
  }

  /** Goes on at once when the caller is known at once, which is the usual case. */
  #whenKnown(caller: Caller | Promise<Caller>, visit: Visit, goOn: (caller: Caller) => void): void {
    if (!(caller instanceof Promise)) {
      goOn(caller);
      return;
    }
    const { response, headers } = visit;
    caller
      // A client that left meanwhile must not open anything.
      .then((known) => (response.destroyed ? undefined : goOn(known)))
      .catch((error: unknown) => this.#refuse(response, error, headers));
  }

  #dispatch(endpoint: Endpoint, exchange: HttpExchange): void {
    if (this.#dependencies.elsewhere?.takes(endpoint, exchange) !== true) this.#serveHere(endpoint, exchange);
  }

  /** Serves a request that was found to belong here, whatever came before. */
  serveHere(endpoint: Endpoint, exchange: HttpExchange): void {
    try {
      this.#serveHere(endpoint, exchange);
    } catch (error) {
      refuseOrMove(exchange, error, exchange.body);
    }
  }

  /** The endpoint that another replica means. */
  endpoint(prefix: string, kind: string): Endpoint | undefined {
    return this.#site?.endpoints.named(prefix, kind);
  }

  /** Connections that are open, with a request on them or not. */
  connectionCount(): Promise<number> {
    return new Promise((resolve) => this.#server.getConnections((_, count) => resolve(count)));
  }

  /** New connections are refused from here on; those that are idle are closed. */
  stopAccepting(): void {
    if (this.#server.listening) stopListening(this.#server);
    this.#server.closeIdleConnections();
    this.#front.closeIdle();
  }

  #serveHere(endpoint: Endpoint, exchange: HttpExchange): void {
    const { kind, door } = endpoint;
    const { method } = exchange.request;
    if (kind === 'messages' && method === 'POST') receiveSseMessage(exchange, door, this.#limits);
    else if (kind === 'mcp' && method === 'POST') receiveStreamable(exchange, door, this.#limits);
    else if (kind === 'sse' && method === 'GET') openSse(exchange, door);
    else if (kind === 'mcp' && method === 'GET') openGeneralStream(exchange, door);
    else if (kind === 'mcp' && method === 'DELETE') deleteSession(exchange, door);
    else throw new HttpRefusalError(405, `${method} is not allowed here`, [['allow', METHODS[kind]]]);
  }

  /** Before the transport asks for the body, so that the clock is set when the transport takes the message. */
  #timeBody(request: ServedRequest, startedAtMs: number): void {
    const { requestClock } = this.#dependencies;
    const headMs = requestClock.now() - startedAtMs;
    request.on('end', () => requestClock.bodyRead(headMs));
  }

  /** Where this client reaches the route: by its own host name there is no prefix in the path. */
  #publicPrefix(endpoint: Endpoint, hostPrefix: string | undefined): string {
    if (hostPrefix === endpoint.door.prefix) return '';
    return `${this.#options.publicUrl?.path ?? ''}/${endpoint.door.prefix}`;
  }

  #refuse(response: ServedResponse, error: unknown, headers: HeaderList): void {
    sendError(response, error, headers);
    if (error instanceof HttpRefusalError) return;
    this.#dependencies.logger.debug('request_refused', 'a request was refused', { reason: String(error) });
  }
}

function messageLimits({ limits }: HttpListenerOptions): MessageLimits {
  return { bodyBytes: limits.bodyBytes, maxDepth: limits.jsonDepth, maxTokens: limits.jsonTokens };
}

function siteDependencies(options: HttpListenerOptions, { onAuthFailure }: HttpListenerDependencies): SiteDependencies {
  const { publicUrl, tls, trustedProxies } = options;
  const addresses = new ClientAddresses(trustedProxies);
  return {
    addresses,
    publicAddress: new PublicAddress({ publicUrl, isTls: tls !== undefined }, addresses),
    onAuthFailure,
  };
}

function describeResource(visit: Visit): void {
  const { site, request, response, headers } = visit;
  if (request.method === 'OPTIONS') {
    sendPreflight(visit, METADATA_METHODS);
    return;
  }
  const metadata = site.metadata.find(visit);
  if (metadata === undefined) throw new HttpRefusalError(404, 'not found');
  if (request.method !== 'GET') {
    throw new HttpRefusalError(405, `${request.method} is not allowed here`, [['allow', METADATA_METHODS]]);
  }
  sendJson(response, 200, JSON.stringify(metadata), headers);
}

function sendPreflight({ response, headers }: Visit, methods: string): void {
  sendEmpty(response, 204, [...headers, 'allow', methods, ...OriginGuard.preflightHeaders(methods)]);
}
