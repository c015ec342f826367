/** A company's internal server: tools, resources with subscriptions, prompts. Served at http://127.0.0.1:9102/v1/sse. */
import { completable } from '@modelcontextprotocol/sdk/server/completable.js';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SubscribeRequestSchema, UnsubscribeRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { host } from '../host.mjs';
import { employees, handbook, tickets } from './data.mjs';
import { addTools } from './tools.mjs';

const TICKETS_URI = 'company://tickets';

function createServer(ended) {
  const server = new McpServer(
    { name: 'company', version: '1.0.0' },
    { capabilities: { logging: {}, resources: { subscribe: true } } },
  );
  addTools(server);
  addResources(server, ended);
  addPrompts(server);
  return server;
}

function addResources(server, ended) {
  server.registerResource('handbook', 'company://handbook', { mimeType: 'text/markdown' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'text/markdown', text: handbook }],
  }));
  server.registerResource('tickets', TICKETS_URI, { mimeType: 'application/json' }, (uri) => json(uri, tickets.all()));
  const template = new ResourceTemplate('company://employees/{id}', {
    list: () => ({ resources: employees.map(({ id, name }) => ({ uri: `company://employees/${id}`, name })) }),
    complete: { id: (start) => employees.map(({ id }) => id).filter((id) => id.startsWith(start)) },
  });
  server.registerResource('employee', template, { mimeType: 'application/json' }, (uri, { id }) => {
    const employee = employees.find((each) => each.id === id);
    if (employee === undefined) throw new Error(`unknown employee ${id}`);
    return json(uri, employee);
  });
  addSubscriptions(server, ended);
}

/** Tells the session when a resource it subscribed to has changed; only tickets ever do. */
function addSubscriptions(server, ended) {
  const subscribed = new Set();
  const onChange = () => {
    if (subscribed.has(TICKETS_URI)) server.server.sendResourceUpdated({ uri: TICKETS_URI }).catch(console.error);
  };
  server.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    subscribed.add(params.uri);
    return {};
  });
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    subscribed.delete(params.uri);
    return {};
  });
  tickets.on('changed', onChange);
  ended.addEventListener('abort', () => tickets.off('changed', onChange));
}

function addPrompts(server) {
  const team = completable(z.string(), (start) =>
    [...new Set(employees.map((employee) => employee.team))].filter((name) => name.startsWith(start)),
  );
  server.registerPrompt(
    'onboarding_plan',
    { description: 'A plan for the first week of a new colleague', argsSchema: { name: z.string(), team } },
    (args) => ask(`Write a plan for the first week of ${args.name} in the team ${args.team}.`),
  );
  server.registerPrompt('triage', { description: 'Orders the open tickets by urgency' }, () =>
    ask(`Order these tickets by urgency and say why:\n${JSON.stringify(tickets.all(), null, 2)}`),
  );
}

function ask(text) {
  return { messages: [{ role: 'user', content: { type: 'text', text } }] };
}

function json(uri, value) {
  return { contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify(value, null, 2) }] };
}

host({ basePath: '/v1', port: 9102, createServer });
