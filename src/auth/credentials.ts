/**
 * Reads credentials out of what HTTP carries. Whether one is any good is decided elsewhere.
 * An empty or garbled header is a bad credential and not an absent one, so it can never end up as an anonymous caller.
 */
import { hash } from 'node:crypto';

/** What a request carried, as its transport found it. */
export interface Credentials {
  /** The `Authorization` header, whole. */
  readonly authorization: string | undefined;
  /** The `X-API-Key` header. */
  readonly apiKey: string | undefined;
  /** From `hasQueryCredential`. */
  readonly queryHasCredential: boolean;
  /** Address of the client; failed attempts are counted per address, and not at all without one. */
  readonly ip?: string | undefined;
}

/** One credential, as the methods judge it. */
export interface PresentedCredential {
  readonly secret: string;
  /** SHA-256 of `secret`, in lower-case hexadecimal. */
  readonly digest: string;
}

export type ParsedCredentials =
  | { kind: 'none' }
  | { kind: 'refused'; reason: 'conflicting_credentials' | 'malformed' }
  | { kind: 'presented'; credential: PresentedCredential };

/** A credential is as long as Node lets all headers be together; anything longer was never one of ours. */
const MAX_CREDENTIAL_CHARACTERS = 16_384;

const BEARER = /^bearer +([\x21-\x7e]+) *$/i;
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

const QUERY_CREDENTIALS: ReadonlySet<string> = new Set([
  'access_token',
  'api-key',
  'api_key',
  'apikey',
  'auth_token',
  'authorization',
  'bearer',
  'id_token',
  'jwt',
  'token',
  'x-api-key',
]);

const NONE: ParsedCredentials = { kind: 'none' };
const MALFORMED: ParsedCredentials = { kind: 'refused', reason: 'malformed' };
const CONFLICTING: ParsedCredentials = { kind: 'refused', reason: 'conflicting_credentials' };

export function parseCredentials({ authorization, apiKey }: Credentials): ParsedCredentials {
  if (authorization === undefined && apiKey === undefined) return NONE;
  const bearer = authorization === undefined ? undefined : bearerToken(authorization);
  const key = apiKey === undefined ? undefined : visible(apiKey.trim());
  if (bearer === null || key === null) return MALFORMED;
  if (bearer !== undefined && key !== undefined && bearer !== key) return CONFLICTING;
  const secret = bearer ?? key;
  return secret === undefined
    ? NONE
    : { kind: 'presented', credential: { secret, digest: hash('sha256', secret, 'hex') } };
}

/** Whether a query string (with or without its `?`) carries a parameter that is made for credentials. */
export function hasQueryCredential(query: string): boolean {
  if (query === '' || query === '?') return false;
  for (const name of new URLSearchParams(query).keys()) {
    if (QUERY_CREDENTIALS.has(name.toLowerCase())) return true;
  }
  return false;
}

/** @returns null when the header is anything but one bearer credential */
function bearerToken(header: string): string | null {
  if (header.length > MAX_CREDENTIAL_CHARACTERS) return null;
  return BEARER.exec(header)?.[1] ?? null;
}

function visible(text: string): string | null {
  return text.length <= MAX_CREDENTIAL_CHARACTERS && VISIBLE_ASCII.test(text) ? text : null;
}
