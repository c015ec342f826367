/** An SMS provider with the tool names of a real one. Served at http://127.0.0.1:9101/sms/sse. */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { z } from 'zod';
import { host } from '../host.mjs';
import { preview } from './preview.mjs';
import { MessageStore } from './store.mjs';

const phone = z
  .string()
  .regex(/^\+?[1-9]\d{4,14}$/, 'a phone number in international format')
  .describe('Phone number in international format');
const bulkId = z.string().describe('What post_sms_3_messages returned as bulkId');
const time = z.iso.datetime({ offset: true }).describe('RFC 3339, e.g. 2027-01-31T09:00:00Z');
const limit = z.number().int().min(1).max(1000).default(50).describe('How many to return at most');
const filter = { bulkId: bulkId.optional(), messageId: z.string().optional(), limit };

const readOnly = { readOnlyHint: true };
const idempotent = { idempotentHint: true, destructiveHint: true };

/** Shared by all sessions: what one caller sends, another sees in the logs. */
const store = new MessageStore();

function createServer() {
  const server = new McpServer({ name: 'sms', version: '1.0.0' });
  const tool = (name, description, inputSchema, annotations, run) =>
    server.registerTool(name, { description, inputSchema, annotations }, (args) => answer(run(args)));

  tool('get_sms_1_bulks', 'When a scheduled bulk will be sent', { bulkId }, readOnly, (args) =>
    known(args.bulkId, store.bulk(args.bulkId)),
  );
  tool('put_sms_1_bulks', 'Reschedules a bulk', { bulkId, sendAt: time }, idempotent, (args) =>
    known(args.bulkId, store.reschedule(args.bulkId, args.sendAt)),
  );
  tool('get_sms_1_bulks_status', 'Status of a scheduled bulk', { bulkId }, readOnly, (args) =>
    known(args.bulkId, store.bulkStatus(args.bulkId)),
  );
  const status = z.enum(['PENDING', 'PAUSED', 'CANCELED']);
  tool('put_sms_1_bulks_status', 'Pauses, resumes or cancels a bulk', { bulkId, status }, idempotent, (args) =>
    known(args.bulkId, store.setStatus(args.bulkId, args.status)),
  );
  tool('get_sms_3_reports', 'Delivery reports, newest first', filter, readOnly, (args) => ({
    results: store.reports(args),
  }));
  const logFilter = { ...filter, from: z.string().optional(), to: phone.optional() };
  tool('get_sms_3_logs', 'Sent and scheduled messages, newest first', logFilter, readOnly, (args) => ({
    results: store.logs(args),
  }));
  const message = {
    to: phone,
    text: z.string().min(1).max(1600),
    from: z.string().min(1).max(15).default('Example').describe('Sender: a name or a phone number'),
    sendAt: time.optional(),
  };
  tool('post_sms_3_messages', 'Sends a text message', message, { openWorldHint: true }, (args) => store.send(args));
  tool('post_sms_1_preview', 'How a text would be split into messages', { text: z.string().min(1) }, readOnly, (args) =>
    preview(args.text),
  );
  return server;
}

function known(id, found) {
  if (found === undefined) throw new Error(`unknown bulk ${id}`);
  return found;
}

function answer(value) {
  return { content: [{ type: 'text', text: JSON.stringify(value, null, 2) }] };
}

host({ basePath: '/sms', port: 9101, createServer });
