/** Up to here a copy costs less than a second buffer in the write. */
export const COPIED_BYTES = 16 * 1024;

/** Bytes between two texts in Latin-1, as one buffer, so that they leave in one write. */
export function inOneBuffer(before: string, bytes: Buffer, after = ''): Buffer {
  const whole = Buffer.allocUnsafe(before.length + bytes.length + after.length);
  whole.write(before, 'latin1');
  bytes.copy(whole, before.length);
  if (after !== '') whole.write(after, before.length + bytes.length, 'latin1');
  return whole;
}
