/** `policy rollback`: makes an earlier push rule again on all replicas, or the file. */
import { escapeUnsafe } from '../../core/log-format.js';
import type { RollbackTarget } from '../../redis/rollback-target.js';
import { EXIT, UsageError } from '../exit-codes.js';
import type { Io } from '../io.js';
import { authorOf, hashOf, loadShared, requireHash, requirePolicy, requireUsable, withShelf } from '../policy-shelf.js';

export interface PolicyRollbackOptions {
  config?: string;
  toFile?: boolean;
}

/**
 * @throws {UsageError} both a hash and the file are asked for, or it is no hash
 * @throws {ConfigError} the configuration is invalid, has no such policy, or the push does not compile under it any more
 * @throws {GatewayError} code POLICY_NOT_KEPT: there is nothing to go back to; STORE_AWAY: Redis does not answer
 */
export async function policyRollback(
  name: string,
  hash: string | undefined,
  options: PolicyRollbackOptions,
  io: Io,
): Promise<number> {
  const target = targetOf(hash, options);
  const config = await loadShared(options.config, io);
  const ofFile = requirePolicy(config, name);
  const author = authorOf(io);
  const { before, after } = await withShelf(config, (shelf) =>
    shelf.rollback(name, target, { author, atMs: Date.now() }, (kept) => {
      requireUsable(kept.text, `pushed:${name}@${kept.hash.slice(0, 8)}`, name, config, io);
    }),
  );
  const place = after.source === 'file' ? ' (file)' : '';
  io.out(`${name}: ${hashOf(before, ofFile)} -> ${hashOf(after, ofFile)}${place}\n`);
  const isNews = before?.revision !== after.revision;
  const what = isNews ? `rolled back by ${escapeUnsafe(author)}; it rules` : 'this is what rules already';
  io.err(`${what} on all replicas${isNews ? ' within a second' : ''}\n`);
  return EXIT.ok;
}

function targetOf(hash: string | undefined, { toFile }: PolicyRollbackOptions): RollbackTarget {
  if (hash !== undefined && toFile === true) throw new UsageError('give a hash or --to-file, not both');
  if (toFile === true) return { to: 'file' };
  return hash === undefined ? { to: 'previous' } : { to: 'hash', hash: requireHash(hash, 'HASH') };
}
