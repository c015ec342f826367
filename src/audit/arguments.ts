import type { AuditKey } from './key.js';
import type { AuditOptions } from './options.js';
import { redactValue } from './redact.js';

/** Larger arguments are not worth parsing: their copy would not fit into a field. */
const MAX_PARSED_BYTES = 64 * 1024;
const MAX_ARGS_BYTES = 8 * 1024;

export interface KeptArguments {
  readonly argsHash?: string;
  readonly args?: unknown;
}

/**
 * What a record keeps of the arguments of a call: a keyed hash of their bytes, a copy without secrets, or nothing.
 *
 * @param bytes JSON text, as the caller sent it.
 */
export function keepArguments(mode: AuditOptions['arguments'], key: AuditKey, bytes: Uint8Array): KeptArguments {
  switch (mode) {
    case 'none':
      return {};
    case 'hash':
      return { argsHash: key.hashArguments(bytes) };
    case 'redact':
      return { args: redactedCopy(bytes) };
  }
}

function redactedCopy(bytes: Uint8Array): unknown {
  const tooLarge = `[too large: ${bytes.length} bytes]`;
  if (bytes.length > MAX_PARSED_BYTES) return tooLarge;
  let copy: unknown;
  try {
    copy = redactValue(JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')));
  } catch {
    return '[not JSON]';
  }
  return Buffer.byteLength(JSON.stringify(copy)) > MAX_ARGS_BYTES ? tooLarge : copy;
}
