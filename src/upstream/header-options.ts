/** Which headers an upstream entry may set, and which caller headers it may ask for. */
import { z } from 'zod';
import { refuse } from '../core/option-schemas.js';

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Written by the gateway itself: a second value would let two parsers disagree about one request. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'mcp-protocol-version',
  'mcp-session-id',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Credentials belong to the caller and this gateway; passing them on would let an upstream act as the caller. */
const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set([
  'api-key',
  'apikey',
  'authentication',
  'authorization',
  'cookie',
  'cookie2',
  'proxy-authenticate',
  'proxy-authorization',
  'set-cookie',
  'x-access-token',
  'x-amz-security-token',
  'x-api-key',
  'x-apikey',
  'x-auth-key',
  'x-auth-token',
  'x-csrf-token',
  'x-forwarded-access-token',
  'x-goog-api-key',
  'x-goog-iap-jwt-assertion',
  'x-xsrf-token',
]);

/** True when a header of this name usually carries a secret. */
export function isCredentialHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return CREDENTIAL_HEADERS.has(lower) || /(^|-)(token|secret|password|credential)s?(-|$)|api-?key/.test(lower);
}

export const upstreamHeadersSchema = z.record(z.string(), z.string()).transform((headers, context) => {
  const result = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers)) {
    const problem = headerProblem(name, value, result);
    if (problem === undefined) result[name.toLowerCase()] = value.trim();
    else context.issues.push({ code: 'custom', message: problem, path: [name], input: name, params: { atKey: true } });
  }
  return result;
});

function headerProblem(name: string, value: string, seen: Record<string, string>): string | undefined {
  if (!TOKEN.test(name)) return 'not a legal header name';
  if (OWN_HEADERS.has(name.toLowerCase())) return `the gateway sets the header "${name.toLowerCase()}" itself`;
  if (name.toLowerCase() in seen) return `the header "${name.toLowerCase()}" is given twice`;
  if (!VALUE.test(value)) return 'the value holds characters that a header cannot carry';
  return undefined;
}

export const forwardHeadersSchema = z.array(
  z.string().transform((name, context) => {
    const lower = name.toLowerCase();
    if (!TOKEN.test(name)) return refuse(context, 'not a legal header name');
    if (OWN_HEADERS.has(lower)) return refuse(context, `the gateway sets the header "${lower}" itself`);
    if (isCredentialHeader(lower)) {
      return refuse(
        context,
        `"${lower}" may carry a credential, which is never forwarded`,
        'give the upstream its own with headers',
      );
    }
    return lower;
  }),
);
