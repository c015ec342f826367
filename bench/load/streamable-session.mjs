/** A client of Streamable HTTP: each request is a POST that its own response answers, as JSON or as events. */
import { EventReader } from './event-reader.mjs';
import { HttpConnection } from './http-connection.mjs';
import { INITIALIZED, initializeRequest, jsonRpcRequest, LEGACY_VERSION, post, remove } from './requests.mjs';
import { headerOf } from './response-reader.mjs';

export class StreamableSession {
  #port;
  #path;
  #headers = '';
  #ids = 0;
  /** @type {HttpConnection[]} */
  #connections = [];
  /** @type {HttpConnection[]} */
  #free = [];
  strays = 0;

  /** @param {number} port @param {string} path */
  constructor(port, path) {
    this.#port = port;
    this.#path = path;
  }

  /** @param {number} port @param {string} path */
  static async open(port, path) {
    const session = new StreamableSession(port, path);
    try {
      await session.#initialize();
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  /** @param {import('./calls.mjs').Call} call @returns {Promise<Buffer>} the response */
  async call(call) {
    this.#ids += 1;
    const id = this.#ids;
    const answer = await this.#fetch(post(this.#path, jsonRpcRequest(id, call.method, call.params), this.#headers));
    return onlyMessage(answer, id);
  }

  /** From here on requests go to another process of the same server. @param {number} port */
  callAt(port) {
    this.close();
    this.#port = port;
  }

  /** Ends the session at the server too. */
  async end() {
    const { status } = await this.#fetch(remove(this.#path, this.#headers));
    this.close();
    if (status !== 200 && status !== 202 && status !== 204) throw new Error(`DELETE was answered with ${status}`);
  }

  close() {
    for (const connection of this.#connections) connection.close();
    this.#connections = [];
    this.#free = [];
  }

  async #initialize() {
    this.#ids += 1;
    const answer = await this.#fetch(post(this.#path, initializeRequest(this.#ids, LEGACY_VERSION)));
    onlyMessage(answer, this.#ids);
    const sessionId = headerOf(answer.head, 'mcp-session-id');
    if (sessionId === undefined) throw new Error('initialize gave no session id');
    this.#headers = `mcp-session-id: ${sessionId}\r\nmcp-protocol-version: ${LEGACY_VERSION}\r\n`;
    const { status } = await this.#fetch(post(this.#path, INITIALIZED, this.#headers));
    if (status !== 202) throw new Error(`a notification was answered with ${status}`);
  }

  async #fetch(bytes) {
    const connection = this.#free.pop() ?? this.#newConnection();
    const answer = await connection.fetch(bytes);
    this.#free.push(connection);
    return answer;
  }

  #newConnection() {
    const connection = new HttpConnection(this.#port);
    this.#connections.push(connection);
    return connection;
  }
}

/**
 * @param {{ status: number, head: string, body: Buffer }} answer
 * @param {number} id
 * @returns {Buffer} the one message of the answer
 */
export function onlyMessage({ status, head, body }, id) {
  if (status !== 200) throw new Error(`a request was answered with ${status}: ${body.toString().slice(0, 200)}`);
  const messages = headerOf(head, 'content-type')?.startsWith('text/event-stream') ? eventData(body) : [body];
  const message = messages[0];
  if (message === undefined || messages.length !== 1) throw new Error(`an answer had ${messages.length} messages`);
  if (JSON.parse(message.toString()).id !== id) throw new Error('an answer had the id of another request');
  return message;
}

/** Events without data only say where a stream could be resumed. */
function eventData(body) {
  const found = [];
  const reader = new EventReader((_name, data) => {
    if (data.toString().trim() !== '') found.push(data);
  });
  reader.push(body);
  return found;
}
