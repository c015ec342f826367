/** Streamable HTTP of the synthetic server: with sessions (answers as JSON or as events), and the stateless revision. */
import { answer, MODERN_VERSION } from './messages.mjs';
import { readBody } from './read-body.mjs';

const STREAM_HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' };

/** @param {'json' | 'events'} answersAs */
export function streamableHandler(answersAs) {
  const sessions = new Set();
  let opened = 0;

  const initialize = (request, response) => {
    opened += 1;
    const id = `m${opened}`;
    sessions.add(id);
    reply(response, answersAs, answer(request), { 'mcp-session-id': id });
  };

  const post = (sessionId, request, response) => {
    readBody(request, (message) => {
      if (message.method === 'initialize') initialize(message, response);
      else if (!sessions.has(sessionId)) response.writeHead(404).end();
      else if (message.id === undefined) response.writeHead(202, { 'content-length': 0 }).end();
      else reply(response, answersAs, answer(message));
    });
  };

  return (request, response) => {
    const sessionId = request.headers['mcp-session-id'];
    if (request.method === 'POST') post(sessionId, request, response);
    else if (request.method === 'GET') response.writeHead(200, STREAM_HEADERS).write(': open\n\n');
    else response.writeHead(sessions.delete(sessionId) ? 200 : 404, { 'content-length': 0 }).end();
  };
}

/** The revision without sessions. A request that does not name it is refused, so a proxy that loses the header is found out. */
export function statelessHandler() {
  return (request, response) => {
    readBody(request, (message) => {
      const isModern = request.headers['mcp-protocol-version'] === MODERN_VERSION;
      const isMirrored = request.headers['mcp-method'] === message?.method;
      if (request.method !== 'POST' || !isModern || !isMirrored) response.writeHead(400, { 'content-length': 0 }).end();
      else reply(response, 'json', answer(message));
    });
  };
}

function reply(response, answersAs, text, headers = {}) {
  if (answersAs === 'events') {
    response.writeHead(200, { ...STREAM_HEADERS, ...headers }).end(`event: message\ndata: ${text}\n\n`);
    return;
  }
  const bytes = Buffer.from(text);
  response
    .writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length, ...headers })
    .end(bytes);
}
