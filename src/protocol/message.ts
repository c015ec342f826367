/**
 * One JSON-RPC message as it travels: the bytes that came, and what the scanner saw in them.
 * Immutable. An edit makes a new message and scans it again, so what is judged and what is sent never differ.
 */
export type RequestId = string | number;
export type ProgressToken = string | number;

/** A half-open byte range `[start, end)` inside `Message.raw`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface Message {
  readonly kind: 'request' | 'notification' | 'response';
  /** Exactly one JSON object, no white space around it, valid UTF-8, no raw CR or LF (so it fits one SSE `data:` line). */
  readonly raw: Buffer;
  /** Request and response; undefined for a notification and for an error response that names no request. */
  readonly id: RequestId | undefined;
  /** Where the value of `id` stands. */
  readonly idSpan: Span | undefined;
  /** Request and notification. */
  readonly method: string | undefined;
  /** Where the value of `params` stands. */
  readonly paramsSpan: Span | undefined;
  /** Response: an `error` member instead of a `result`. */
  readonly isError: boolean;
  /** Where the value of `result` or `error` stands. */
  readonly resultSpan: Span | undefined;
  /** `params.name`, when it is a string: the tool or prompt. */
  readonly name: string | undefined;
  /** `params.uri`, when it is a string: the resource. */
  readonly uri: string | undefined;
  /** Where the value of `params.arguments` stands. */
  readonly argumentsSpan: Span | undefined;
  /** Requests: `params._meta.progressToken`; `notifications/progress`: `params.progressToken`. */
  readonly progressToken: ProgressToken | undefined;
  /** `params._meta["io.modelcontextprotocol/protocolVersion"]`, when it is a string: the revision this one message speaks. */
  readonly claimedVersion: string | undefined;
  /** `params._meta["io.modelcontextprotocol/clientCapabilities"]` is an object. */
  readonly hasClientCapabilities: boolean;
  /** `notifications/cancelled`: `params.requestId`. */
  readonly requestId: RequestId | undefined;
  /** Where the value of `params.requestId` stands. */
  readonly requestIdSpan: Span | undefined;
}
