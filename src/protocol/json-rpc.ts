/** Messages the gateway says in its own name. Everything else travels as the bytes that came. */
import type { Era } from './classify.js';
import { GATEWAY_ERROR_META } from './error-codes.js';
import type { Message, ProgressToken, RequestId, Span } from './message.js';

const CLOSING_BRACE = Buffer.from('}');

interface OwnMessageFacts {
  readonly kind: Message['kind'];
  readonly id?: RequestId;
  readonly method?: string;
  readonly isError?: boolean;
}

/** A message made here: trusted, so no scanner looks at it, and no spans are kept. */
class OwnMessage implements Message {
  readonly kind: Message['kind'];
  readonly raw: Buffer;
  readonly id: RequestId | undefined;
  readonly method: string | undefined;
  readonly isError: boolean;
  readonly idSpan: Span | undefined = undefined;
  readonly paramsSpan: Span | undefined = undefined;
  readonly resultSpan: Span | undefined = undefined;
  readonly name: string | undefined = undefined;
  readonly uri: string | undefined = undefined;
  readonly argumentsSpan: Span | undefined = undefined;
  readonly progressToken: ProgressToken | undefined = undefined;
  readonly claimedVersion: string | undefined = undefined;
  readonly hasClientCapabilities: boolean = false;
  readonly requestId: RequestId | undefined = undefined;
  readonly requestIdSpan: Span | undefined = undefined;

  constructor(facts: OwnMessageFacts, raw: Buffer) {
    this.kind = facts.kind;
    this.id = facts.id;
    this.method = facts.method;
    this.isError = facts.isError ?? false;
    this.raw = raw;
  }
}

function ownMessage(facts: OwnMessageFacts, body: object): Message {
  return new OwnMessage(facts, Buffer.from(JSON.stringify(body)));
}

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: object;
}

/** The error object of an answer whose request is unknown carries no `id`: both SDKs choke on `id: null`. */
export function errorBody(id: RequestId | undefined, error: RpcError): object {
  return id === undefined ? { jsonrpc: '2.0', error } : { jsonrpc: '2.0', id, error };
}

export function errorResponse(id: RequestId, error: RpcError): Message {
  return ownMessage({ kind: 'response', id, isError: true }, errorBody(id, error));
}

/** A failed `tools/call` as a tool result: the only form that reaches the model behind the client. */
export function toolFailure(id: RequestId, text: string, facts: Readonly<Record<string, unknown>>, era: Era): Message {
  const kind = era === 'modern' ? { resultType: 'complete' } : {};
  const result = { ...kind, content: [{ type: 'text', text }], isError: true, _meta: { [GATEWAY_ERROR_META]: facts } };
  return ownMessage({ kind: 'response', id }, { jsonrpc: '2.0', id, result });
}

export function ownNotification(method: string, params: object): Message {
  return ownMessage({ kind: 'notification', method }, { jsonrpc: '2.0', method, params });
}

export function ownRequest(id: RequestId, method: string, params: object): Message {
  return ownMessage({ kind: 'request', id, method }, { jsonrpc: '2.0', id, method, params });
}

/** The answer to a ping. */
export function emptyResponse(id: RequestId): Message {
  return ownMessage({ kind: 'response', id }, { jsonrpc: '2.0', id, result: {} });
}

/** An answer whose result is JSON text already. */
export function resultResponse(id: RequestId, resultJson: string | Buffer): Message {
  const head = Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":`);
  const result = typeof resultJson === 'string' ? Buffer.from(resultJson) : resultJson;
  return new OwnMessage({ kind: 'response', id }, Buffer.concat([head, result, CLOSING_BRACE]));
}
