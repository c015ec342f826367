/** `policy show`: which policies rule and where they come from; or the text of one. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { GatewayConfig } from '../../config/config.js';
import { escapeUnsafe } from '../../core/log-format.js';
import type { PolicyDocument } from '../../policy/document.js';
import { formatSource } from '../../policy/explain.js';
import type { PolicyState } from '../../redis/policy-record.js';
import type { ShelfEntry } from '../../redis/policy-shelf.js';
import { EXIT } from '../exit-codes.js';
import type { Io } from '../io.js';
import { loadShared, requirePolicy, unreadable, withShelf } from '../policy-shelf.js';
import { table } from '../table.js';

export interface PolicyShowOptions {
  config?: string;
  json?: boolean;
}

interface PolicyRow {
  name: string;
  /** Null: what was pushed cannot be read here. */
  hash: string | null;
  source: 'pushed' | 'file' | 'unreadable';
  author: string | null;
  /** RFC 3339 */
  at: string | null;
}

/** @throws {ConfigError} the configuration is invalid, has no such policy, or its secret does not open what was pushed */
export async function policyShow(name: string | undefined, options: PolicyShowOptions, io: Io): Promise<number> {
  const config = await loadShared(options.config, io);
  if (name !== undefined) requirePolicy(config, name);
  const entries = await withShelf(config, (shelf) => shelf.all());
  const found = new Map(entries.map((entry) => [entry.name, entry]));
  if (name === undefined) showAll(config, found, options, io);
  else showOne(name, config, found.get(name), options, io);
  return EXIT.ok;
}

function showAll(
  config: GatewayConfig,
  found: ReadonlyMap<string, ShelfEntry>,
  { json }: PolicyShowOptions,
  io: Io,
): void {
  const rows = [...config.policies].map(([name, ofFile]) => rowOf(name, ofFile, found.get(name)));
  if (json === true) return io.out(`${JSON.stringify(rows, undefined, 2)}\n`);
  const cells = rows.map(({ name, hash, source, author, at }) => [name, hash ?? '-', source, at ?? '-', author ?? '-']);
  io.out(table([['NAME', 'HASH', 'FROM', 'TIME', 'AUTHOR'], ...cells.map((row) => row.map(escapeUnsafe))]));
}

function showOne(
  name: string,
  config: GatewayConfig,
  entry: ShelfEntry | undefined,
  { json }: PolicyShowOptions,
  io: Io,
): void {
  if (entry !== undefined && entry.state === undefined) throw unreadable(config, name);
  const ofFile = requirePolicy(config, name);
  const text = textOf(entry?.state, ofFile, config, io);
  if (json === true) return io.out(`${JSON.stringify({ ...rowOf(name, ofFile, entry), text }, undefined, 2)}\n`);
  if (text === null) return io.err(`${name} is written in ${formatSource(ofFile.defaultSource)}\n`);
  io.out(text.endsWith('\n') ? text : `${text}\n`);
}

function rowOf(name: string, ofFile: PolicyDocument, entry: ShelfEntry | undefined): PolicyRow {
  if (entry === undefined) return { name, hash: ofFile.hash, source: 'file', author: null, at: null };
  const { state } = entry;
  if (state === undefined) return { name, hash: null, source: 'unreadable', author: null, at: null };
  const hash = state.source === 'pushed' ? state.hash : ofFile.hash;
  return { name, hash, source: state.source, author: state.author, at: new Date(state.atMs).toISOString() };
}

/** @returns null for a policy that is written inside the configuration and has no text of its own */
function textOf(state: PolicyState | undefined, ofFile: PolicyDocument, config: GatewayConfig, io: Io): string | null {
  if (state?.source === 'pushed') return state.text;
  return ofFile.file === config.source ? null : readFileSync(resolve(io.cwd, ofFile.file), 'utf8');
}
