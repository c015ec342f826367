/** What clients and servers of the stateless revision do with each other beyond plain answers, through the gateway. */
import type { Client } from '@modelcontextprotocol/client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { waitFor, within } from '../helpers/wait.js';
import { connectModern, type ModernUpstream, startModernUpstream } from './modern-support.js';

const LOG_LEVEL = 'io.modelcontextprotocol/logLevel';

let upstream: ModernUpstream;
let gateway: InProcessGateway;
const clients: Client[] = [];

beforeAll(async () => {
  upstream = await startModernUpstream({ legacy: 'reject' });
  gateway = await startTestGateway({ upstreams: [{ url: upstream.url, prefix: 'modern' }] });
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  await gateway.stop();
  await upstream.close();
});

async function connect(options: Parameters<typeof connectModern>[2] = {}): Promise<Client> {
  const client = await connectModern(`${gateway.url}/modern/mcp`, 'pinned', options);
  clients.push(client);
  return client;
}

/** Answers each question with the next of `answers`. */
async function connectAnswering(...answers: string[]): Promise<{ client: Client; asked: string[] }> {
  const asked: string[] = [];
  const client = await connect({ capabilities: { elicitation: {} } });
  client.setRequestHandler('elicitation/create', ({ params }) => {
    asked.push(params.message);
    return { action: 'accept', content: { answer: answers.shift() ?? '' } };
  });
  return { client, asked };
}

describe('a call', () => {
  test('reports its progress while it runs', async () => {
    const client = await connect();
    const seen: number[] = [];
    let isDone = false;
    const beforeEnd: boolean[] = [];
    const onprogress = ({ progress }: { progress: number }) => {
      seen.push(progress);
      beforeEnd.push(!isDone);
    };
    await client.callTool({ name: 'slow', arguments: { steps: 3, delayMs: 20 } }, { onprogress });
    isDone = true;
    expect(seen).toEqual([1, 2, 3]);
    expect(beforeEnd).toEqual([true, true, true]);
  });

  test('keeps the progress of calls that run at once apart', async () => {
    const client = await connect();
    const counts = await Promise.all(
      [2, 3, 4].map(async (steps) => {
        let count = 0;
        const onprogress = () => {
          count += 1;
        };
        const result = await client.callTool({ name: 'slow', arguments: { steps, delayMs: 20 } }, { onprogress });
        return [count, JSON.stringify(result.content)];
      }),
    );
    expect(counts).toEqual([2, 3, 4].map((steps) => [steps, `[{"type":"text","text":"did ${steps} steps"}]`]));
  });

  test.each([
    [undefined, []],
    ['error', ['trouble']],
    ['info', ['news', 'trouble']],
    ['debug', ['detail', 'news', 'trouble']],
  ])('logs from the level it asked for on: %s', async (level, expected) => {
    const client = await connect();
    const logged: unknown[] = [];
    client.setNotificationHandler('notifications/message', ({ params }) => {
      logged.push(params.data);
    });
    const meta = level === undefined ? {} : { _meta: { [LOG_LEVEL]: level } };
    await client.callTool({ name: 'log', arguments: {}, ...meta });
    expect(logged).toEqual(expected);
  });

  test('is cancelled at the server when the client gives it up', async () => {
    const client = await connect();
    const before = upstream.cancelled;
    const abort = new AbortController();
    const onprogress = () => abort.abort();
    const call = client.callTool(
      { name: 'slow', arguments: { steps: 200, delayMs: 20 } },
      { onprogress, signal: abort.signal },
    );
    await expect(call).rejects.toThrow();
    await waitFor('the server to hear of it', () => upstream.cancelled === before + 1);
  });

  test('is cancelled at the server before it has said anything', async () => {
    const client = await connect();
    const before = upstream.cancelled;
    const reached = upstream.count('tools/call');
    const abort = new AbortController();
    const call = client.callTool({ name: 'slow', arguments: { steps: 200, delayMs: 20 } }, { signal: abort.signal });
    const refused = expect(call).rejects.toThrow();
    await waitFor('the call to arrive', () => upstream.count('tools/call') > reached);
    abort.abort();
    await refused;
    await waitFor('the server to hear of it', () => upstream.cancelled === before + 1);
  });
});

