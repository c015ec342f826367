/** How a client is told no. */
import type { Era } from '../../protocol/classify.js';
import { ErrorCode } from '../../protocol/error-codes.js';
import { errorResponse, toolFailure } from '../../protocol/json-rpc.js';
import type { Message, RequestId } from '../../protocol/message.js';
import { Method } from '../../protocol/methods.js';
import type { AnswerHints } from '../../protocol/transport.js';
import type { LimitRefusal } from '../../rate-limit/limiter.js';
import type { Ruling } from './ruling.js';
import type { Subject } from './subject.js';

export interface Refusal {
  readonly answer: Message;
  readonly hints: AnswerHints | undefined;
}

interface DeniedRequest {
  readonly id: RequestId;
  readonly method: string;
}

export function denial(
  request: DeniedRequest,
  ruling: Ruling,
  decisionId: string,
  denials: 'explain' | 'hide',
  era: Era,
): Refusal {
  const { id } = request;
  if (ruling.layer === 'method') {
    const answer = errorResponse(id, { code: ErrorCode.methodNotFound, message: 'Method not found' });
    return { answer, hints: era === 'modern' ? { status: 404 } : undefined };
  }
  // A tool whose arguments break a rule is one the caller may see, so hiding it would only confuse.
  if (ruling.violation !== undefined && request.method === Method.toolsCall) {
    return { answer: violationAnswer(id, ruling, decisionId, era), hints: undefined };
  }
  if (denials === 'hide' && ruling.subject !== undefined) {
    return { answer: unknownAnswer(id, ruling.subject, era), hints: undefined };
  }
  const data = { layer: ruling.layer, decisionId };
  const message = `Access denied: ${ruling.reason}`;
  return { answer: errorResponse(id, { code: ErrorCode.denied, message, data }), hints: undefined };
}

function violationAnswer(id: RequestId, ruling: Ruling, decisionId: string, era: Era): Message {
  const field = ruling.violation?.field;
  const where = field === undefined ? '' : ` (argument ${field})`;
  const text = `Access denied by ${ruling.rule}${where}: ${ruling.reason}`;
  return toolFailure(id, text, { code: 'policy_denied', decisionId }, era);
}

/** Exactly what a server says of something it does not have. */
function unknownAnswer(id: RequestId, subject: Subject, era: Era): Message {
  switch (subject.kind) {
    case 'tool':
      return errorResponse(id, { code: ErrorCode.invalidParams, message: `Unknown tool: ${subject.name}` });
    case 'prompt':
      return errorResponse(id, { code: ErrorCode.invalidParams, message: `Unknown prompt: ${subject.name}` });
    case 'resource': {
      const code = era === 'modern' ? ErrorCode.invalidParams : ErrorCode.resourceNotFound;
      return errorResponse(id, { code, message: 'Resource not found', data: { uri: subject.name } });
    }
  }
}

export function limitRefusal(request: DeniedRequest, refusal: LimitRefusal, era: Era): Refusal {
  const { limit, retryAfterMs } = refusal;
  const text = `Rate limit ${limit} exceeded; try again in ${Math.ceil(retryAfterMs / 1000)} s`;
  const hints: AnswerHints = { retryAfterMs };
  if (request.method === Method.toolsCall) {
    return { answer: toolFailure(request.id, text, { code: 'rate_limited', retryAfterMs, limit }, era), hints };
  }
  const answer = errorResponse(request.id, { code: ErrorCode.rateLimited, message: text, data: { retryAfterMs } });
  // A client that gets a plain error to this one takes the server for a legacy one for good.
  return { answer, hints: request.method === Method.discover ? { status: 503, retryAfterMs } : hints };
}
