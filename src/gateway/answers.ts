/** What a client is told when the upstream gave no answer. */
import { ErrorCode, type ToolFailureCode } from '../protocol/error-codes.js';
import type { Era } from '../protocol/classify.js';
import { errorResponse, toolFailure } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import type { UpstreamError } from '../protocol/transport.js';
import { CircuitOpenError, UpstreamRefusedError, UpstreamTimeoutError } from '../upstream/errors.js';

/** A tool call fails as a tool result, since only that reaches the model; everything else as a JSON-RPC error. */
export function failureAnswer(id: RequestId, method: string, error: UpstreamError, era: Era = 'legacy'): Message {
  const { toolCode, rpcCode } = codesOf(error);
  if (method !== Method.toolsCall) return errorResponse(id, { code: rpcCode, message: sentence(error) });
  const fate = error.executed === 'no' ? 'The call was not executed.' : 'The call may have been executed.';
  return toolFailure(
    id,
    `${sentence(error)}. ${fate}`,
    { code: toolCode, executed: error.executed, ...retry(error) },
    era,
  );
}

function codesOf(error: UpstreamError): { toolCode: ToolFailureCode; rpcCode: number } {
  if (error instanceof CircuitOpenError) return { toolCode: 'circuit_open', rpcCode: ErrorCode.unavailable };
  if (error instanceof UpstreamTimeoutError)
    return { toolCode: 'upstream_timeout', rpcCode: ErrorCode.upstreamTimeout };
  return { toolCode: 'upstream_failed', rpcCode: ErrorCode.upstreamFailed };
}

function retry(error: UpstreamError): { retryAfterMs?: number } {
  const retryAfterMs =
    error instanceof CircuitOpenError || error instanceof UpstreamRefusedError ? error.retryAfterMs : undefined;
  return retryAfterMs === undefined ? {} : { retryAfterMs: Math.ceil(retryAfterMs) };
}

function sentence(error: UpstreamError): string {
  return error.message.charAt(0).toUpperCase() + error.message.slice(1);
}
