/** `policy push`: makes a file rule as the policy of a name on all replicas, if it compiles. */
import { readFileSync, statSync } from 'node:fs';
import { ConfigError } from '../../config/problem.js';
import { escapeUnsafe } from '../../core/log-format.js';
import { EXIT } from '../exit-codes.js';
import type { Io } from '../io.js';
import { authorOf, hashOf, loadShared, requireHash, requirePolicy, requireUsable, withShelf } from '../policy-shelf.js';
import { requireFile } from '../require-file.js';

export interface PolicyPushOptions {
  config?: string;
  ifHash?: string;
}

const MAX_POLICY_BYTES = 4 * 1_048_576;

/**
 * @throws {InputMissingError} the file cannot be read
 * @throws {ConfigError} the configuration or the policy is invalid, or there is no such policy
 * @throws {GatewayError} code POLICY_CONFLICT: another policy rules than `ifHash`; STORE_AWAY: Redis does not answer
 */
export async function policyPush(name: string, file: string, options: PolicyPushOptions, io: Io): Promise<number> {
  const ifHash = options.ifHash === undefined ? undefined : requireHash(options.ifHash, '--if-hash');
  const path = requireFile(file, io.cwd);
  const config = await loadShared(options.config, io);
  const ofFile = requirePolicy(config, name);
  const text = readText(path, file);
  const { hash } = requireUsable(text, file, name, config, io);
  const author = authorOf(io);
  const format = text.trimStart().startsWith('{') ? 'json' : 'yaml';
  const { before, after } = await withShelf(config, (shelf) =>
    shelf.push(
      name,
      { text, format, hash, author, atMs: Date.now() },
      ifHash === undefined ? undefined : { hash: ifHash, ofFile: ofFile.hash },
    ),
  );
  io.out(`${name}: ${hashOf(before, ofFile)} -> ${hash}\n`);
  const isNews = before?.revision !== after.revision;
  const what = isNews ? `pushed by ${escapeUnsafe(author)}; it rules` : 'this is what rules already';
  io.err(`${what} on all replicas${isNews ? ' within a second' : ''}\n`);
  return EXIT.ok;
}

/** @throws {ConfigError} it is too large, or no UTF-8 */
function readText(path: string, shown: string): string {
  const place = { file: shown, line: 1, column: 1, path: '' };
  if (statSync(path).size > MAX_POLICY_BYTES) {
    throw new ConfigError([{ ...place, message: `it is larger than ${MAX_POLICY_BYTES} bytes` }]);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new ConfigError([{ ...place, message: 'it is not valid UTF-8' }]);
  }
}
