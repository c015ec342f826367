/**
 * The revisions of the protocol and what changed between them. The only file that compares version strings.
 * @see https://modelcontextprotocol.io/specification/versioning
 */

/** Revisions with an `initialize` handshake, newest first. */
export const LEGACY_VERSIONS: readonly string[] = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];

/** What a Streamable HTTP request without `MCP-Protocol-Version` speaks, by the specification. */
export const ASSUMED_HTTP_VERSION = '2025-03-26';

/** Revisions are dates, so text order is time order. */
function isAtLeast(version: string, revision: string): boolean {
  return version >= revision;
}

export function isLegacyVersion(version: string): boolean {
  return LEGACY_VERSIONS.includes(version);
}

/** JSON-RPC batches were legal for one revision only. */
export function allowsBatch(version: string): boolean {
  return version === '2025-03-26';
}

/** Older clients try to parse the empty data of a priming event as JSON. */
export function understandsPrimingEvent(version: string): boolean {
  return isAtLeast(version, '2025-11-25');
}

/** The revision without sessions: every request stands for itself. */
export const MODERN_VERSION = '2026-07-28';

/** Revisions without a handshake that the gateway carries. */
export const MODERN_VERSIONS: readonly string[] = [MODERN_VERSION];

/** Also true of modern revisions yet to come. */
export function isModernVersion(version: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(version) && isAtLeast(version, MODERN_VERSION);
}
