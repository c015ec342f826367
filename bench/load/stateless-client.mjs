/** A client of the revision without sessions (2026-07-28): every POST says who asks and in which revision, in headers and in the body. */
import { MODERN_VERSION } from '../upstream/messages.mjs';
import { HttpConnection } from './http-connection.mjs';
import { jsonRpcRequest, post } from './requests.mjs';
import { onlyMessage } from './streamable-session.mjs';

const PREFIX = 'io.modelcontextprotocol';
const META = `"_meta":{"${PREFIX}/protocolVersion":"${MODERN_VERSION}","${PREFIX}/clientCapabilities":{}}`;

/** Goes behind the last member of `params`. */
export const MODERN_META = `,${META}`;

export class StatelessClient {
  #connection;
  #path;
  #ids = 0;
  strays = 0;

  /** @param {number} port @param {string} path */
  constructor(port, path) {
    this.#connection = new HttpConnection(port);
    this.#path = path;
  }

  /** @throws {Error} the server does not speak this revision */
  async discover() {
    const message = await this.call({ method: 'server/discover', name: '', params: `{${META}}` });
    const { supportedVersions } = JSON.parse(message.toString()).result ?? {};
    if (!supportedVersions?.includes(MODERN_VERSION)) throw new Error(`the server does not speak ${MODERN_VERSION}`);
  }

  /** @param {{ method: string, name: string, params: string }} call `params` with the `_meta` of this revision */
  async call({ method, name, params }) {
    this.#ids += 1;
    const id = this.#ids;
    const mcpName = name === '' ? '' : `mcp-name: ${name}\r\n`;
    const headers = `mcp-protocol-version: ${MODERN_VERSION}\r\nmcp-method: ${method}\r\n${mcpName}`;
    const answer = await this.#connection.fetch(post(this.#path, jsonRpcRequest(id, method, params), headers));
    return onlyMessage(answer, id);
  }

  close() {
    this.#connection.close();
  }
}
