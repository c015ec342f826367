/** Every kind of client before every kind of upstream: which era they end up in, and that everything works in it, or why it does not. */
import { SdkErrorCode, SSEClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as OlderSse } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport as OlderStreamable } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport as OlderTransport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSdkUpstream, type SdkUpstream } from '../helpers/sdk-upstream.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import {
  connectModern,
  envelopedRequest,
  mirrorsOf,
  MODERN,
  modernClient,
  type ModernUpstream,
  postJson,
  startModernUpstream,
} from './modern-support.js';

const OLD = '2025-11-25';

/** What the test asks of clients of either generation. */
interface AnyClient {
  listTools(): Promise<{ tools: { name: string }[] }>;
  callTool(params: { name: string; arguments: Record<string, unknown> }): Promise<object>;
  readResource(params: { uri: string }): Promise<object>;
  getPrompt(params: { name: string; arguments: Record<string, string> }): Promise<object>;
  complete(params: {
    ref: { type: 'ref/prompt'; name: string };
    argument: { name: string; value: string };
  }): Promise<object>;
  close(): Promise<void>;
}

interface Connected {
  readonly client: AnyClient;
  readonly version: string | undefined;
}

type Connect = (gatewayUrl: string, route: string) => Promise<Connected>;

async function connectOlder(transport: OlderTransport): Promise<Connected> {
  const client = new OlderClient({ name: 'test', version: '1.0.0' });
  let version: string | undefined;
  const remember = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (negotiated) => {
    version = negotiated;
    remember?.(negotiated);
  };
  await client.connect(transport);
  return { client: client as unknown as AnyClient, version };
}

const CLIENTS: Readonly<Record<string, Connect>> = {
  'SDK v2, auto': async (gateway, route) => newer(await connectModern(`${gateway}/${route}/mcp`, 'auto')),
  'SDK v2, legacy': async (gateway, route) => newer(await connectModern(`${gateway}/${route}/mcp`, 'legacy')),
  'SDK v2, pinned': async (gateway, route) => newer(await connectModern(`${gateway}/${route}/mcp`, 'pinned')),
  'SDK v2, legacy over SSE': async (gateway, route) => {
    const client = modernClient('legacy');
    await client.connect(new SSEClientTransport(new URL(`${gateway}/${route}/sse`)));
    return newer(client);
  },
  'SDK v1': (gateway, route) => connectOlder(new OlderStreamable(new URL(`${gateway}/${route}/mcp`))),
  'SDK v1 over SSE': (gateway, route) => connectOlder(new OlderSse(new URL(`${gateway}/${route}/sse`))),
};

function newer(client: Awaited<ReturnType<typeof connectModern>>): Connected {
  return { client, version: client.getNegotiatedProtocolVersion() };
}

const LEGACY_CLIENTS = ['SDK v2, legacy', 'SDK v2, legacy over SSE', 'SDK v1', 'SDK v1 over SSE'];
/** Which revision a client speaks to which route. */
const MEETINGS: readonly (readonly [string, string, string])[] = [
  ['SDK v2, auto', 'dual', MODERN],
  ['SDK v2, pinned', 'dual', MODERN],
  ['SDK v2, auto', 'modern', MODERN],
  ['SDK v2, pinned', 'modern', MODERN],
  ['SDK v2, auto', 'streamable', OLD],
  ['SDK v2, auto', 'events', OLD],
  ['SDK v2, auto', 'dual-as-legacy', OLD],
  ...LEGACY_CLIENTS.flatMap((client) =>
    ['dual', 'streamable', 'events', 'dual-as-legacy'].map((route) => [client, route, OLD] as const),
  ),
];

let dual: ModernUpstream;
let modern: ModernUpstream;
let older: SdkUpstream;
let gateway: InProcessGateway;

beforeAll(async () => {
  [dual, modern, older] = await Promise.all([
    startModernUpstream(),
    startModernUpstream({ legacy: 'reject' }),
    startSdkUpstream(),
  ]);
  gateway = await startTestGateway({
    upstreams: [
      { url: dual.url, prefix: 'dual' },
      { url: dual.url, prefix: 'dual-as-legacy', protocol: 'legacy' },
      { url: modern.url, prefix: 'modern' },
      { url: modern.url, prefix: 'modern-as-modern', protocol: 'modern' },
      { url: older.urls.streamable, prefix: 'streamable' },
      { url: older.urls.streamable, prefix: 'streamable-as-modern', protocol: 'modern' },
      { url: older.urls.sse, prefix: 'events' },
    ],
  });
});

