import { connect, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { HttpClientOptions } from './types.js';

const READ_BUFFER_BYTES = 65_536;

/** Takes bytes as they come in; they are the receiver's to keep. */
export type Receive = (bytes: Buffer) => void;

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
   * All sockets of the origin read into one buffer, and what came is copied out at once: libuv hands over one read at a
   * time. Node would allocate 64 KiB for every read and shrink it, which costs far more than the copy; without the copy
   * a consumer that keeps a view would see the bytes of another session appear in it.
   */
  #openPlain(receive: Receive): Socket {
    this.#readBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    const buffer = this.#readBuffer;
    const onread: OnReadOpts = {
      buffer,
      callback: (byteCount) => {
        receive(copyOf(buffer, byteCount));
        return true;
      },
    };
    return connect({ host: this.#host, port: this.#port, onread });
  }

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
    socket.on('data', receive);
    return socket;
  }
}

function copyOf(buffer: Buffer, byteCount: number): Buffer {
  const copy = Buffer.allocUnsafe(byteCount);
  buffer.copy(copy, 0, 0, byteCount);
  return copy;
}
