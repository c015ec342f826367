/**
 * Every JSON-RPC error code the gateway itself sends.
 * Ours are positive: the protocol reserves -32768..-32000, and new codes should lie outside.
 * @see https://www.jsonrpc.org/specification#error_object
 */
export const ErrorCode = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  /** Legacy revisions only. */
  resourceNotFound: -32002,
  /** The modern revision's own: a header contradicts the body. */
  headerMismatch: -32020,
  /** The modern revision's own: names the versions that would do. */
  unsupportedVersion: -32022,
  /** What a legacy server answers to a request it cannot place in a session. */
  legacyServerError: -32000,
  denied: 1403,
  rateLimited: 1429,
  upstreamFailed: 1502,
  unavailable: 1503,
  upstreamTimeout: 1504,
} as const;

/** Why a `tools/call` got no answer of the upstream's own, as `_meta["mcp-gateway/error"].code` says it. */
export type ToolFailureCode = 'upstream_failed' | 'upstream_timeout' | 'circuit_open';

/** Whether a failed call may have run: `no` only when the upstream cannot have seen it. */
export type Executed = 'no' | 'unknown';

/** The `_meta` key of failures that the gateway reports as tool results. */
export const GATEWAY_ERROR_META = 'mcp-gateway/error';
