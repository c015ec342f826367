/** The shapes a caller of the HTTP client meets; the work is done in `client.ts`. */

import type { TimerWheel } from '../core/timer-wheel.js';
import type { HttpClientError } from './errors.js';

export interface HttpClientOptions {
  /** Scheme, host and port; path and user info are ignored. */
  readonly origin: URL;
  /** For name resolution, TCP and TLS together, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** From the last byte of the request to the response head, in milliseconds; 0 waits for ever. */
  readonly headersTimeoutMs: number;
  /** Of one response head, and of one trailer section. Default 16 KiB. */
  readonly maxHeaderBytes?: number;
  /** Default 64. */
  readonly maxIdleSockets?: number;
  /** Default 4000, in milliseconds. A shorter `Keep-Alive: timeout` of the server, less one second, wins. */
  readonly idleSocketTimeoutMs?: number;
  /** PEM. `ca` replaces the built-in roots. Verification cannot be turned off. */
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  readonly timers: TimerWheel;
  /** Told what a handler threw; without it the process warns. The call is aborted either way. */
  readonly onHandlerError?: (error: unknown) => void;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Origin form: starts with `/`, printable ASCII only. */
  readonly path: string;
  /** `name: value\r\n` lines, every value of them from `renderHeaders`. */
  readonly headers: string;
  readonly body?: Buffer | undefined;
  /** Instead of the client's own; 0 waits for ever. */
  readonly headersTimeoutMs?: number | undefined;
  /** Safe to send once more on a fresh socket when a reused one died before any response byte. */
  readonly retryStale?: boolean;
}

/**
 * Receives one response. Exactly one of `onEnd` and `onError` is called, and nothing after `abort()`.
 * Nothing is called before `request()` has returned.
 */
export interface ResponseHandler {
  onHeaders(status: number, headers: ResponseHeaders): void;
  /** @param chunk May be kept as it is: nothing else will be written there. Views of one read share its memory. */
  onData(chunk: Buffer): void;
  onEnd(): void;
  onError(error: HttpClientError): void;
}

export interface ResponseHeaders {
  /** @param name Lower case. @returns the value, several joined with `, `; undefined when absent */
  get(name: string): string | undefined;
  /** @param names Lower case. @returns what there is of them: flat name, value, name, value ... */
  pick(names: ReadonlySet<string>): string[];
}

export interface HttpCall {
  /** Stops every callback, bytes already read included, and lets TCP push back on the server. */
  pause(): void;
  resume(): void;
  /** Closes the socket; the handler is not called again. Any number of times. */
  abort(): void;
  /** Whether a byte of the request was written to a connected socket. */
  readonly bytesSent: boolean;
}

/** Whatever carries requests to one origin: the HTTP client, or something around it. */
export interface HttpRequester {
  /** @throws {TypeError} `path` or `headers` cannot go on the wire; nothing was sent */
  request(request: HttpRequest, handler: ResponseHandler): HttpCall;
}
