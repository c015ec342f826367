import { createHash } from 'node:crypto';
import type { Principal } from '../auth/principal.js';
import type { Timer } from '../core/timer-wheel.js';
import type { DownstreamKind } from '../protocol/transport.js';

/** The facts of one session, and the clocks that run for it. */
export class SessionRecord {
  readonly id: string;
  readonly kind: DownstreamKind;
  readonly principal: Principal;
  /** On the clock of durations, in milliseconds. */
  lastUsedAtMs: number;
  /** The revision client and server settled on; undefined before that. */
  protocolVersion: string | undefined;
  isClosed = false;
  /** Ends the session at its greatest age. */
  expiry: Timer | undefined;
  /** Ends it when the client stays away too long. */
  absence: Timer | undefined;
  /** Looks whether it has been idle. */
  idleness: Timer | undefined;

  constructor(id: string, kind: DownstreamKind, principal: Principal, nowMs: number) {
    this.id = id;
    this.kind = kind;
    this.principal = principal;
    this.lastUsedAtMs = nowMs;
  }

  /** For logs: tells sessions apart, and opens nothing. */
  get label(): string {
    return sessionLabel(this.id);
  }

  cancelTimers(): void {
    this.expiry?.cancel();
    this.absence?.cancel();
    this.idleness?.cancel();
  }
}

function sessionLabel(id: string): string {
  return createHash('sha256').update('log').update(id).digest('hex').slice(0, 12);
}
