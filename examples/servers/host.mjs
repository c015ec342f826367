/**
 * Hosts an MCP server on loopback over HTTP+SSE and over Streamable HTTP, one `McpServer` per session.
 * What the server can do is the caller's business.
 */
import { randomUUID } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { parseArgs } from 'node:util';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

const LOOPBACK = '127.0.0.1';
const { HOST = LOOPBACK } = process.env;

/** @typedef {import('@modelcontextprotocol/sdk/server/mcp.js').McpServer} McpServer */

/**
 * Listens on `--port N`, else `$PORT`, else `options.port` (0: any free port), and prints the URL of the SSE endpoint.
 * `$HOST` is the address, 127.0.0.1 unless it is set: another one is for private networks, and takes any Host.
 * SIGINT and SIGTERM end the process at once with code 0.
 *
 * @param {object} options
 * @param {string} options.basePath e.g. `/sms`: HTTP+SSE is at `/sms/sse`. Streamable HTTP is at `/mcp`.
 * @param {number} options.port
 * @param {(ended: AbortSignal) => McpServer} options.createServer called once per session; `ended` aborts with it
 */
export function host({ basePath, port: defaultPort, createServer }) {
  const sse = new SseHost(`${basePath}/messages`, createServer);
  const streamable = new StreamableHost(createServer);
  const routes = new Map([
    [`GET ${basePath}/sse`, (request, response) => sse.open(response)],
    [`POST ${basePath}/messages`, (request, response, url) => sse.post(request, response, url)],
    ['POST /mcp', (request, response) => streamable.handle(request, response)],
    ['GET /mcp', (request, response) => streamable.handle(request, response)],
    ['DELETE /mcp', (request, response) => streamable.handle(request, response)],
  ]);
  const http = createHttpServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const route = routes.get(`${request.method} ${url.pathname}`);
    if (!isLocal(request)) response.writeHead(403).end('Forbidden');
    else if (route === undefined) response.writeHead(404).end('Not found');
    else
      route(request, response, url).catch((error) => {
        console.error(error);
        response.destroy();
      });
  });
  http.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  http.listen(portFromCommandLine() ?? defaultPort, HOST, () => {
    console.log(`http://${HOST}:${http.address().port}${basePath}/sse`);
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
}

/** HTTP+SSE: a session is one GET, its messages come as POSTs that name it. */
class SseHost {
  #messagesPath;
  #createServer;
  #sessions = new Map();

  constructor(messagesPath, createServer) {
    this.#messagesPath = messagesPath;
    this.#createServer = createServer;
  }

  async open(response) {
    const transport = new SSEServerTransport(this.#messagesPath, response);
    this.#sessions.set(transport.sessionId, transport);
    const ended = new AbortController();
    const server = this.#createServer(ended.signal);
    server.server.onclose = () => {
      this.#sessions.delete(transport.sessionId);
      ended.abort();
    };
    await server.connect(transport);
  }

  async post(request, response, url) {
    const transport = this.#sessions.get(url.searchParams.get('sessionId'));
    if (transport === undefined) response.writeHead(404).end('Unknown session');
    else await transport.handlePostMessage(request, response);
  }
}

/** Streamable HTTP: a session begins with `initialize` and ends with DELETE. */
class StreamableHost {
  #createServer;
  #sessions = new Map();

  constructor(createServer) {
    this.#createServer = createServer;
  }

  async handle(request, response) {
    const id = request.headers['mcp-session-id'];
    const transport = id === undefined ? await this.#open() : this.#sessions.get(id);
    if (transport === undefined) {
      response.writeHead(404).end('Unknown session');
      return;
    }
    await transport.handleRequest(request, response);
    // It was no `initialize` and got no session id: nobody could ever end it.
    if (transport.sessionId === undefined) await transport.close();
  }

  async #open() {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => this.#sessions.set(id, transport),
    });
    const ended = new AbortController();
    const server = this.#createServer(ended.signal);
    server.server.onclose = () => {
      this.#sessions.delete(transport.sessionId);
      ended.abort();
    };
    await server.connect(transport);
    return transport;
  }
}

/** A web page on another origin can reach loopback too (DNS rebinding): only local names may be asked for. */
function isLocal({ headers }) {
  const isLocalUrl = (url) => URL.canParse(url) && ['127.0.0.1', 'localhost'].includes(new URL(url).hostname);
  const isForUs = HOST !== LOOPBACK || isLocalUrl(`http://${headers.host}`);
  return isForUs && (headers.origin === undefined || isLocalUrl(headers.origin));
}

function portFromCommandLine() {
  const { port = process.env.PORT } = parseArgs({ options: { port: { type: 'string' } } }).values;
  if (port === undefined) return undefined;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    console.error(`--port: "${port}" is no port number`);
    process.exit(64);
  }
  return Number(port);
}
