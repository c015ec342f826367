import { renderHeaders } from '../http-client/headers.js';

type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** The caller's headers that this route passes on, rendered; undefined when there are none, which is the usual case. */
export function forwardedHeaders(names: readonly string[], headers: IncomingHeaders): string | undefined {
  if (names.length === 0) return undefined;
  const found: [string, string][] = [];
  for (const name of names) {
    const value = headers[name];
    if (typeof value === 'string') found.push([name, value]);
  }
  return found.length === 0 ? undefined : renderHeaders(found);
}
