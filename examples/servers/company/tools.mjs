/** The tools of the company server: plain ones, slow ones, and ones that ask the client something back. */
import { setTimeout as delay } from 'node:timers/promises';
import { CreateMessageResultSchema, ElicitResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { employees, tickets } from './data.mjs';

export function addTools(server) {
  addLookups(server);
  addTickets(server);
  addReport(server);
  addExpenseApproval(server);
}

function addLookups(server) {
  server.registerTool(
    'find_employee',
    {
      description: 'Finds employees by a part of their name or team',
      inputSchema: { query: z.string().min(1) },
      annotations: { readOnlyHint: true },
    },
    ({ query }) => {
      const wanted = query.toLowerCase();
      return answer(employees.filter(({ name, team }) => `${name} ${team}`.toLowerCase().includes(wanted)));
    },
  );
}

function addTickets(server) {
  server.registerTool(
    'create_ticket',
    {
      description: 'Opens a ticket; subscribers of company://tickets are told',
      inputSchema: {
        title: z.string().min(1).max(200),
        description: z.string().default(''),
        priority: z.enum(['low', 'normal', 'high']).default('normal'),
      },
    },
    (ticket) => answer(tickets.add(ticket)),
  );
  server.registerTool(
    'summarize_ticket',
    { description: "Has the client's model summarize a ticket (sampling)", inputSchema: { id: z.string() } },
    async ({ id }, { sendRequest }) => {
      const ticket = tickets.find(id);
      if (ticket === undefined) throw new Error(`unknown ticket ${id}`);
      const text = `Summarize in one sentence:\n${ticket.title}\n${ticket.description}`;
      const params = { messages: [{ role: 'user', content: { type: 'text', text } }], maxTokens: 200 };
      const { content } = await sendRequest({ method: 'sampling/createMessage', params }, CreateMessageResultSchema);
      return answer(content);
    },
  );
}

function addReport(server) {
  server.registerTool(
    'generate_report',
    {
      description: 'Takes its time, reports progress, and logs what it does',
      inputSchema: {
        steps: z.number().int().min(1).max(100).default(5),
        stepMs: z.number().min(0).max(10_000).default(500),
      },
      annotations: { readOnlyHint: true },
    },
    async ({ steps, stepMs }, { _meta, sendNotification, signal }) => {
      for (let step = 1; step <= steps; step += 1) {
        await log(sendNotification, 'info', `step ${step} of ${steps}`);
        if (_meta?.progressToken !== undefined) {
          const params = { progressToken: _meta.progressToken, progress: step, total: steps };
          await sendNotification({ method: 'notifications/progress', params });
        }
        await delay(stepMs, undefined, { signal });
      }
      return answer({ employees: employees.length, tickets: tickets.all().length });
    },
  );
}

function addExpenseApproval(server) {
  server.registerTool(
    'submit_expense',
    {
      description: 'Books an expense; asks the person at the client to confirm large ones (elicitation)',
      inputSchema: { amount: z.number().positive(), purpose: z.string().min(1) },
    },
    async ({ amount, purpose }, { sendRequest, sendNotification }) => {
      if (amount > 500) {
        const requestedSchema = { type: 'object', properties: { confirm: { type: 'boolean' } }, required: ['confirm'] };
        const params = { message: `Really spend ${amount} EUR on ${purpose}?`, requestedSchema };
        const { action, content } = await sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema);
        if (action !== 'accept' || content?.confirm !== true) return answer({ booked: false, reason: 'not confirmed' });
      }
      await log(sendNotification, 'notice', `booked ${amount} EUR`);
      return answer({ booked: true, amount, purpose });
    },
  );
}

function log(sendNotification, level, data) {
  return sendNotification({ method: 'notifications/message', params: { level, logger: 'company', data } });
}

function answer(value) {
  return { content: [{ type: 'text', text: JSON.stringify(value, null, 2) }] };
}
