/** The synthetic MCP server: every answer costs it as little as node:http allows. Prints `ready PORT`. */
import { createServer } from 'node:http';
import { ROUTES } from '../routes.mjs';
import { sseHandler } from './sse.mjs';
import { statelessHandler, streamableHandler } from './streamable-http.mjs';

const messagesPath = `/${ROUTES.sse.prefix}/messages`;
const sse = sseHandler(messagesPath);
const handlers = new Map([
  [ROUTES.sse.path, sse],
  [messagesPath, sse],
  [ROUTES.json.path, streamableHandler('json')],
  [ROUTES.events.path, streamableHandler('events')],
  [ROUTES.modern.path, statelessHandler()],
]);

const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, (request, response) => {
  const mark = request.url.indexOf('?');
  const handle = handlers.get(mark === -1 ? request.url : request.url.slice(0, mark));
  if (handle === undefined) response.writeHead(404, { 'content-length': 0 }).end();
  else handle(request, response);
});
server.listen(0, '127.0.0.1', 4096, () => process.stdout.write(`ready ${server.address().port}\n`));
