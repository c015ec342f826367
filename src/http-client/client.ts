import { Call } from './call.js';
import { Connection, type ConnectionOwner, type ConnectionSettings } from './connection.js';
import { Dialer } from './dialer.js';
import { HttpClientError } from './errors.js';
import { RequestWriter } from './request-writer.js';
import type { HttpCall, HttpClientOptions, HttpRequest, ResponseHandler } from './types.js';

const DEFAULT_MAX_HEADER_BYTES = 16 * 1024;
const DEFAULT_MAX_IDLE_SOCKETS = 64;
const DEFAULT_IDLE_SOCKET_TIMEOUT_MS = 4000;

/**
 * HTTP/1.1 to one origin over a keep-alive pool: no pipelining, no redirects, no decompression, no bound on the
 * number of sockets (each open stream holds one; the caller bounds how many calls there are).
 */
export class HttpClient {
  readonly #settings: ConnectionSettings;
  readonly #maxIdleSockets: number;
  readonly #onHandlerError: (error: unknown) => void;
  readonly #connections = new Set<Connection>();
  /** The one used last is the last: it is the likeliest to be alive, and the others may expire. */
  readonly #idle: Connection[] = [];
  readonly #owner: ConnectionOwner;
  #lastReadAtMs = 0;
  #closing: Promise<void> | undefined;
  #onAllClosed: (() => void) | undefined;

  /** @throws {Error} the origin is not http(s), or certificate or key cannot be read */
  constructor(options: HttpClientOptions) {
    const dialer = new Dialer(options.origin, options.tls);
    this.#settings = {
      dialer,
      writer: new RequestWriter(dialer.hostHeader),
      timers: options.timers,
      connectTimeoutMs: options.connectTimeoutMs,
      headersTimeoutMs: options.headersTimeoutMs,
      maxHeaderBytes: options.maxHeaderBytes ?? DEFAULT_MAX_HEADER_BYTES,
      idleSocketTimeoutMs: options.idleSocketTimeoutMs ?? DEFAULT_IDLE_SOCKET_TIMEOUT_MS,
      onRead: () => {
        this.#lastReadAtMs = performance.now();
      },
    };
    this.#maxIdleSockets = options.maxIdleSockets ?? DEFAULT_MAX_IDLE_SOCKETS;
    this.#onHandlerError = options.onHandlerError ?? warnOfHandlerError;
    this.#owner = {
      onIdle: (connection) => this.#keep(connection),
      onUnusable: (connection) => this.#forget(connection),
      onClosed: (connection) => this.#remove(connection),
      onStale: (call) => this.#open().start(call),
    };
  }

  /** When the bytes arrived that are being handled now, in milliseconds on the clock of `performance.now()`. */
  get lastReadAtMs(): number {
    return this.#lastReadAtMs;
  }

  /** Sockets that are not closed yet, idle ones included. */
  get openSockets(): number {
    return this.#connections.size;
  }

  /** @throws {TypeError} `path` or `headers` cannot go on the wire; nothing was sent */
  request(request: HttpRequest, handler: ResponseHandler): HttpCall {
    this.#settings.writer.check(request);
    const call = new Call(request, handler, this.#onHandlerError);
    if (this.#closing === undefined) (this.#takeIdle() ?? this.#open()).start(call);
    else
      process.nextTick(() =>
        call.fail(new HttpClientError({ reason: 'closed', sent: 'no' }, 'the HTTP client is closed')),
      );
    return call;
  }

  /** Destroys every socket; calls in flight get `onError`. Resolves when all sockets are closed. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#onAllClosed = resolve;
      if (this.#connections.size === 0) resolve();
    });
    for (const connection of this.#connections) connection.close();
    return this.#closing;
  }

  #open(): Connection {
    const connection = new Connection(this.#settings, this.#owner);
    this.#connections.add(connection);
    return connection;
  }

  #takeIdle(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined || connection.isUsable) return connection;
      connection.destroy();
    }
  }

  #keep(connection: Connection): void {
    if (this.#idle.length < this.#maxIdleSockets) this.#idle.push(connection);
    else connection.destroy();
  }

  #forget(connection: Connection): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  #remove(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onAllClosed?.();
  }
}

function warnOfHandlerError(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), { code: 'HTTP_RESPONSE_HANDLER' });
}
