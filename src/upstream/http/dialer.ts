import { connect, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { HttpClientOptions } from './types.js';

const READ_BUFFER_BYTES = 65_536;

/** Takes the first `byteCount` bytes of `bytes`, which are valid only until it returns. */
export type Receive = (bytes: Buffer, byteCount: number) => void;

/**
 * Opens sockets to one origin. Says how bytes come out of them; when one is ready and what goes over it is the
 * connection's work.
 */
export class Dialer {
  /** What errors and `host` call the other side; never holds user info. */
  readonly origin: string;
  readonly hostHeader: string;
  readonly isTls: boolean;
  readonly #host: string;
  readonly #port: number;
  readonly #secureContext: SecureContext | undefined;
  #tlsSession: Buffer | undefined;
  #readBuffer: Buffer | undefined;

  /** @throws {Error} the scheme is neither http nor https, or certificate and key cannot be read */
  constructor(origin: URL, tls: HttpClientOptions['tls']) {
    if (origin.protocol !== 'http:' && origin.protocol !== 'https:')
      throw new TypeError(`no HTTP origin: ${origin.protocol}`);
    this.isTls = origin.protocol === 'https:';
    this.origin = origin.origin;
    this.hostHeader = origin.host;
    this.#host = origin.hostname.replace(/^\[|\]$/g, '');
    this.#port = Number(origin.port) || (this.isTls ? 443 : 80);
    this.#secureContext = this.isTls ? createSecureContext({ ...tls, minVersion: 'TLSv1.2' }) : undefined;
  }

  /** The event that says the socket may be written to. */
  get readyEvent(): 'connect' | 'secureConnect' {
    return this.isTls ? 'secureConnect' : 'connect';
  }

  open(receive: Receive): Socket {
    return this.#secureContext === undefined ? this.#openPlain(receive) : this.#openTls(this.#secureContext, receive);
  }

  /**
   * All sockets of the origin read into one buffer: libuv hands over one read at a time and every byte is taken before
   * the next, so an idle stream costs no buffer and a read no allocation.
   */
  #openPlain(receive: Receive): Socket {
    this.#readBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    const buffer = this.#readBuffer;
    const onread: OnReadOpts = {
      buffer,
      callback: (byteCount) => {
        receive(buffer, byteCount);
        return true;
      },
    };
    return connect({ host: this.#host, port: this.#port, onread });
  }

  /** TLS may decrypt while it is being written to, from inside a read of another socket: no shared buffer here. */
  #openTls(secureContext: SecureContext, receive: Receive): TLSSocket {
    const socket = connectTls({
      host: this.#host,
      port: this.#port,
      secureContext,
      // Said outright, or NODE_TLS_REJECT_UNAUTHORIZED=0 would turn it off.
      rejectUnauthorized: true,
      ALPNProtocols: ['http/1.1'],
      ...(isIP(this.#host) === 0 ? { servername: this.#host } : {}),
      ...(this.#tlsSession === undefined ? {} : { session: this.#tlsSession }),
    });
    socket.on('session', (session) => {
      this.#tlsSession = session;
    });
    socket.on('data', (chunk: Buffer) => receive(chunk, chunk.length));
    return socket;
  }
}
