import type { UpstreamError } from '../protocol/transport.js';
import { UpstreamFailedError, UpstreamTimeoutError } from './errors.js';
import type { HttpClientError, HttpFailure } from '../http-client/errors.js';

const SENTENCES: Readonly<Record<HttpFailure, string>> = {
  connect: 'the upstream cannot be reached',
  connect_timeout: 'the upstream did not accept a connection in time',
  tls: 'no trusted TLS connection to the upstream',
  headers_timeout: 'the upstream did not answer in time',
  reset: 'the upstream broke off the connection',
  protocol: 'the upstream answered something that is not HTTP/1.1',
  closed: 'the connection to the upstream was closed',
  token: 'no token for the upstream could be had',
  token_timeout: 'no token for the upstream could be had in time',
};

const TIMEOUTS: ReadonlySet<HttpFailure> = new Set(['connect_timeout', 'headers_timeout', 'token_timeout']);

/** What a failed HTTP request means to the one who waits; says nothing of addresses, which are not the client's business. */
export function failureOf(error: HttpClientError): UpstreamError {
  const isTimeout = TIMEOUTS.has(error.reason);
  const sentence = SENTENCES[error.reason];
  return isTimeout
    ? new UpstreamTimeoutError(sentence, error.sent, { cause: error })
    : new UpstreamFailedError(sentence, error.sent, { cause: error });
}
