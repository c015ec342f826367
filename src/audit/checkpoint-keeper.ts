import { saveCheckpoint } from './checkpoint-copy.js';

/** Gives the newest checkpoint away, to the file beside the trail and to whoever else wants it, once it is on disk. */
export class CheckpointKeeper {
  readonly #auditFile: string;
  readonly #onCheckpoint: ((line: string) => void) | undefined;
  #newest: { readonly line: string; readonly number: number } | undefined;

  constructor(auditFile: string, onCheckpoint: ((line: string) => void) | undefined) {
    this.#auditFile = auditFile;
    this.#onCheckpoint = onCheckpoint;
  }

  /** @param number Which line of the writer it is, counted from 1. */
  note(line: string, number: number): void {
    this.#newest = { line, number };
  }

  /** Earlier would be wrong: a copy of a record that a crash then takes from the file looks like tampering. */
  async synced(lines: number): Promise<void> {
    const newest = this.#newest;
    if (newest === undefined || newest.number > lines) return;
    await saveCheckpoint(this.#auditFile, newest.line);
    if (this.#newest === newest) this.#newest = undefined;
    this.#onCheckpoint?.(newest.line);
  }
}
