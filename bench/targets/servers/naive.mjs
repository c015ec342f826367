/**
 * The proxy that is written first: an SDK server and an SDK client per session, under Koa.
 * Arguments: the upstream's port. Prints `ready PORT`.
 */
import { randomUUID } from 'node:crypto';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest, ResultSchema } from '@modelcontextprotocol/sdk/types.js';
import Koa from 'koa';
import { ROUTES } from '../../routes.mjs';

const upstream = `http://127.0.0.1:${process.argv[2]}`;
const INFO = { name: 'naive', version: '1.0.0' };
const sessions = new Map();

async function connect(downstream, upstreamTransport) {
  const client = new Client(INFO, { capabilities: {} });
  await client.connect(upstreamTransport);
  const server = new Server(INFO, { capabilities: client.getServerCapabilities() ?? {} });
  server.fallbackRequestHandler = (request, extra) => {
    const token = request.params?._meta?.progressToken;
    const onprogress = (progress) => {
      void extra.sendNotification({ method: 'notifications/progress', params: { ...progress, progressToken: token } });
    };
    return client.request(request, ResultSchema, token === undefined ? {} : { onprogress });
  };
  client.fallbackNotificationHandler = (notification) => server.notification(notification);
  server.onclose = () => void client.close();
  await server.connect(downstream);
}

async function openSse(ctx) {
  const transport = new SSEServerTransport(`/${ROUTES.sse.prefix}/messages`, ctx.res);
  sessions.set(transport.sessionId, transport);
  ctx.res.on('close', () => sessions.delete(transport.sessionId));
  await connect(transport, new SSEClientTransport(new URL(upstream + ROUTES.sse.path)));
}

async function postSse(ctx) {
  const transport = sessions.get(ctx.query.sessionId);
  if (transport === undefined) ctx.res.writeHead(404).end();
  else await transport.handlePostMessage(ctx.req, ctx.res);
}

async function streamable(ctx) {
  const known = sessions.get(ctx.get('mcp-session-id'));
  if (known !== undefined) {
    await known.handleRequest(ctx.req, ctx.res);
    return;
  }
  const body = ctx.method === 'POST' ? await readJson(ctx.req) : undefined;
  if (!isInitializeRequest(body)) {
    ctx.res.writeHead(404).end();
    return;
  }
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    enableJsonResponse: ctx.path === ROUTES.json.path,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await connect(transport, new StreamableHTTPClientTransport(new URL(upstream + ctx.path)));
  await transport.handleRequest(ctx.req, ctx.res, body);
}

async function readJson(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

const routes = new Map([
  [ROUTES.sse.path, openSse],
  [`/${ROUTES.sse.prefix}/messages`, postSse],
  [ROUTES.json.path, streamable],
  [ROUTES.events.path, streamable],
]);

const app = new Koa();
app.use(async (ctx, next) => {
  const route = routes.get(ctx.path);
  if (route === undefined) {
    await next();
    return;
  }
  ctx.respond = false;
  await route(ctx);
});
app.on('error', () => {});
// A notification to a session that has just been closed rejects somewhere inside the SDK; such a proxy lives with that.
process.on('unhandledRejection', () => {});
const server = app.listen(0, '127.0.0.1', 4096, () => process.stdout.write(`ready ${server.address().port}\n`));
