/**
 * What one replica tells another about a request that it passes on: who calls, from where, and which replica is meant.
 * Whether it may be believed is decided in `forward-seal.ts`.
 */
import type { Principal } from '../auth/principal.js';

/** What the edge found out about a request, so that the owner need not. */
export interface ForwardFacts {
  readonly principal: Principal;
  /** Of the client. */
  readonly ip: string;
  /** What stands before our paths as the client sees them. */
  readonly publicPrefix: string;
  /** Whatever else the two sides agree on. */
  readonly flags?: Readonly<Record<string, string>>;
}

export interface Envelope extends ForwardFacts {
  readonly v: 1;
  /** Ids of replicas. */
  readonly to: string;
  readonly from: string;
  /** Wall time of the sender, in milliseconds since 1970. */
  readonly at: number;
  /** Never used twice. */
  readonly nonce: string;
  readonly body: BodyFacts;
}

export interface BodyFacts {
  readonly bytes: number;
  /** Digest in base64url; empty when there are no bytes. */
  readonly sha256: string;
}

const KINDS: ReadonlySet<unknown> = new Set<Principal['kind']>(['anonymous', 'api-key', 'jwt', 'mtls', 'signature']);

type Fields = Readonly<Record<string, unknown>>;

export function encodeEnvelope(envelope: Envelope): string {
  return Buffer.from(JSON.stringify(envelope)).toString('base64url');
}

/** @returns undefined when the text is no envelope that this version knows */
export function decodeEnvelope(text: string): Envelope | undefined {
  const fields = asFields(parseJson(Buffer.from(text, 'base64url').toString()));
  const principal = readPrincipal(asFields(fields?.['principal']));
  const body = readBody(asFields(fields?.['body']));
  if (fields?.['v'] !== 1 || principal === undefined || body === undefined) return undefined;
  const { to, from, at, nonce, ip, publicPrefix, flags } = fields;
  if (!isText(to) || !isText(from) || !isText(nonce) || !isText(ip) || !isText(publicPrefix)) return undefined;
  if (typeof at !== 'number' || !areFlags(flags)) return undefined;
  return { v: 1, to, from, at, nonce, principal, ip, publicPrefix, body, ...(flags === undefined ? {} : { flags }) };
}

function readPrincipal(fields: Fields | undefined): Principal | undefined {
  if (fields === undefined) return undefined;
  const { id, kind, role, tenant, expiresAtMs } = fields;
  const claims = asFields(fields['claims']);
  if (!isText(id) || !KINDS.has(kind) || claims === undefined) return undefined;
  if (!isTextIfAny(role) || !isTextIfAny(tenant)) return undefined;
  if (expiresAtMs !== undefined && typeof expiresAtMs !== 'number') return undefined;
  return { id, kind: kind as Principal['kind'], role, tenant, claims, expiresAtMs };
}

function readBody(fields: Fields | undefined): BodyFacts | undefined {
  const bytes = fields?.['bytes'];
  const sha256 = fields?.['sha256'];
  return isText(sha256) && Number.isSafeInteger(bytes) && Number(bytes) >= 0
    ? { bytes: Number(bytes), sha256 }
    : undefined;
}

function areFlags(value: unknown): value is ForwardFacts['flags'] | undefined {
  if (value === undefined) return true;
  const flags = asFields(value);
  return flags !== undefined && Object.values(flags).every(isText);
}

function asFields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isTextIfAny(value: unknown): value is string | undefined {
  return value === undefined || isText(value);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
