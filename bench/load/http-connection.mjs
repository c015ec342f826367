/** One keep-alive connection of the load generator: a request at a time, on a plain socket. Reconnects when it was closed idle. */
import { connect } from 'node:net';
import { ResponseReader } from './response-reader.mjs';

export class HttpConnection {
  #port;
  /** @type {import('node:net').Socket | undefined} */
  #socket;
  /** @type {import('./response-reader.mjs').ResponseHandler | undefined} */
  #handler;

  /** @param {number} port on loopback */
  constructor(port) {
    this.#port = port;
  }

  /**
   * @param {string} bytes a whole request
   * @param {import('./response-reader.mjs').ResponseHandler} handler
   */
  send(bytes, handler) {
    this.#handler = handler;
    this.#socket ??= this.#open();
    this.#socket.write(bytes);
  }

  /**
   * @param {string} bytes a whole request
   * @returns {Promise<{ status: number, head: string, body: Buffer }>}
   */
  fetch(bytes) {
    return new Promise((resolve, reject) => {
      const parts = [];
      let status = 0;
      let head = '';
      this.send(bytes, {
        onHead: (code, text) => {
          status = code;
          head = text;
        },
        onData: (part) => parts.push(part),
        onEnd: () => resolve({ status, head, body: parts.length === 1 ? parts[0] : Buffer.concat(parts) }),
        onError: reject,
      });
    });
  }

  close() {
    this.#handler = undefined;
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open() {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    const reader = new ResponseReader(() => this.#handler);
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
      } catch (error) {
        socket.destroy(error);
      }
    });
    socket.on('end', () => reader.end());
    socket.on('error', (error) => this.#onLost(socket, error));
    socket.on('close', () => this.#onLost(socket, new Error('the connection was closed')));
    return socket;
  }

  #onLost(socket, error) {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onError(error);
  }
}
