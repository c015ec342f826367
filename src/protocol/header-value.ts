/** Text in HTTP headers: plain ASCII as it is, anything else between sentinels in Base64. */

const ENCODED = /^=\?base64\?(.*)\?=$/;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @returns undefined when it looks encoded and is not, or not in UTF-8 */
export function decodeHeaderValue(value: string): string | undefined {
  const encoded = ENCODED.exec(value)?.[1];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, 'base64');
  // Node skips what is no Base64; whoever does not would read another value.
  if (bytes.toString('base64') !== encoded) return undefined;
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
