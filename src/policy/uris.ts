/**
 * Resource URIs written so plainly that every program reads the same address: only such a URI may be admitted by a
 * `*`. Other spellings of an address (`..`, `%2e`, `FILE:`, a host with user info) have to be allowed literally.
 */

const MAX_URI_LENGTH = 2048;
/** RFC 3986 characters, and braces for templates (`docs://{page}`) as listed by servers. */
const PLAIN_CHARACTERS = /^[a-z][a-z0-9+.-]*:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%{}]*$/;
const DOT_SEGMENT = /(?:^|[/:])\.{1,2}(?:[/:?#;]|$)/;
/** Encoded letters, digits, `-._~%/\` and controls: needless at best, a disguise at worst. */
const DISGUISE = /%(?:[01][0-9a-f]|7f|2[5def]|3[0-9]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9ae])/i;
const BAD_PERCENT = /%(?![0-9a-f]{2})/i;
const WEB_URI = /^(?:https?|wss?|ftp):/;

export function isPlainUri(uri: string): boolean {
  if (uri.length > MAX_URI_LENGTH || !PLAIN_CHARACTERS.test(uri)) return false;
  if (DOT_SEGMENT.test(uri) || DISGUISE.test(uri) || BAD_PERCENT.test(uri)) return false;
  return !WEB_URI.test(uri) || isPlainWebUri(uri);
}

/** Host in canonical form (lower case, no odd IP spelling, no default port, no trailing dot) and no user info. */
function isPlainWebUri(uri: string): boolean {
  if (!URL.canParse(uri)) return false;
  const url = new URL(uri);
  if (url.username !== '' || url.password !== '' || url.hostname.endsWith('.')) return false;
  const origin = `${url.protocol}//${url.host}`;
  const rest = uri.slice(origin.length);
  return uri.startsWith(origin) && (rest === '' || /^[/?#]/.test(rest));
}
