/** Who is calling, as far as the gateway could verify it. Equality of callers is `id`, never the bytes of a token. */
export interface Principal {
  /** Issuer and subject joined, e.g. `https://idp.example|alice`, `apikey|ci`, `anonymous`. */
  readonly id: string;
  readonly kind: 'anonymous' | 'api-key' | 'jwt' | 'mtls' | 'signature';
  /** Undefined when authentication gave none; the route's default role applies then. */
  readonly role: string | undefined;
  readonly tenant: string | undefined;
  /** Verified claims for conditions; empty when there are none. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** When the credential ends, in milliseconds since 1970; undefined when it does not. */
  readonly expiresAtMs: number | undefined;
}
