/** Request headers as the text that goes on the wire, checked when they are made and not on every call. */

/** Framing and connection handling belong to the client; a caller who set one could desynchronise the connection. */
const OWNED_BY_CLIENT: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'accept-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'expect',
  'te',
  'trailer',
  'upgrade',
]);

const ILLEGAL_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/**
 * Renders `name: value\r\n` lines, to be made once and sent many times; blocks are put together as strings.
 *
 * @throws {TypeError} a name is no token or belongs to the client; a value holds a control character or one beyond Latin-1
 */
export function renderHeaders(headers: Iterable<readonly [string, string]>): string {
  let lines = '';
  for (const [name, value] of headers) {
    if (!TOKEN.test(name)) throw new TypeError(`illegal header name ${JSON.stringify(name)}`);
    if (OWNED_BY_CLIENT.has(name.toLowerCase()))
      throw new TypeError(`header "${name}" is set by the HTTP client itself`);
    // The value stays out of the text: it may be a credential.
    if (ILLEGAL_VALUE.test(value)) throw new TypeError(`illegal character in the value of header "${name}"`);
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}
