/** A client of HTTP+SSE: one stream for everything the server says, and a connection per POST under way. Ids start at 1 in each session. */
import { EventReader } from './event-reader.mjs';
import { HttpConnection } from './http-connection.mjs';
import { getStream, INITIALIZED, initializeRequest, jsonRpcRequest, post } from './requests.mjs';

/** The newest revision whose transport is HTTP+SSE. */
const VERSION = '2024-11-05';

export class SseSession {
  #port;
  #stream;
  /** @type {HttpConnection[]} */
  #posts = [];
  /** @type {HttpConnection[]} */
  #freePosts = [];
  #postPath = '';
  #ids = 0;
  /** @type {Map<number, { resolve: (message: Buffer) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();
  /** Responses to nothing that was asked. */
  strays = 0;
  /** @type {(notification: Buffer) => void} */
  onNotification = () => {};

  /** @param {number} port */
  constructor(port) {
    this.#port = port;
    this.#stream = new HttpConnection(port);
  }

  /** @param {number} port @param {string} path */
  static async open(port, path) {
    const session = new SseSession(port);
    try {
      await session.#openStream(path);
      await session.request('initialize', (id) => initializeRequest(id, VERSION));
      await session.#post(INITIALIZED);
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  /** The id that the next request will have. */
  get nextId() {
    return this.#ids + 1;
  }

  /** @param {import('./calls.mjs').Call} call @returns {Promise<Buffer>} the response */
  call(call) {
    return this.request(call.method, (id) => jsonRpcRequest(id, call.method, call.params));
  }

  /** @param {string} method @param {(id: number) => string} render */
  request(method, render) {
    this.#ids += 1;
    const id = this.#ids;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#post(render(id)).catch((error) => {
        this.#waiting.delete(id);
        reject(new Error(`${method}: ${error.message}`));
      });
    });
  }

  /** From here on messages are posted to another process of the same server; the stream stays. @param {number} port */
  callAt(port) {
    this.closePosts();
    this.#port = port;
  }

  /** An idle client lets go of the connections it posted on. */
  closePosts() {
    for (const connection of this.#posts) connection.close();
    this.#posts = [];
    this.#freePosts = [];
  }

  close() {
    this.#stream.close();
    this.closePosts();
    for (const { reject } of this.#waiting.values()) reject(new Error('the session was closed'));
    this.#waiting.clear();
  }

  #openStream(path) {
    return new Promise((resolve, reject) => {
      const reader = new EventReader((name, data) => {
        if (name !== 'endpoint') this.#onMessage(data);
        else {
          this.#postPath = data.latin1Slice().trim();
          resolve();
        }
      });
      const fail = (error) => {
        reject(error);
        this.close();
      };
      this.#stream.send(getStream(path), {
        onHead: (status) => status !== 200 && fail(new Error(`the stream was refused with ${status}`)),
        onData: (bytes) => reader.push(bytes),
        onEnd: () => fail(new Error('the stream ended')),
        onError: fail,
      });
    });
  }

  async #post(body) {
    const connection = this.#freePosts.pop() ?? this.#newPostConnection();
    const { status } = await connection.fetch(post(this.#postPath, body));
    this.#freePosts.push(connection);
    if (status !== 202) throw new Error(`a POST was answered with ${status}`);
  }

  #newPostConnection() {
    const connection = new HttpConnection(this.#port);
    this.#posts.push(connection);
    return connection;
  }

  #onMessage(data) {
    const id = idOf(data);
    if (id === undefined) {
      this.onNotification(data);
      return;
    }
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) {
      this.strays += 1;
      return;
    }
    this.#waiting.delete(id);
    waiting.resolve(data);
  }
}

/** The id stands at the start or at the end of a response, never behind a megabyte of result. @param {Buffer} message */
function idOf(message) {
  if (message.includes('"method":')) return undefined;
  const head = /"id":(\d+)/.exec(message.latin1Slice(0, 64));
  const found = head ?? /"id":(\d+)\}\s*$/.exec(message.latin1Slice(Math.max(0, message.length - 64)));
  return found === null ? undefined : Number(found[1]);
}
