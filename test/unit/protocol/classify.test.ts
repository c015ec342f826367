/**
 * Which era a message belongs to, row by row, beside what the SDK's server makes of the same request. Where the two differ, the row says why:
 * the SDK judges headers and versions later, or the gateway has to be stricter because it decides by what it read.
 */
import { classifyInboundRequest } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { classify, type MirrorHeaders, ModernRefusalError } from '../../../src/protocol/classify.js';
import { scanClientMessage } from '../../../src/protocol/scan.js';

type Outcome = 'legacy' | 'modern' | number;

interface Row {
  readonly what: string;
  readonly body: object;
  readonly version?: string;
  readonly method?: string;
  readonly name?: string;
  /** The era, or the code of the refusal. */
  readonly ours: Outcome;
  /** What the SDK says, if it says something else, and why that is right. */
  readonly sdk?: readonly [Outcome, string];
}

const LATER = 'the SDK judges this after it has classified';
const NEW = '2026-07-28';
const OLD = '2025-11-25';
const VERSION = 'io.modelcontextprotocol/protocolVersion';
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';

const envelope = (version: unknown, capabilities: unknown = {}) => ({
  _meta: { [VERSION]: version, [CAPABILITIES]: capabilities },
});
const request = (method: string, params?: object) => ({ jsonrpc: '2.0', id: 7, method, ...(params && { params }) });
const notification = (params?: object) => ({ jsonrpc: '2.0', method: 'notifications/x', ...(params && { params }) });
const list = request('tools/list', envelope(NEW));
const call = request('tools/call', { name: 'a', ...envelope(NEW) });
const initialize = request('initialize', { protocolVersion: OLD });
const withoutCapabilities = request('tools/list', { _meta: { [VERSION]: NEW } });

