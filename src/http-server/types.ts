/**
 * One request and its answer as those see them who serve them: as much of Node's own objects as is used, so that Node's
 * can stand here as well as ours.
 */
import type { IncomingHttpHeaders } from 'node:http';

export interface ServedRequest {
  readonly method?: string | undefined;
  /** The request target as it came. */
  readonly url?: string | undefined;
  headers: IncomingHttpHeaders;
  /** The whole body was received. */
  readonly complete: boolean;
  readonly socket: { readonly remoteAddress?: string | undefined };
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  removeAllListeners(event: 'data' | 'end'): unknown;
  /** Reads what nobody listens for, and throws it away. */
  resume(): unknown;
}

export interface ServedResponse {
  readonly req: ServedRequest;
  readonly headersSent: boolean;
  /** The connection is gone, or was given up. */
  readonly destroyed: boolean;
  /** What was written and not taken yet is so much that nothing more should follow before `drain`. */
  readonly writableNeedDrain: boolean;
  /** What was written and not taken yet, in bytes. */
  readonly writableLength: number;
  /** Set to false before the head: a body of unknown length then ends with its connection. */
  useChunkedEncodingByDefault: boolean;
  /** @param headers Flat name, value, name, value ..., names in lower case. */
  writeHead(status: number, headers?: string[]): ServedResponse;
  /** Sends the head now, not with the first bytes of the body. */
  flushHeaders(): void;
  /** @returns whether more should be written before `drain` */
  write(chunk: Buffer | string): boolean;
  end(): unknown;
  /** A text is written as UTF-8, if nothing else is said. */
  end(chunk: Buffer | string): unknown;
  end(chunk: Buffer | string, encoding: 'latin1'): unknown;
  /** Cuts the connection. */
  destroy(): unknown;
  /** Cuts the connection when the client takes no byte for `ms`; 0: never. */
  setTimeout(ms: number): unknown;
  /** `close`: nothing more comes of this answer: it was written to its end, or its connection is gone. */
  on(event: 'drain' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'close', listener: () => void): unknown;
}