afterAll(async () => {
  await gateway.stop();
  await Promise.all([dual.close(), modern.close(), older.close()]);
});

describe.each(MEETINGS)('%s before %s', (name, route, version) => {
  let connected: Connected;

  beforeAll(async () => {
    connected = await (CLIENTS[name] as Connect)(gateway.url, route);
  });

  afterAll(() => connected.client.close());

  test(`speaks ${version}`, () => {
    expect(connected.version).toBe(version);
  });

  test('lists and calls tools', async () => {
    const { tools } = await connected.client.listTools();
    expect(tools.map((tool) => tool.name)).toContain('echo');
    const result = await connected.client.callTool({ name: 'echo', arguments: { message: 'hällo ✓' } });
    expect(result).toMatchObject({ content: [{ type: 'text', text: 'hällo ✓' }] });
  });

  test('hears of a tool that fails', async () => {
    const result = await connected.client.callTool({ name: 'fail', arguments: { message: 'no' } });
    expect(result).toMatchObject({ isError: true, content: [{ text: 'no' }] });
  });

  test('reads resources', async () => {
    expect(await connected.client.readResource({ uri: 'test://readme' })).toMatchObject({
      contents: [{ uri: 'test://readme', text: 'Read me.' }],
    });
    expect(await connected.client.readResource({ uri: 'test://items/x%20y' })).toMatchObject({
      contents: [{ uri: 'test://items/x%20y' }],
    });
    await expect(connected.client.readResource({ uri: 'test://nothing' })).rejects.toThrow(/not found/i);
  });

  test('gets prompts, and completions for them', async () => {
    expect(await connected.client.getPrompt({ name: 'greet', arguments: { language: 'German' } })).toMatchObject({
      messages: [{ content: { text: 'Say hello in German.' } }],
    });
    const completion = {
      ref: { type: 'ref/prompt', name: 'greet' },
      argument: { name: 'language', value: 'E' },
    } as const;
    expect(await connected.client.complete(completion)).toMatchObject({
      completion: { values: ['English', 'Esperanto'] },
    });
  });
});

describe('where the two sides share no era', () => {
  test.each(['streamable', 'events', 'dual-as-legacy'])(
    'a client that insists on the new one is told so by %s',
    async (route) => {
      await expect(connectModern(`${gateway.url}/${route}/mcp`, 'pinned')).rejects.toMatchObject({
        code: SdkErrorCode.EraNegotiationFailed,
      });
    },
  );

  test.each(LEGACY_CLIENTS)('%s is refused by a server of the new one alone', async (name) => {
    await expect((CLIENTS[name] as Connect)(gateway.url, 'modern')).rejects.toThrow(/unsupported protocol version/i);
  });

  test('a server that is declared to be of the new one, and is not, demotes no client', async () => {
    const attempt = connectModern(`${gateway.url}/streamable-as-modern/mcp`, 'auto');
    await expect(attempt).rejects.toMatchObject({ code: SdkErrorCode.EraNegotiationFailed });
  });

  test('a session over SSE says what the server says', async () => {
    const client = modernClient('legacy');
    const transport = new SSEClientTransport(new URL(`${gateway.url}/modern/sse`));
    await expect(client.connect(transport)).rejects.toThrow(/unsupported protocol version/i);
  });
});

describe('finding out', () => {
  test('a route declared to be modern is never probed', async () => {
    const before = modern.count('server/discover');
    const client = await connectModern(`${gateway.url}/modern-as-modern/mcp`);
    await client.close();
    expect(modern.count('server/discover')).toBe(before + 1);
  });

  test('a route declared to be legacy is never probed', async () => {
    const before = dual.count('server/discover');
    const client = await connectModern(`${gateway.url}/dual-as-legacy/mcp`, 'auto');
    await client.close();
    expect(dual.count('server/discover')).toBe(before);
  });

  test('many clients at once cost one probe', async () => {
    const upstream = await startModernUpstream();
    const fresh = await startTestGateway({ upstreams: [{ url: upstream.url, prefix: 'fresh' }] });
    try {
      const list = envelopedRequest('tools/list');
      const ask = () => postJson(`${fresh.url}/fresh/mcp`, list, mirrorsOf(list));
      const answers = await Promise.all(Array.from({ length: 8 }, ask));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      expect(upstream.count('tools/list')).toBe(8);
      expect(upstream.count('server/discover')).toBe(1);
    } finally {
      await fresh.stop();
      await upstream.close();
    }
  });
});
