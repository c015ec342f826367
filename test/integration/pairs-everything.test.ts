/** The reference server of the protocol's authors, which speaks HTTP+SSE, behind both kinds of endpoint. */
import { createServer } from 'node:net';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Child, printed, startNode } from '../helpers/child.js';
import { listenOnLoopback } from '../helpers/loopback.js';
import { startTestGateway, type TestGateway } from '../helpers/start-gateway.js';
import { CLIENT_KINDS, sdkTransport, textOf } from './sessions-support.js';

let everything: Child;
let gateway: TestGateway;

beforeAll(async () => {
  const port = await freePort();
  const program = 'node_modules/@modelcontextprotocol/server-everything/dist/index.js';
  everything = startNode([program, 'sse'], { env: { PORT: String(port) } });
  await printed(everything, /(running on port|listening)/i);
  gateway = await startTestGateway({ upstreams: [{ url: `http://127.0.0.1:${port}/sse`, prefix: 'everything' }] });
});

afterAll(async () => {
  await gateway.stop();
  await everything.stop('SIGKILL');
});

async function freePort(): Promise<number> {
  const probe = await listenOnLoopback(createServer());
  await probe.close();
  return probe.port;
}

describe.each(CLIENT_KINDS)('%s client', (kind) => {
  const client = new Client({ name: 'test', version: '1' }, { capabilities: { sampling: {} } });

  beforeAll(async () => {
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      model: 'none',
      role: 'assistant',
      content: { type: 'text', text: 'a sampled answer' },
    }));
    await client.connect(sdkTransport(kind, gateway.url, 'everything'));
  });

  afterAll(async () => {
    await client.close();
  });

  test('sees its tools, prompts and resources', async () => {
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(['echo', 'get-sum', 'get-tiny-image']));
    expect(tools.length).toBeGreaterThanOrEqual(13);
    expect((await client.listPrompts()).prompts.length).toBe(4);
    expect((await client.listResources()).resources.length).toBe(7);
  });

  test('calls them', async () => {
    expect(textOf(await client.callTool({ name: 'echo', arguments: { message: 'hello' } }))).toBe('Echo: hello');
    expect(textOf(await client.callTool({ name: 'get-sum', arguments: { a: 2, b: 3 } }))).toContain('5');
    const image = await client.callTool({ name: 'get-tiny-image' });
    expect(image).toMatchObject({ content: expect.arrayContaining([expect.objectContaining({ type: 'image' })]) });
  });

  test('follows a long operation', async () => {
    const progress: number[] = [];
    const params = { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 4 } };
    const onprogress = (each: { progress: number }) => void progress.push(each.progress);
    const result = await client.callTool(params, undefined, { onprogress });
    expect(textOf(result)).toContain('Long running operation completed');
    // The SDK drops the last one when it is read together with the answer.
    expect(progress.slice(0, 3)).toEqual([1, 2, 3]);
  });

  test('is asked for a completion', async () => {
    const result = await client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'this' } });
    expect(textOf(result)).toContain('a sampled answer');
  });
});