describe('a server that asks', () => {
  test('gets its answers, round after round, with its state', async () => {
    const { client, asked } = await connectAnswering('one', 'two');
    const result = await client.callTool({ name: 'ask_twice', arguments: {} });
    expect(asked).toEqual(['First?', 'Second?']);
    expect(result.content).toEqual([{ type: 'text', text: 'one and two' }]);
  });

  test('keeps the answers of two clients apart', async () => {
    const both = await Promise.all([connectAnswering('a', 'b'), connectAnswering('c', 'd')]);
    const results = await Promise.all(both.map(({ client }) => client.callTool({ name: 'ask_twice', arguments: {} })));
    expect(results.map(({ content }) => content)).toEqual([
      [{ type: 'text', text: 'a and b' }],
      [{ type: 'text', text: 'c and d' }],
    ]);
  });

  test('tells a client that cannot answer which capability is missing', async () => {
    const client = await connect();
    await expect(client.callTool({ name: 'ask_twice', arguments: {} })).rejects.toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { elicitation: {} } },
    });
  });
});

describe('a subscription', () => {
  test('brings what it was opened for, and nothing else', async () => {
    const client = await connect();
    const heard: string[] = [];
    client.setNotificationHandler('notifications/tools/list_changed', () => void heard.push('tools'));
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => void heard.push(params.uri));
    const filter = { toolsListChanged: true, resourceSubscriptions: ['test://readme'] };
    const subscription = await client.listen(filter);
    expect(subscription.honoredFilter).toEqual(filter);
    await client.callTool({ name: 'change', arguments: {} });
    await waitFor('both notifications', () => heard.length >= 2);
    expect(heard).toEqual(['tools', 'test://readme']);
    await subscription.close();
  });

  test('ends for itself alone', async () => {
    const client = await connect();
    const heard: string[] = [];
    client.setNotificationHandler('notifications/tools/list_changed', () => void heard.push('tools'));
    const [first, second] = await Promise.all([
      client.listen({ toolsListChanged: true }),
      client.listen({ toolsListChanged: true }),
    ]);
    await first.close();
    expect(await within('the first to close', first.closed)).toBe('local');
    await client.callTool({ name: 'change', arguments: {} });
    await waitFor('the second to be told', () => heard.length > 0);
    await second.close();
  });

  test('tells of the end that the server meant', async () => {
    const short = await startModernUpstream();
    const before = await startTestGateway({ upstreams: [{ url: short.url, prefix: 'short' }] });
    const client = await connectModern(`${before.url}/short/mcp`);
    try {
      const subscription = await client.listen({ toolsListChanged: true });
      await short.close();
      expect(await within('the subscription to end', subscription.closed)).toBe('graceful');
    } finally {
      await client.close();
      await before.stop();
    }
  });

  test('tells of a server that broke off', async () => {
    const client = await connect();
    const subscription = await client.listen({ toolsListChanged: true });
    upstream.killConnections();
    expect(await within('the subscription to end', subscription.closed)).toBe('remote');
  });

  test('ends gracefully when the gateway stops, and at once', async () => {
    const stopping = await startTestGateway({ upstreams: [{ url: upstream.url, prefix: 'modern' }] });
    const client = await connectModern(`${stopping.url}/modern/mcp`);
    try {
      const subscription = await client.listen({ toolsListChanged: true });
      const stopped = stopping.stop();
      expect(await within('the subscription to end', subscription.closed)).toBe('graceful');
      await within('the gateway to stop', stopped);
    } finally {
      await client.close();
      await stopping.stop();
    }
  });

  test('does not keep the server busy once its client is gone', async () => {
    const client = await connectModern(`${gateway.url}/modern/mcp`);
    await client.listen({ toolsListChanged: true });
    const open = upstream.openSubscriptions;
    expect(open).toBeGreaterThan(0);
    await client.close();
    await waitFor('the server to notice', () => upstream.openSubscriptions === open - 1);
  });
});
