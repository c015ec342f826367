/** What happened, as the gateway reports it. Secrets, session ids and argument values have no place in any text field. */
export interface AuditEvent {
  readonly event: AuditEventKind;
  readonly decisionId?: string | undefined;
  readonly route?: string | undefined;
  readonly principal?: string | undefined;
  readonly role?: string | undefined;
  readonly tenant?: string | undefined;
  /** The short tag of the session, as in logs; never its id. */
  readonly session?: string | undefined;
  readonly method?: string | undefined;
  readonly tool?: string | undefined;
  /** `params.arguments` as the caller sent them, JSON text; kept as `audit.arguments` says, never as they are. */
  readonly arguments?: Uint8Array | undefined;
  readonly effect?: 'allow' | 'deny' | undefined;
  /** In shadow mode: what would have been done. */
  readonly would?: 'allow' | 'deny' | undefined;
  readonly layer?: 'rate_limit' | 'tool_rule' | 'role' | 'default' | 'pin' | 'method' | undefined;
  readonly rule?: string | undefined;
  readonly reason?: string | undefined;
  readonly policyHash?: string | undefined;
  readonly outcome?: AuditOutcome | undefined;
  readonly latencyMs?: number | undefined;
  readonly traceId?: string | undefined;
}

/** `gap` and `checkpoint` are missing here: the audit log alone writes them. */
export type AuditEventKind =
  | 'decision'
  | 'session_open'
  | 'session_resume'
  | 'session_takeover'
  | 'session_close'
  | 'auth_failure'
  | 'config_reload'
  | 'policy_push'
  | 'pin_change'
  | 'anomaly';

export type AuditOutcome = 'ok' | 'error' | 'denied' | 'limited' | 'upstream_failed' | 'timeout' | 'cancelled';

/**
 * Why records are missing: `dropped` the writer could not take them, `torn_line` a write was cut short by a crash,
 * `truncated` the file ends before a checkpoint that had been on disk, `replaced` the file found could not be continued.
 */
export type GapReason = 'dropped' | 'torn_line' | 'truncated' | 'replaced';

/** Reason of a checkpoint that opens a file and continues the chain of an earlier one. */
export const CONTINUED = 'continued';
