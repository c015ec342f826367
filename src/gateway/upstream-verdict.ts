import type { UpstreamError } from '../protocol/transport.js';
import { UpstreamRefusedError, UpstreamSessionGoneError } from '../upstream/errors.js';

/** A refusal is the caller's affair, and a forgotten session the server's right; anything else speaks against the upstream. */
export function countsAgainstUpstream(error: UpstreamError): boolean {
  if (error instanceof UpstreamSessionGoneError) return false;
  return !(error instanceof UpstreamRefusedError && error.status < 500);
}
