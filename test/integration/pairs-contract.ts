/** One contract, kept by every pair of a client's transport and an upstream's, whether that is configured or found out. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  type JSONRPCMessage,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { type ConfigText, startTestGateway, type TestGateway } from '../helpers/start-gateway.js';
import { waitFor } from '../helpers/wait.js';
import { type ClientKind, PATIENCE_MS, sdkTransport, textOf } from './sessions-support.js';

interface Kind {
  readonly name: keyof SdkUpstream['urls'];
  readonly transport: 'sse' | 'streamable-http';
  /** Can say something besides the answer while a call is under way. */
  readonly relates: boolean;
  /** Has sessions, and so a stream for what it says unasked. */
  readonly hasSessions: boolean;
}

const UPSTREAM_KINDS: readonly Kind[] = [
  { name: 'sse', transport: 'sse', relates: true, hasSessions: true },
  { name: 'streamable', transport: 'streamable-http', relates: true, hasSessions: true },
  { name: 'streamableJson', transport: 'streamable-http', relates: false, hasSessions: true },
  { name: 'stateless', transport: 'streamable-http', relates: false, hasSessions: false },
];

interface Pair {
  readonly upstream: Kind;
  readonly prefix: string;
  readonly mode: 'auto' | 'explicit';
  readonly title: string;
}

const PAIRS: readonly Pair[] = UPSTREAM_KINDS.flatMap((upstream) =>
  (['auto', 'explicit'] as const).map((mode) => ({
    upstream,
    prefix: prefixOf(upstream, mode),
    mode,
    title: `${upstream.name} upstream, ${mode}`,
  })),
);

function prefixOf(upstream: Kind, mode: 'auto' | 'explicit'): string {
  return `${upstream.name.toLowerCase()}-${mode}`;
}

/** A client that can be asked everything, and remembers what it was told. */
class FullClient extends Client {
  readonly logged: unknown[] = [];
  readonly updated: string[] = [];
  /** As they came off the wire: the SDK drops progress that is read together with the answer. */
  readonly received: JSONRPCMessage[] = [];
  toolListChanges = 0;

  constructor() {
    super(
      { name: 'full', version: '1' },
      { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } },
    );
    this.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
      const [message] = params.messages;
      const asked = Array.isArray(message?.content) ? message.content[0] : message?.content;
      const text = asked?.type === 'text' ? asked.text : '';
      return { model: 'none', role: 'assistant', content: { type: 'text', text: `sampled ${text}` } };
    });
    this.setRequestHandler(ElicitRequestSchema, ({ params }) => ({
      action: 'accept',
      content: { name: `elicited ${params.message}` },
    }));
    this.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///root', name: 'root' }] }));
    this.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void this.logged.push(params.data));
    this.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void this.updated.push(params.uri));
    this.setNotificationHandler(ToolListChangedNotificationSchema, () => {
      this.toolListChanges += 1;
    });
  }

  override async connect(transport: Transport): Promise<void> {
    await super.connect(transport);
    const { onmessage } = transport;
    transport.onmessage = (message, extra) => {
      this.received.push(message);
      onmessage?.(message, extra);
    };
  }

  /** Calls a tool with a progress token. @returns the progress that came before the answer, in order */
  async progressOf(steps: number): Promise<unknown[]> {
    const params = { name: 'slow', arguments: { steps, delayMs: 2 } };
    this.received.length = 0;
    const result = await this.callTool(params, undefined, { onprogress: () => {} });
    expect(textOf(result)).toBe(`did ${steps} steps`);
    const answerAt = this.received.findIndex((message) => 'result' in message);
    return this.received
      .slice(0, answerAt)
      .map((message) => ('params' in message ? message.params?.['progress'] : message));
  }

  async tool(name: string, args: Record<string, unknown> = {}): Promise<string> {
    return textOf(await this.callTool({ name, arguments: args }));
  }
}

/** What the tests of one pair share. */
interface Subject {
  readonly title: string;
  readonly upstream: SdkUpstream;
  readonly client: FullClient;
  /** The server's end of the client's session; undefined for a stateless one. */
  readonly server: McpServer | undefined;
  /** Another client of the same pair. */
  readonly connect: () => Promise<FullClient>;
}

/** What clients reach: one gateway, or several that look like one. */
export type StartGateway = (config: Exclude<ConfigText, string>) => Promise<Pick<TestGateway, 'url' | 'stop'>>;

