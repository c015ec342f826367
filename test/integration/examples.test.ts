/** The example servers do what their names say, over both of their transports. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { ElicitRequestSchema, ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rawRequest } from '../helpers/raw-http.js';
import { startExample } from '../helpers/child.js';
import { waitFor } from '../helpers/wait.js';

type Example = Awaited<ReturnType<typeof startExample>>;

const OPEN = [
  ['HTTP+SSE', (example: Example) => new SSEClientTransport(new URL(example.sseUrl))],
  ['Streamable HTTP', (example: Example) => new StreamableHTTPClientTransport(new URL(example.mcpUrl))],
] as const;

async function call(client: Client, name: string, args: Record<string, unknown> = {}): Promise<unknown> {
  const { content, isError } = (await client.callTool({ name, arguments: args })) as CallToolResult;
  const [first] = content;
  const text = first?.type === 'text' ? first.text : '';
  if (isError === true) throw new Error(text);
  return JSON.parse(text);
}

describe.each(OPEN)('sms over %s', (_name, open) => {
  let sms: Example;
  const client = new Client({ name: 'test', version: '1' });
  beforeAll(async () => {
    sms = await startExample('sms');
    await client.connect(open(sms));
  });
  afterAll(async () => {
    await client.close();
    expect(await sms.stop()).toBe(0);
  });

  test('lists the eight tools', async () => {
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name).toSorted()).toEqual([
      'get_sms_1_bulks',
      'get_sms_1_bulks_status',
      'get_sms_3_logs',
      'get_sms_3_reports',
      'post_sms_1_preview',
      'post_sms_3_messages',
      'put_sms_1_bulks',
      'put_sms_1_bulks_status',
    ]);
  });

  test('a sent message is in the logs and the reports', async () => {
    const sent = await call(client, 'post_sms_3_messages', { to: '+447700900001', text: 'hello', from: 'Tests' });
    const { bulkId } = sent as { bulkId: string };
    expect(sent).toMatchObject({ messages: [{ to: '+447700900001', status: 'DELIVERED' }] });
    expect(await call(client, 'get_sms_3_logs', { to: '+447700900001' })).toMatchObject({
      results: [{ bulkId, text: 'hello', from: 'Tests' }],
    });
    expect(await call(client, 'get_sms_3_reports', { bulkId })).toMatchObject({ results: [{ status: 'DELIVERED' }] });
  });

  test('a scheduled message can be rescheduled and cancelled, once', async () => {
    const message = { to: '+447700900002', text: 'later', sendAt: '2099-01-01T00:00:00Z' };
    const { bulkId } = (await call(client, 'post_sms_3_messages', message)) as { bulkId: string };
    expect(await call(client, 'get_sms_1_bulks_status', { bulkId })).toEqual({ bulkId, status: 'PENDING' });
    const sendAt = '2098-01-01T00:00:00Z';
    expect(await call(client, 'put_sms_1_bulks', { bulkId, sendAt })).toEqual({ bulkId, sendAt });
    expect(await call(client, 'get_sms_1_bulks', { bulkId })).toEqual({ bulkId, sendAt });
    await call(client, 'put_sms_1_bulks_status', { bulkId, status: 'CANCELED' });
    await expect(call(client, 'put_sms_1_bulks', { bulkId, sendAt })).rejects.toThrow('already CANCELED');
    expect(await call(client, 'get_sms_3_reports', { bulkId })).toMatchObject({ results: [{ status: 'REJECTED' }] });
  });

  test('a preview counts messages by alphabet', async () => {
    expect(await call(client, 'post_sms_1_preview', { text: 'a'.repeat(160) })).toMatchObject({ messageCount: 1 });
    expect(await call(client, 'post_sms_1_preview', { text: 'a'.repeat(161) })).toMatchObject({ messageCount: 2 });
    expect(await call(client, 'post_sms_1_preview', { text: 'ж'.repeat(71) })).toMatchObject({
      messageCount: 2,
      encoding: 'UCS2',
    });
  });

  test('refuses a foreign host name', async () => {
    const { port, pathname } = new URL(sms.sseUrl);
    const response = await rawRequest(Number(port), `GET ${pathname} HTTP/1.1\r\nHost: evil.example\r\n\r\n`);
    expect(response.status).toBe(403);
  });
});

describe.each(OPEN)('company over %s', (_name, open) => {
  let company: Example;
  const client = new Client({ name: 'test', version: '1' }, { capabilities: { elicitation: {} } });
  beforeAll(async () => {
    company = await startExample('company');
    await client.connect(open(company));
  });
  afterAll(async () => {
    await client.close();
    expect(await company.stop()).toBe(0);
  });

  test('tells subscribers about a new ticket', async () => {
    const updated: string[] = [];
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void updated.push(params.uri));
    await client.subscribeResource({ uri: 'company://tickets' });
    const ticket = (await call(client, 'create_ticket', { title: 'Broken chair' })) as { id: string };
    await waitFor('the update', () => updated.includes('company://tickets'));
    const { contents } = await client.readResource({ uri: 'company://tickets' });
    expect(JSON.stringify(contents)).toContain(ticket.id);
  });

  test('asks before it books a large expense', async () => {
    let asked = 0;
    client.setRequestHandler(ElicitRequestSchema, () => {
      asked += 1;
      return { action: 'accept', content: { confirm: asked > 1 } };
    });
    const expense = { amount: 900, purpose: 'a chair' };
    expect(await call(client, 'submit_expense', expense)).toMatchObject({ booked: false });
    expect(await call(client, 'submit_expense', expense)).toMatchObject({ booked: true });
    expect(await call(client, 'submit_expense', { amount: 5, purpose: 'tea' })).toMatchObject({ booked: true });
    expect(asked).toBe(2);
  });

  test('reports progress', async () => {
    const progress: number[] = [];
    await client.callTool({ name: 'generate_report', arguments: { steps: 3, stepMs: 20 } }, undefined, {
      onprogress: (event) => void progress.push(event.progress),
    });
    expect(progress).toEqual([1, 2, 3]);
  });

  test('has resources, a template and prompts', async () => {
    expect((await client.listResources()).resources.map(({ uri }) => uri)).toContain('company://handbook');
    expect((await client.listResourceTemplates()).resourceTemplates).toHaveLength(1);
    expect(JSON.stringify(await client.readResource({ uri: 'company://employees/e2' }))).toContain('Grace Hopper');
    expect((await client.listPrompts()).prompts.map(({ name }) => name)).toEqual(['onboarding_plan', 'triage']);
  });
});
