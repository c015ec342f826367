/** Every error of the gateway as HTTP status and JSON-RPC error: the only such table. */
import { ModernRefusalError } from '../protocol/classify.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { RpcError } from '../protocol/json-rpc.js';
import type { RequestId } from '../protocol/message.js';
import { InvalidMessageError, NotJsonError } from '../protocol/scan-errors.js';
import {
  OverloadedError,
  RateLimitedError,
  SessionProtocolError,
  SessionUnknownError,
  TooManySessionsError,
  UnauditableError,
} from '../protocol/session-errors.js';
import { AuthRefusedError, HttpRefusalError, UnsupportedVersionError } from './errors.js';

export interface WireError {
  readonly status: number;
  /** Flat list of name and value. */
  readonly headers: readonly string[];
  readonly id: RequestId | undefined;
  readonly rpc: RpcError;
}

/** Anything that is not one of ours says nothing about itself: its text may hold an address or a path. */
export function toWireError(error: unknown): WireError {
  if (error instanceof HttpRefusalError) {
    return wire(error.status, ErrorCode.invalidRequest, error.message, undefined, error.headers.flat());
  }
  if (error instanceof AuthRefusedError) return authRefusal(error);
  if (error instanceof NotJsonError) return wire(400, ErrorCode.parseError, error.message);
  if (error instanceof InvalidMessageError) return wire(400, ErrorCode.invalidRequest, error.message, error.id);
  if (error instanceof SessionProtocolError) return wire(400, ErrorCode.invalidRequest, error.message, error.id);
  if (error instanceof ModernRefusalError)
    return { ...wire(400, error.rpcCode, error.message, error.id), ...withData(error) };
  // What a legacy server says: a client of both eras then falls back to `initialize`.
  if (error instanceof UnsupportedVersionError) return wire(400, ErrorCode.legacyServerError, error.message);
  if (error instanceof SessionUnknownError) return wire(404, ErrorCode.invalidRequest, error.message);
  if (error instanceof OverloadedError) {
    return wire(503, ErrorCode.unavailable, error.message, error.id, retryAfter(error.retryAfterMs));
  }
  if (error instanceof UnauditableError) {
    return wire(503, ErrorCode.unavailable, error.message, error.id, retryAfter(error.retryAfterMs));
  }
  if (error instanceof RateLimitedError) {
    return wire(429, ErrorCode.rateLimited, error.message, error.id, retryAfter(error.retryAfterMs));
  }
  if (error instanceof TooManySessionsError) {
    return wire(429, ErrorCode.rateLimited, error.message, undefined, retryAfter(error.retryAfterMs));
  }
  return wire(500, ErrorCode.internalError, 'internal error');
}

function authRefusal({ refusal, challenge, message }: AuthRefusedError): WireError {
  if (refusal.status === 429) {
    return wire(429, ErrorCode.rateLimited, message, undefined, retryAfter(refusal.retryAfterMs));
  }
  const headers = challenge === undefined ? [] : ['www-authenticate', challenge];
  return wire(refusal.status, ErrorCode.invalidRequest, message, undefined, headers);
}

function wire(
  status: number,
  code: number,
  message: string,
  id?: RequestId,
  headers: readonly string[] = [],
): WireError {
  return { status, headers, id, rpc: { code, message } };
}

/** Whole seconds, rounded up: a client that waits too short only comes in vain. */
export function retryAfter(ms: number | undefined): readonly string[] {
  return ms === undefined ? [] : ['retry-after', String(Math.max(1, Math.ceil(ms / 1000)))];
}

function withData(error: ModernRefusalError): { rpc: RpcError } {
  const { rpcCode: code, message, data } = error;
  return { rpc: data === undefined ? { code, message } : { code, message, data } };
}