/** Declares the tests of all pairs with this kind of client. */
export function describePairs(kind: ClientKind, start: StartGateway = startTestGateway): void {
  let upstream: SdkUpstream;
  let gateway: Awaited<ReturnType<StartGateway>>;

  beforeAll(async () => {
    upstream = await startSdkUpstream();
    const upstreams = UPSTREAM_KINDS.flatMap((each) => {
      const url = upstream.urls[each.name];
      return [
        { url, prefix: prefixOf(each, 'auto') },
        { url, prefix: prefixOf(each, 'explicit'), transport: each.transport, inFlight: 1000 },
      ];
    });
    gateway = await start({ upstreams });
  });

  afterAll(async () => {
    await gateway.stop();
    await upstream.close();
  });

  const connect = async (pair: Pair): Promise<FullClient> => {
    const client = new FullClient();
    await client.connect(sdkTransport(kind, gateway.url, pair.prefix));
    return client;
  };

  describe.each(PAIRS)('$title', (pair) => {
    let subject: Subject;

    beforeAll(async () => {
      const client = await connect(pair);
      const server = pair.upstream.hasSessions ? [...upstream.servers].at(-1) : undefined;
      subject = { title: `${kind} client, ${pair.title}`, upstream, client, server, connect: () => connect(pair) };
    });

    afterAll(async () => {
      await subject.client.close();
    });

    testAsking(() => subject);
    if (pair.upstream.relates) testTalkingBack(() => subject);
    if (pair.upstream.hasSessions) testSession(() => subject);
    // Once open, a session does not know how its transport was found out.
    if (pair.mode === 'explicit') testLoad(() => subject);
  });
}

function testAsking(subject: () => Subject): void {
  test('initializes with what the server says of itself', () => {
    const { client } = subject();
    expect(client.getServerVersion()).toMatchObject({ name: 'fixture', version: '1.0.0' });
    expect(client.getServerCapabilities()).toMatchObject({ tools: { listChanged: true }, logging: {} });
  });

  test('lists tools and calls them', async () => {
    const { client } = subject();
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(['echo', 'add', 'slow', 'sample']));
    expect(await client.callTool({ name: 'add', arguments: { a: 2, b: 3 } })).toMatchObject({
      structuredContent: { sum: 5 },
    });
  });

  test('passes errors on: of a tool and of the protocol', async () => {
    const { client } = subject();
    const failed = await client.callTool({ name: 'fail', arguments: { message: 'broken' } });
    expect(failed).toMatchObject({ isError: true, content: [{ type: 'text', text: 'broken' }] });
    await expect(client.readResource({ uri: 'test://nowhere' })).rejects.toMatchObject({ code: -32_602 });
  });

  test('carries any text', async () => {
    const { client } = subject();
    const message =
      'line\u2028para\u2029 \u{1f680}\u{10ffff} CRLF\r\nLF\n tab\t nul\u0000 "\\" data: x\n\nevent: y \ufeff é';
    expect(await client.tool('echo', { message })).toBe(message);
  });

  test('concurrent calls of one client each get their own answer', async () => {
    const { client } = subject();
    const messages = Array.from({ length: 20 }, (_, index) => `message ${index}`);
    expect(await Promise.all(messages.map((message) => client.tool('echo', { message })))).toEqual(messages);
  });

  test('reads resources and templates', async () => {
    const { client } = subject();
    const { resources } = await client.listResources();
    expect(resources.map(({ uri }) => uri).toSorted()).toEqual(['test://counter', 'test://readme']);
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates).toMatchObject([{ uriTemplate: 'test://items/{id}' }]);
    const { contents } = await client.readResource({ uri: 'test://items/apple' });
    expect(contents).toMatchObject([{ uri: 'test://items/apple', text: 'item apple' }]);
  });

  test('gets prompts and completions', async () => {
    const { client } = subject();
    const { prompts } = await client.listPrompts();
    expect(prompts).toMatchObject([{ name: 'greet' }]);
    const { messages } = await client.getPrompt({ name: 'greet', arguments: { language: 'Esperanto' } });
    expect(messages).toMatchObject([{ content: { text: 'Say hello in Esperanto.' } }]);
    const ref = { type: 'ref/prompt' as const, name: 'greet' };
    const { completion } = await client.complete({ ref, argument: { name: 'language', value: 'E' } });
    expect(completion.values).toEqual(['English', 'Esperanto']);
  });

  test('pings the server', async () => {
    const { client } = subject();
    expect(await client.ping()).toEqual({});
  });
}

