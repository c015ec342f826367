/** What is said to a server for a client that came back and cannot say it again: it believes that its session goes on. */
import { VERSION } from '../core/version.js';
import type { SessionRecord } from '../session/session-record.js';
import { ownRequest } from '../protocol/json-rpc.js';
import { Method } from '../protocol/methods.js';
import type { SessionState } from './replicas/session-state.js';

/** A session of the route, as far as a client may have lost it. */
export interface OtherSession {
  readonly record: SessionRecord;
  readonly streams: { readonly hasGeneralConnection: boolean };
  readonly state: SessionState | undefined;
}

/**
 * The `initialize` of the session that this caller lost last, as far as can be told. Only how a client introduces itself is taken over:
 * which of several sessions was this client's nobody knows, and nothing that was said in one may reach another.
 */
export function lostHandshake(
  sessions: Iterable<OtherSession>,
  { principal, kind }: SessionRecord,
): string | undefined {
  let newest: SessionState | undefined;
  for (const { record, streams, state } of sessions) {
    const isCandidate = record.kind === kind && record.principal.id === principal.id && !streams.hasGeneralConnection;
    if (isCandidate && state !== undefined && state.openedAtMs >= (newest?.openedAtMs ?? 0)) newest = state;
  }
  return newest?.upstream.handshake.initialize;
}

/** Promises the server nothing that the client might not be able to do. */
export function ownHandshake(protocolVersion: string): string {
  const clientInfo = { name: 'mcp-gateway', version: VERSION };
  return ownRequest('gw:initialize', Method.initialize, {
    protocolVersion,
    capabilities: {},
    clientInfo,
  }).raw.toString();
}
