/** A Node that the conformance tools start on: they need 22, which is more than the gateway asks for. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** @throws {Error} this one is too old, and there is no packaged one for this platform */
export function nodePath(modules: string): string {
  if (Number.parseInt(process.versions.node, 10) >= 22) return process.execPath;
  const packaged = join(modules, `node-${process.platform}-${process.arch}`, 'bin/node');
  if (!existsSync(packaged)) throw new Error(`the conformance tools need Node 22 or later; there is no ${packaged}`);
  return packaged;
}
