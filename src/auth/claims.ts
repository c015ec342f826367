/** Reads what the gateway needs out of the claims of a verified token. Whether the token is good was settled before. */

export type Claims = Readonly<Record<string, unknown>>;

export const NO_CLAIMS: Claims = Object.freeze(Object.create(null));

/** Whoever walks through claims later may do so by recursion. */
const MAX_DEPTH = 32;

/**
 * A deep copy that nobody can change and that inherits nothing, so a rule that asks for `constructor` finds nothing.
 *
 * @throws {RangeError} more than 32 levels
 */
export function sealClaims(payload: object): Claims {
  return sealObject(payload, 1);
}

/**
 * The text that a claim holds; of a list its first text.
 *
 * @param path A claim's whole name (which may contain dots, as in `https://acme.example/role`), else a dotted path into it.
 */
export function textClaim(claims: Claims, path: string): string | undefined {
  const value = Object.hasOwn(claims, path) ? claims[path] : valueAt(claims, path.split('.'));
  const text: unknown = Array.isArray(value) ? value.find((item) => typeof item === 'string') : value;
  return typeof text === 'string' && text !== '' ? text : undefined;
}

/** Scopes of `scope` and `scp`, each either one text separated by spaces or a list of texts. */
export function scopesOf(claims: Claims): ReadonlySet<string> {
  const scopes = new Set<string>();
  for (const claim of [claims.scope, claims.scp]) {
    const items: readonly unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
    for (const item of items) {
      if (typeof item === 'string' && item !== '') scopes.add(item);
    }
  }
  return scopes;
}

function valueAt(claims: Claims, segments: readonly string[]): unknown {
  let value: unknown = claims;
  for (const segment of segments) {
    if (!isObject(value) || !Object.hasOwn(value, segment)) return undefined;
    value = value[segment];
  }
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function seal(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) throw new RangeError(`claims are nested deeper than ${MAX_DEPTH} levels`);
  return Array.isArray(value) ? Object.freeze(value.map((item) => seal(item, depth + 1))) : sealObject(value, depth);
}

function sealObject(source: object, depth: number): Claims {
  const copy: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(source)) copy[name] = seal(value, depth + 1);
  return Object.freeze(copy);
}
