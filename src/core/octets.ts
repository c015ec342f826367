/** Which bytes may stand where in HTTP/1.1 (RFC 9110 section 5.6). */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;

/** A byte of a field name or another token. */
export const TOKEN = 1;
/** A byte of a field value or reason phrase: printable, space, tab, or 0x80 and up. */
export const TEXT = 2;

/** The classes of every byte, as bits. */
export const octetClass: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  const isText = byte === HTAB || (byte >= SP && byte !== 0x7f);
  const isToken = byte < 0x80 && /[\w!#$%&'*+.^`|~-]/.test(String.fromCharCode(byte));
  return (isToken ? TOKEN : 0) | (isText ? TEXT : 0);
});

/** @returns 0 to 15, or -1 when `byte` is no hexadecimal digit */
export function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
