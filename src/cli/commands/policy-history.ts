/** `policy history`: every push and rollback of one policy, the newest first. */
import { escapeUnsafe } from '../../core/log-format.js';
import { EXIT } from '../exit-codes.js';
import type { Io } from '../io.js';
import { loadShared, requirePolicy, withShelf } from '../policy-shelf.js';
import { table } from '../table.js';

export interface PolicyHistoryOptions {
  config?: string;
  json?: boolean;
}

/** @throws {ConfigError} the configuration is invalid, or has no such policy */
export async function policyHistory(name: string, options: PolicyHistoryOptions, io: Io): Promise<number> {
  const config = await loadShared(options.config, io);
  requirePolicy(config, name);
  const entries = await withShelf(config, (shelf) => shelf.history(name));
  const rows = entries.map(({ atMs, action, hash, author }) => ({
    at: new Date(atMs).toISOString(),
    action,
    hash: hash ?? null,
    author,
  }));
  if (options.json === true) io.out(`${JSON.stringify(rows, undefined, 2)}\n`);
  else if (rows.length === 0) io.err(`nothing was pushed as ${name}\n`);
  else {
    const cells = rows.map(({ at, action, hash, author }) => [at, action, hash ?? '-', author].map(escapeUnsafe));
    io.out(table([['TIME', 'ACTION', 'HASH', 'AUTHOR'], ...cells]));
  }
  return EXIT.ok;
}
