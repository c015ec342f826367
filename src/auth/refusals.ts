/**
 * Every way a caller can be turned away, in one table: the answer, the OAuth error, the words, and whether it looks like guessing.
 * The words are fixed texts: nothing of a credential is ever repeated to whoever sent it.
 */
import type { Principal } from './principal.js';

/** Why a caller was turned away; stable names, for audit and metrics. */
export type RefusalReason = keyof typeof REFUSALS;

export interface AuthRefusal {
  readonly ok: false;
  readonly status: 400 | 401 | 403;
  readonly error: 'invalid_request' | 'invalid_token' | 'insufficient_scope' | 'missing';
  readonly reason: RefusalReason;
  readonly description: string;
  /** Scopes that would help, separated by spaces. */
  readonly scope?: string;
}

export interface AuthThrottled {
  readonly ok: false;
  readonly status: 429;
  readonly error: 'too_many_failures';
  readonly reason: 'too_many_failures';
  readonly description: string;
  readonly retryAfterMs: number;
}

export type AuthResult = { readonly ok: true; readonly principal: Principal } | AuthRefusal | AuthThrottled;

interface RefusalRow {
  readonly status: AuthRefusal['status'];
  readonly error: AuthRefusal['error'];
  readonly description: string;
  /** Counts against the address it came from. Genuine credentials that merely aged, or keys that are late, do not. */
  readonly isGuess: boolean;
}

const REFUSALS = {
  credential_in_url: {
    status: 400,
    error: 'invalid_request',
    description: 'credentials belong in a header, never in the URL',
    isGuess: false,
  },
  conflicting_credentials: {
    status: 400,
    error: 'invalid_request',
    description: 'Authorization and X-API-Key carry different credentials',
    isGuess: false,
  },
  missing: { status: 401, error: 'missing', description: 'a credential is required', isGuess: false },
  malformed: {
    status: 401,
    error: 'invalid_token',
    description: 'expected Authorization: Bearer <credential>, or X-API-Key: <key>',
    isGuess: true,
  },
  not_accepted: {
    status: 401,
    error: 'invalid_token',
    description: 'the credential is not accepted',
    isGuess: true,
  },
  bad_signature: {
    status: 401,
    error: 'invalid_token',
    description: 'the signature of the token is not valid',
    isGuess: true,
  },
  wrong_audience: {
    status: 401,
    error: 'invalid_token',
    description: 'the token is meant for another audience',
    isGuess: true,
  },
  unknown_key: {
    status: 401,
    error: 'invalid_token',
    description: 'the token is signed with a key that its issuer does not publish',
    isGuess: false,
  },
  keys_unavailable: {
    status: 401,
    error: 'invalid_token',
    description: 'the keys of the issuer cannot be read at the moment',
    isGuess: false,
  },
  expired: { status: 401, error: 'invalid_token', description: 'the token has expired', isGuess: false },
  not_yet_valid: { status: 401, error: 'invalid_token', description: 'the token is not valid yet', isGuess: false },
  insufficient_scope: {
    status: 403,
    error: 'insufficient_scope',
    description: 'the token lacks a required scope',
    isGuess: false,
  },
} as const satisfies Record<string, RefusalRow>;

/** @param scope Scopes that would help, separated by spaces; none when empty. */
export function refuse(reason: RefusalReason, scope = ''): AuthRefusal {
  const { status, error, description } = REFUSALS[reason];
  return Object.freeze({ ok: false, status, error, reason, description, ...(scope === '' ? {} : { scope }) });
}

export function throttle(retryAfterMs: number): AuthThrottled {
  return {
    ok: false,
    status: 429,
    error: 'too_many_failures',
    reason: 'too_many_failures',
    description: 'too many failed attempts from this address',
    retryAfterMs,
  };
}

/** Whether a result is what guessing at credentials looks like. */
export function isGuess(result: AuthResult): boolean {
  return !result.ok && result.status !== 429 && REFUSALS[result.reason].isGuess;
}
