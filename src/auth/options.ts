/** The `auth` section of gateway.yaml: every key with its default, its unit and one line of documentation. */
import { z } from 'zod';

import { keySetUrlProblem } from './key-set-url.js';

/** Asymmetric algorithms only: with a shared secret, whoever can verify a token can also forge one. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** First halves of the principal ids that the gateway itself gives out; an issuer of that name could impersonate them. */
const RESERVED_ISSUERS: ReadonlySet<string> = new Set(['anonymous', 'apikey', 'mtls', 'signature']);

const label = z.string().min(1).max(256);

const anonymousOptions = z.strictObject({
  role: label.optional().describe('Role of callers that send no credential; without it the route decides.'),
});

const apiKeyOptions = z.strictObject({
  name: label.describe('Name of the key; the caller is known as `apikey|<name>`.'),
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, 'must be the SHA-256 of the key: 64 hexadecimal digits')
    .describe('SHA-256 of the key in hexadecimal: printf %s "$KEY" | sha256sum'),
  role: label.optional().describe('Role of callers with this key; without it the route decides.'),
  tenant: label.optional().describe('Tenant of callers with this key.'),
});

const issuerName = z
  .string()
  .min(1)
  .refine((issuer) => !issuer.includes('|') && !RESERVED_ISSUERS.has(issuer), {
    error: 'must be the `iss` of the tokens: no "|", and none of anonymous, apikey, mtls, signature',
  });

const jwtIssuerOptions = z
  .strictObject({
    issuer: issuerName.describe('Exact `iss` of the tokens, trailing slash included.'),
    audience: z
      .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
      .describe('What `aud` must contain: this gateway, as the issuer names it. One of several is enough.'),
    jwksUri: z
      .string()
      .superRefine((uri, context) => {
        const problem = keySetUrlProblem(uri);
        if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
      })
      .optional()
      .describe('Where the issuer publishes its keys; https, or http on a loopback host.'),
    jwksFile: z
      .string()
      .min(1)
      .optional()
      .describe('File with the keys of the issuer, instead of jwksUri; a change is seen within 5 s.'),
    algorithms: z
      .array(z.enum(ALGORITHMS))
      .min(1)
      .default(['RS256', 'ES256', 'EdDSA'])
      .describe('Signature algorithms accepted from this issuer.'),
    roleClaim: label
      .default('role')
      .describe('Claim that holds the role: a name or a dotted path; the first text of a list.'),
    tenantClaim: label
      .default('tenant')
      .describe('Claim that holds the tenant: a name or a dotted path; the first text of a list.'),
    requiredScopes: z
      .array(
        z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be a scope: visible ASCII, no space, quote or backslash'),
      )
      .default([])
      .describe('Scopes that a token must carry, in `scope` or `scp`.'),
  })
  .refine((issuer) => (issuer.jwksUri === undefined) !== (issuer.jwksFile === undefined), {
    error: 'needs exactly one of jwksUri and jwksFile',
  });

export { keySetFileProblem } from './file-key-set.js';

export const authOptions = z.strictObject({
  anonymous: anonymousOptions
    .optional()
    .describe('Lets callers without a credential in; without it they get 401 once apiKeys or jwt is set.'),
  apiKeys: z
    .array(apiKeyOptions)
    .min(1)
    .superRefine(refuseRepeats('name', (key) => key.name))
    .superRefine(refuseRepeats('sha256', (key) => key.sha256.toLowerCase()))
    .optional()
    .describe('Keys sent as `Authorization: Bearer <key>` or `X-API-Key`.'),
  jwt: z
    .array(jwtIssuerOptions)
    .min(1)
    .superRefine(refuseRepeats('issuer', (issuer) => issuer.issuer))
    .optional()
    .describe('Issuers whose signed tokens are accepted. `exp` and `sub` are required in every token.'),
});

export type AuthOptions = z.output<typeof authOptions>;
export type AnonymousOptions = z.output<typeof anonymousOptions>;
export type ApiKeyOptions = z.output<typeof apiKeyOptions>;
export type JwtIssuerOptions = z.output<typeof jwtIssuerOptions>;

/** A check that points at every entry of a list whose `field` was used before. */
function refuseRepeats<Entry>(field: string, valueOf: (entry: Entry) => string) {
  return (entries: readonly Entry[], context: z.RefinementCtx): void => {
    const seen = new Set<string>();
    for (const [index, entry] of entries.entries()) {
      const value = valueOf(entry);
      if (seen.has(value)) {
        context.addIssue({ code: 'custom', path: [index, field], message: `${field} is used by an earlier entry` });
      }
      seen.add(value);
    }
  };
}
