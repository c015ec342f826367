/**
 * How an OAuth client learns where to get a token: the protected resource metadata (RFC 9728) and the challenge that points to it.
 * Builds values only; the listener serves them.
 */
import type { AuthRefusal } from './refusals.js';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

export interface ProtectedResource {
  /** Absolute URL of the endpoint, as clients reach it. */
  readonly resource: string;
  /** Issuer URLs that clients may get a token from. */
  readonly authorizationServers: readonly string[];
  readonly scopes: readonly string[];
}

export interface ProtectedResourceMetadata {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly bearer_methods_supported: readonly string[];
  readonly scopes_supported?: readonly string[];
}

/** @see https://www.rfc-editor.org/rfc/rfc9728#section-2 */
export function protectedResourceMetadata(resource: ProtectedResource): ProtectedResourceMetadata {
  return {
    resource: resource.resource,
    authorization_servers: resource.authorizationServers,
    bearer_methods_supported: ['header'],
    ...(resource.scopes.length === 0 ? {} : { scopes_supported: resource.scopes }),
  };
}

/**
 * Where the metadata of a resource is served: the well-known segment goes between host and path.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9728#section-3.1
 */
export function protectedResourceMetadataUrl(resource: string): string {
  const { origin, pathname, search } = new URL(resource);
  return `${origin}${WELL_KNOWN}${pathname === '/' ? '' : pathname}${search}`;
}

/**
 * The `WWW-Authenticate` header of a refusal.
 *
 * @param metadataUrl Undefined when no metadata is served, as with API keys alone.
 * @see https://www.rfc-editor.org/rfc/rfc6750#section-3 a caller that sent no credential is told no error
 */
export function wwwAuthenticate(refusal: AuthRefusal, metadataUrl: string | undefined): string {
  const parameters: [name: string, value: string][] = [];
  if (refusal.error !== 'missing') {
    parameters.push(['error', refusal.error], ['error_description', refusal.description]);
  }
  if (refusal.scope !== undefined) parameters.push(['scope', refusal.scope]);
  if (metadataUrl !== undefined) parameters.push(['resource_metadata', metadataUrl]);
  const written = parameters.map(([name, value]) => `${name}=${quoted(value)}`);
  return written.length === 0 ? 'Bearer' : `Bearer ${written.join(', ')}`;
}

/** A quoted-string; what may not stand in a header becomes `?`, so no value can start a header of its own. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
