/** A URL that may be shown: no user name, password or fragment, and the values of its query left out. */
import { parseUrl } from './option-schemas.js';

export function redactUrl(text: string): string {
  const url = parseUrl(text);
  if (url === undefined) return '[not a URL]';
  const names = [...new Set(url.searchParams.keys())].map((name) => `${encodeURIComponent(name)}=***`);
  return `${url.protocol}//${url.host}${url.pathname}${names.length > 0 ? `?${names.join('&')}` : ''}`;
}
