/** How requests get to another replica: what the forwarder needs of an HTTP client, one of which serves one peer. */

export interface PeerHttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Origin form, query included; printable ASCII only. */
  readonly path: string;
  /** `name: value\r\n` lines. */
  readonly headers: string;
  readonly body?: Buffer;
  /** From the last byte of the request to the head of the answer; 0 waits for ever. Absent: the client's own. */
  readonly headersTimeoutMs?: number;
  /** Safe to send once more when a reused connection died before any byte of the answer. */
  readonly retryStale?: boolean;
}

export interface PeerHttpError extends Error {
  /** `no`: not one byte reached a connected socket. */
  readonly sent: 'no' | 'unknown';
  readonly reason: string;
}

export interface PeerResponseHeaders {
  /** @param name Lower case. @returns the value, several joined with `, `; undefined when absent */
  get(name: string): string | undefined;
}

/** Exactly one of `onEnd` and `onError` comes, and nothing after `abort()` or before `request()` has returned. */
export interface PeerResponseHandler {
  onHeaders(status: number, headers: PeerResponseHeaders): void;
  onData(chunk: Buffer): void;
  onEnd(): void;
  onError(error: PeerHttpError): void;
}

export interface PeerCall {
  pause(): void;
  resume(): void;
  /** Closes the connection, by which the peer knows that nobody waits any more. Any number of times. */
  abort(): void;
}

export interface PeerHttp {
  /** @throws {TypeError} `path` or `headers` cannot go on the wire; nothing was sent */
  request(request: PeerHttpRequest, handler: PeerResponseHandler): PeerCall;
}
