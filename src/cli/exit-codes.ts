/** Exit codes, as `sysexits.h` numbers them, and which error ends with which. */
import { ConfigError, ConfigNotFoundError } from '../config/problem.js';

export const EXIT = {
  ok: 0,
  /** An answer of "no": not ready, denied, something would change, a bad record. */
  no: 1,
  usage: 64,
  noInput: 66,
  unavailable: 69,
  internal: 70,
  addressInUse: 71,
  notPermitted: 77,
  config: 78,
} as const;

const BY_CODE: ReadonlyMap<unknown, number> = new Map([
  ['EADDRINUSE', EXIT.addressInUse],
  ['ADDRESS_IN_USE', EXIT.addressInUse],
  ['EACCES', EXIT.notPermitted],
  ['EPERM', EXIT.notPermitted],
  ['EEXIST', EXIT.notPermitted],
  ['EROFS', EXIT.notPermitted],
  ['NOT_PERMITTED', EXIT.notPermitted],
  ['REQUIRED_UPSTREAM', EXIT.unavailable],
  ['REQUIRED_STORE', EXIT.unavailable],
  ['STORE_AWAY', EXIT.unavailable],
  ['POLICY_CONFLICT', EXIT.no],
  ['POLICY_NOT_KEPT', EXIT.no],
  // `server.host` is no address of this machine, or no name.
  ['EADDRNOTAVAIL', EXIT.config],
  ['ENOTFOUND', EXIT.config],
]);

/** What these are about is named by the configuration, unless what caused them says it better. */
const OF_CONFIGURATION: ReadonlySet<unknown> = new Set(['KEY_SET_INVALID', 'AUDIT_KEY', 'AUDIT_FILE']);

/** A command line that makes no sense. */
export class UsageError extends Error {}

/** A file that the command line names, or a key that it needs, is not there. */
export class InputMissingError extends Error {}

/** The code of the error itself, else of what caused it. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof ConfigError) return EXIT.config;
  if (error instanceof ConfigNotFoundError || error instanceof InputMissingError) return EXIT.noInput;
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = 'code' in cause ? BY_CODE.get(cause.code) : undefined;
    if (code !== undefined) return code;
  }
  const isConfigured = error instanceof Error && 'code' in error && OF_CONFIGURATION.has(error.code);
  return isConfigured ? EXIT.config : EXIT.internal;
}