const ROWS: readonly Row[] = [
  { what: 'a request with everything', body: list, version: NEW, method: 'tools/list', ours: 'modern' },
  { what: 'a call with everything', body: call, version: NEW, method: 'tools/call', name: 'a', ours: 'modern' },
  { what: 'an encoded name', body: call, version: NEW, method: 'tools/call', name: '=?base64?YQ==?=', ours: 'modern' },
  { what: 'no headers', body: list, ours: -32020, sdk: ['modern', LATER] },
  { what: 'no Mcp-Method', body: list, version: NEW, ours: -32020, sdk: ['modern', LATER] },
  { what: 'another Mcp-Method', body: list, version: NEW, method: 'tools/call', ours: -32020 },
  { what: 'Mcp-Method in capitals', body: list, version: NEW, method: 'TOOLS/LIST', ours: -32020 },
  { what: 'no Mcp-Name', body: call, version: NEW, method: 'tools/call', ours: -32020, sdk: ['modern', LATER] },
  {
    what: 'another Mcp-Name',
    body: call,
    version: NEW,
    method: 'tools/call',
    name: 'b',
    ours: -32020,
    sdk: ['modern', LATER],
  },
  {
    what: 'Mcp-Name in capitals',
    body: call,
    version: NEW,
    method: 'tools/call',
    name: 'A',
    ours: -32020,
    sdk: ['modern', LATER],
  },
  {
    what: 'a badly encoded Mcp-Name',
    body: call,
    version: NEW,
    method: 'tools/call',
    name: '=?base64?YQ?=',
    ours: -32020,
    sdk: ['modern', LATER],
  },
  {
    what: 'the URI of a resource as Mcp-Name',
    body: request('resources/read', { uri: 'test://a', ...envelope(NEW) }),
    version: NEW,
    method: 'resources/read',
    name: 'test://a',
    ours: 'modern',
  },
  {
    what: 'a call of nothing, which needs no Mcp-Name',
    body: request('tools/call', envelope(NEW)),
    version: NEW,
    method: 'tools/call',
    ours: 'modern',
  },
  {
    what: 'a task under another Mcp-Name',
    body: request('tasks/get', { taskId: 't1', ...envelope(NEW) }),
    version: NEW,
    method: 'tasks/get',
    name: 't2',
    ours: -32020,
    sdk: ['modern', LATER],
  },
  { what: 'a legacy header over a modern body', body: list, version: OLD, method: 'tools/list', ours: -32020 },
  {
    what: 'a revision yet to come',
    body: request('tools/list', envelope('2031-01-01')),
    version: '2031-01-01',
    method: 'tools/list',
    ours: -32022,
    sdk: ['modern', LATER],
  },
  {
    what: 'a revision that is no date',
    body: request('tools/list', envelope('v999.0.0')),
    version: 'v999.0.0',
    method: 'tools/list',
    ours: -32022,
    sdk: ['modern', LATER],
  },
  {
    what: 'a legacy revision in an envelope',
    body: request('tools/list', envelope(OLD)),
    version: OLD,
    method: 'tools/list',
    ours: -32022,
    sdk: ['modern', LATER],
  },
  {
    what: 'one revision in the header and another in the body',
    body: request('tools/list', envelope('v999.0.0')),
    version: NEW,
    method: 'tools/list',
    ours: -32020,
  },
  { what: 'no capabilities', body: withoutCapabilities, version: NEW, method: 'tools/list', ours: -32602 },
  {
    what: 'capabilities that are a list',
    body: request('tools/list', envelope(NEW, [])),
    version: NEW,
    method: 'tools/list',
    ours: -32602,
  },
  { what: 'a modern header over no claim', body: request('tools/list', {}), version: NEW, ours: -32602 },
  { what: 'a modern header over no params', body: request('tools/list'), version: NEW, ours: -32602 },
  { what: 'a claim that is no text', body: request('tools/list', envelope(5)), version: NEW, ours: -32602 },
  {
    what: 'a claim that is no text, and no header',
    body: request('tools/list', envelope(5)),
    ours: 'legacy',
    sdk: [-32602, 'without a session it is refused all the same'],
  },
  {
    what: 'a header that names no revision',
    body: request('tools/list', {}),
    version: 'v999.0.0',
    ours: 'legacy',
    sdk: [-32602, 'the legacy side refuses unknown revisions in the way that legacy clients understand'],
  },
  { what: 'a legacy request', body: request('tools/list', {}), version: OLD, ours: 'legacy' },
  { what: 'a legacy request without the header', body: request('tools/list', {}), ours: 'legacy' },
  { what: 'a handshake', body: initialize, ours: 'legacy' },
  { what: 'a handshake with a legacy header', body: initialize, version: OLD, ours: 'legacy' },
  { what: 'a handshake with a modern header', body: initialize, version: NEW, ours: -32020 },
  {
    what: 'a handshake in an envelope',
    body: request('initialize', envelope(NEW)),
    version: NEW,
    method: 'initialize',
    ours: 'modern',
  },
  { what: 'a notification', body: notification(), ours: 'legacy' },
  { what: 'a notification with a legacy header', body: notification(), version: OLD, ours: 'legacy' },
  { what: 'a notification with a modern header', body: notification(), version: NEW, ours: 'modern' },
  { what: 'a notification in an envelope', body: notification(envelope(NEW)), ours: 'modern' },
  {
    what: 'a notification of a revision yet to come',
    body: notification(envelope('2031-01-01')),
    ours: -32022,
    sdk: ['modern', LATER],
  },
  {
    what: 'a modern notification with a legacy header',
    body: notification(envelope(NEW)),
    version: OLD,
    ours: -32020,
  },
  { what: 'an answer', body: { jsonrpc: '2.0', id: 7, result: {} }, ours: 'legacy' },
  { what: 'an answer with a modern header', body: { jsonrpc: '2.0', id: 7, result: {} }, version: NEW, ours: 'legacy' },
];

describe.each(ROWS)('$what', (row) => {
  test('is classified', () => {
    expect(outcomeOf(row)).toBe(row.ours);
  });

  test(row.sdk === undefined ? 'as by the SDK' : `unlike by the SDK: ${row.sdk[1]}`, () => {
    expect(outcomeOfSdk(row)).toBe(row.sdk?.[0] ?? row.ours);
  });
});

test('a refusal names the request, and the revisions that would do', () => {
  const body = request('tools/list', envelope('2031-01-01'));
  const refusal = refusalOf({ what: '', body, version: '2031-01-01', method: 'tools/list', ours: -32022 });
  expect(refusal).toMatchObject({ id: 7, data: { supported: [NEW], requested: '2031-01-01' } });
});

function refusalOf(row: Row): unknown {
  const headers: MirrorHeaders = { version: row.version, method: row.method, name: row.name };
  const message = scanClientMessage(Buffer.from(JSON.stringify(row.body)), { maxDepth: 64, maxTokens: 1000 });
  try {
    return classify(message, headers);
  } catch (error) {
    return error;
  }
}

function outcomeOf(row: Row): unknown {
  const refusal = refusalOf(row);
  return refusal instanceof ModernRefusalError ? refusal.rpcCode : refusal;
}

function outcomeOfSdk({ body, version, method, name }: Row): Outcome {
  const outcome = classifyInboundRequest({
    httpMethod: 'POST',
    body,
    ...(version === undefined ? {} : { protocolVersionHeader: version }),
    ...(method === undefined ? {} : { mcpMethodHeader: method }),
    ...(name === undefined ? {} : { mcpNameHeader: name }),
  });
  return outcome.kind === 'reject' ? outcome.code : outcome.kind;
}
