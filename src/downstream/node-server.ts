/** Node's HTTP server, with the limits that hold before a request is one. */
import { readFileSync } from 'node:fs';
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions as NodeServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import { createSecureContext, type TlsOptions } from 'node:tls';
import { answerBadRequest } from './bad-request.js';
import type { ServerTlsOptions } from './options.js';

export interface NodeServerHandlers {
  request(request: IncomingMessage, response: ServerResponse): void;
  /** The client wants something first that no server of this kind does. */
  expectation(response: ServerResponse): void;
}

const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Longer than the idle time of common load balancers, so that it is they who close an idle connection and no request is lost to the race. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

const NODE_OPTIONS: NodeServerOptions = {
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

const TLS_OPTIONS: TlsOptions = { minVersion: 'TLSv1.2' };

function clientAuth({ clientCaFile }: ServerTlsOptions): TlsOptions {
  return clientCaFile === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
}

/** @throws {Error} certificate, key or authorities cannot be read */
export function createNodeServer(tls: ServerTlsOptions | undefined, handlers: NodeServerHandlers): Server {
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => handlers.request(request, response);
  const server =
    tls === undefined
      ? createServer(NODE_OPTIONS, onRequest)
      : createTlsServer({ ...NODE_OPTIONS, ...TLS_OPTIONS, ...clientAuth(tls), ...readTlsFiles(tls) }, onRequest);
  server.maxHeadersCount = 0;
  server.on('clientError', answerBadRequest);
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) =>
    handlers.expectation(response),
  );
  server.on('connect', (_request: IncomingMessage, socket: Socket) => answerBadRequest({ code: 'METHOD' }, socket));
  return server;
}

/**
 * Closes the listening socket and nothing else, in this very instant. `server.close()` cuts idle connections first: what the system
 * accepts meanwhile would be reset.
 */
export function stopListening(server: NetServer): void {
  NetServer.prototype.close.call(server);
}

/** Has everything compiled that `stopListening` runs: the first time takes 0.3 ms, and any other a fifth of that. */
export function rehearseStop(): void {
  stopListening(new NetServer());
}

/** The content of the files, as Node takes it. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
}

/** @throws {Error} one of them cannot be read, or they make no certificate together */
export function readTlsFiles({ certFile, keyFile, clientCaFile }: ServerTlsOptions): TlsFiles {
  const own = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
  const files = clientCaFile === undefined ? own : { ...own, ca: readFileSync(clientCaFile) };
  createSecureContext(files);
  return files;
}
