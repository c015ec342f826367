/** What a client is told whose request was lost together with the replica it had been passed on to. */
import type { Endpoint } from '../../downstream/endpoints.js';
import type { HttpExchange } from '../../downstream/http-exchange.js';
import { sendJson } from '../../downstream/respond.js';
import type { Message } from '../../protocol/message.js';
import { scanClientBody } from '../../protocol/scan.js';
import { UpstreamFailedError } from '../../upstream/errors.js';
import { failureAnswer } from '../answers.js';

/** It was scanned for size when it was read; what it holds matters only where an answer can be made of it. */
const SCAN_LIMITS = { maxDepth: 64, maxTokens: 100_000 };

/** On Streamable HTTP the answer is that of the request. On HTTP+SSE nothing was accepted, and the POST says so. */
export function answerLost({ kind }: Endpoint, exchange: HttpExchange): void {
  const { response, headers, body } = exchange;
  if (response.destroyed || response.headersSent) return;
  const answers = requestsIn(body).map(({ id, method }) =>
    failureAnswer(
      id ?? '',
      method ?? '',
      new UpstreamFailedError('the replica that ran this request is gone', 'unknown'),
    ),
  );
  const [only] = answers;
  const status = kind === 'mcp' && only !== undefined ? 200 : 503;
  const json =
    answers.length === 1 && only !== undefined ? only.raw : `[${answers.map(({ raw }) => raw.toString()).join()}]`;
  sendJson(response, status, json, headers);
}

function requestsIn(body: Buffer | undefined): readonly Message[] {
  if (body === undefined) return [];
  try {
    const scanned = scanClientBody(body, SCAN_LIMITS);
    const messages: readonly Message[] = Array.isArray(scanned) ? scanned : [scanned as Message];
    return messages.filter(({ kind }) => kind === 'request');
  } catch {
    return [];
  }
}
