/** What another replica needs to go on with a session, beside its journal: as it is written down, sealed. */
import type { DownstreamKind } from '../../protocol/transport.js';
import type { UpstreamSessionRecord } from '../../upstream/upstream-session.js';
import type { ClientInfo } from '../policies/ruling.js';

export interface SessionState {
  readonly kind: DownstreamKind;
  /** Milliseconds since 1970. */
  readonly openedAtMs: number;
  readonly upstream: UpstreamSessionRecord;
  readonly client: ClientInfo | undefined;
}

const VERSION = 1;

export function encodeState(state: SessionState): Buffer {
  return Buffer.from(JSON.stringify({ v: VERSION, ...state }));
}

/** @returns undefined for one of another version: what it means is not known here */
export function decodeState(bytes: Buffer): SessionState | undefined {
  const state = JSON.parse(bytes.toString()) as SessionState & { v: unknown };
  return state.v === VERSION ? state : undefined;
}