function testTalkingBack(subject: () => Subject): void {
  test('brings all progress, in order, before the answer', async () => {
    const { client } = subject();
    expect(await client.progressOf(20)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  test('keeps the progress of concurrent calls apart', async () => {
    const { client } = subject();
    client.received.length = 0;
    const params = (steps: number) => ({ name: 'slow', arguments: { steps, delayMs: 5 } });
    const onprogress = () => {};
    await Promise.all([3, 5, 7, 9].map((steps) => client.callTool(params(steps), undefined, { onprogress })));
    const reported = client.received.flatMap((message) => ('method' in message ? [message.params ?? {}] : []));
    const totals = new Map<unknown, unknown[]>();
    for (const { progressToken, total } of reported)
      totals.set(progressToken, [...(totals.get(progressToken) ?? []), total]);
    expect([...totals.values()].toSorted((a, b) => a.length - b.length)).toEqual(
      [3, 5, 7, 9].map((steps) => Array.from({ length: steps }, () => steps)),
    );
  });

  test('brings what is logged during a call', async () => {
    const { client } = subject();
    client.logged.length = 0;
    await client.tool('log', { message: 'entry', count: 10 });
    await waitFor('ten log messages', () => client.logged.length === 10, PATIENCE_MS);
    expect(client.logged).toEqual(Array.from({ length: 10 }, (_, index) => `entry ${index}`));
  });

  test('lets the server ask the client: sampling, elicitation, roots', async () => {
    const { client } = subject();
    expect(await client.tool('sample', { prompt: 'this' })).toContain('sampled this');
    expect(await client.tool('elicit', { message: 'who?' })).toContain('elicited who?');
    expect(await client.tool('list_roots')).toContain('file:///root');
  });

  test('lets concurrent calls ask the client, each for itself', async () => {
    const { client } = subject();
    const prompts = Array.from({ length: 10 }, (_, index) => `prompt ${index}.`);
    const answers = await Promise.all(prompts.map((prompt) => client.tool('sample', { prompt })));
    for (const [index, answer] of answers.entries()) expect(answer).toContain(`sampled prompt ${index}.`);
  });
}

function testSession(subject: () => Subject): void {
  test('a cancelled call is cancelled upstream', async () => {
    const { client, upstream, title } = subject();
    const before = upstream.state.cancelled;
    const abort = new AbortController();
    const nonce = `${title} cancel`;
    const params = { name: 'slow', arguments: { steps: 1, delayMs: 60_000, nonce } };
    const call = client.callTool(params, undefined, { signal: abort.signal });
    await waitFor('the call to start', () => upstream.state.executions.get(nonce), PATIENCE_MS);
    abort.abort('not wanted any more');
    await expect(call).rejects.toThrow();
    await waitFor('the cancellation upstream', () => upstream.state.cancelled === before + 1, PATIENCE_MS);
  });

  test('brings updates of a resource to its subscriber', async () => {
    const { client } = subject();
    client.updated.length = 0;
    await client.subscribeResource({ uri: 'test://counter' });
    await client.tool('count');
    await waitFor('the update', () => client.updated.length > 0, PATIENCE_MS);
    expect(client.updated).toEqual(['test://counter']);
    await client.unsubscribeResource({ uri: 'test://counter' });
    await client.tool('count');
    await client.ping();
    expect(client.updated).toEqual(['test://counter']);
  });

  test('tells when the list of tools changes', async () => {
    const { client } = subject();
    const { tools } = await client.listTools();
    await client.tool('change_tools');
    await waitFor('list_changed', () => client.toolListChanges > 0, PATIENCE_MS);
    expect((await client.listTools()).tools.length).toBe(tools.length + 1);
  });

  test('lets the server ping the client while nothing is under way', async () => {
    const { server } = subject();
    expect(await server?.server.ping()).toEqual({});
  });
}

function testLoad(subject: () => Subject): void {
  test('carries big results whole', async () => {
    const { client } = subject();
    for (const bytes of [2 ** 20, 5 * 2 ** 20]) {
      const text = await client.tool('big', { bytes });
      expect(text.length).toBe(bytes);
    }
  });

  test('clients in parallel get what is theirs and nothing else', { timeout: 60_000 }, async () => {
    const { upstream, title, connect } = subject();
    const clients = await Promise.all(Array.from({ length: 20 }, connect));
    try {
      const answers = clients.map(async (each, index) => {
        const nonces = Array.from({ length: 3 }, (_, call) => `${title} ${index} ${call}`);
        const echoed = await Promise.all(nonces.map((nonce) => each.tool('echo', { message: nonce, nonce })));
        expect(echoed).toEqual(nonces);
        return nonces;
      });
      const nonces = (await Promise.all(answers)).flat();
      expect(nonces.map((nonce) => upstream.state.executions.get(nonce))).toEqual(nonces.map(() => 1));
    } finally {
      await Promise.all(clients.map((each) => each.close()));
    }
  });
}
