import { createHash } from 'node:crypto';
import type { Principal } from '../auth/principal.js';
import type { Timer } from '../core/timer-wheel.js';
import type { DownstreamKind } from '../protocol/transport.js';

/** Where a session stands when a replica gets it. */
export interface SessionBeginning {
  /** Milliseconds since 1970. */
  readonly openedAtMs: number;
  readonly epoch: number;
}

/** The facts of one session, and the clocks that run for it. */
export class SessionRecord {
  readonly id: string;
  readonly kind: DownstreamKind;
  /** As it proved who it is the last time; its `id` never changes. */
  principal: Principal;
  /** When the credential ends that lasts longest of those the session was used with, in milliseconds since 1970; undefined: never. */
  endsAtMs: number | undefined;
  /** On the clock of durations, in milliseconds. */
  lastUsedAtMs: number;
  /** The revision client and server settled on; undefined before that. */
  protocolVersion: string | undefined;
  /** When it was opened, in milliseconds since 1970. */
  readonly openedAtMs: number;
  /** Grows each time another replica takes the session; what was said under a smaller one no longer counts. */
  readonly epoch: number;
  isClosed = false;
  /** Made when it is first needed, then kept: every decision carries it. */
  #label: string | undefined;
  /** Ends the session at its greatest age. */
  expiry: Timer | undefined;
  /** Ends it when the client stays away too long. */
  absence: Timer | undefined;
  /** Looks whether its credential has ended. */
  credential: Timer | undefined;
  /** Looks whether it has been idle. */
  idleness: Timer | undefined;

  /** @param nowMs On the clock of durations. */
  constructor(id: string, kind: DownstreamKind, principal: Principal, nowMs: number, beginning: SessionBeginning) {
    this.openedAtMs = beginning.openedAtMs;
    this.epoch = beginning.epoch;
    this.id = id;
    this.kind = kind;
    this.principal = principal;
    this.endsAtMs = principal.expiresAtMs;
    this.lastUsedAtMs = nowMs;
  }

  /** For logs: tells sessions apart, and opens nothing. */
  get label(): string {
    this.#label ??= sessionLabel(this.id);
    return this.#label;
  }

  cancelTimers(): void {
    this.expiry?.cancel();
    this.absence?.cancel();
    this.idleness?.cancel();
    this.credential?.cancel();
  }

  /** The same caller again, perhaps with a fresh token. */
  usedBy(principal: Principal): void {
    if (this.principal === principal) return;
    this.principal = principal;
    if (this.endsAtMs !== undefined) this.endsAtMs = Math.max(this.endsAtMs, principal.expiresAtMs ?? this.endsAtMs);
  }
}

/** For logs: tells sessions apart, and opens nothing. */
export function sessionLabel(id: string): string {
  return createHash('sha256').update('log').update(id).digest('hex').slice(0, 12);
}
