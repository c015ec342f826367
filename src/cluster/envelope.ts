/**
 * What one replica tells another about a request that it passes on: what it is, who calls, from where, and which replica is meant.
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
  readonly flags?: Readonly<Record<string, string>> | undefined;
}

/** Everything about a request but its body and its time, and therefore the same for most requests of one session. */
export interface Envelope extends ForwardFacts {
  readonly v: 2;
  /** Ids of replicas. */
  readonly to: string;
  readonly from: string;
  readonly method: string;
  /** As the client sent it, percent-encoding included. */
  readonly path: string;
  /** Without the question mark; empty when there is none. */
  readonly query: string;
  /** Those of the client that travel, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
}

/** JSON escapes what is below. */
const NOT_PRINTABLE_ASCII = /[\x7f-\uffff]/g;

const KINDS: ReadonlySet<unknown> = new Set<Principal['kind']>(['anonymous', 'api-key', 'jwt', 'mtls', 'signature']);

type Fields = Readonly<Record<string, unknown>>;

/** @returns text that can stand in a header */
export function encodeEnvelope(envelope: Envelope): string {
  return JSON.stringify(envelope).replaceAll(NOT_PRINTABLE_ASCII, escaped);
}

/** @returns undefined when the text is no envelope that this version knows */
export function decodeEnvelope(text: string): Envelope | undefined {
  const fields = asFields(parseJson(text));
  const principal = readPrincipal(asFields(fields?.['principal']));
  if (fields?.['v'] !== 2 || principal === undefined) return undefined;
  const { to, from, method, path, query, headers, ip, publicPrefix, flags } = fields;
  if (!isText(to) || !isText(from) || !isText(method) || !isText(path) || !isText(query)) return undefined;
  if (!isText(ip) || !isText(publicPrefix) || !areTexts(headers)) return undefined;
  if (flags !== undefined && !areTexts(flags)) return undefined;
  const facts = { principal, ip, publicPrefix, ...(flags === undefined ? {} : { flags }) };
  return { v: 2, to, from, method, path, query, headers, ...facts };
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
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

function areTexts(value: unknown): value is Readonly<Record<string, string>> {
  const fields = asFields(value);
  return fields !== undefined && Object.values(fields).every(isText);
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
