import type { AuditKey } from './key.js';
import { canonicalText, lineText, type RecordFields } from './record.js';

/** `prev` of the first record of a chain. */
export const GENESIS_HASH = '0'.repeat(64);

/** The last record of a chain: where the next one joins. */
export interface ChainEnd {
  readonly seq: number;
  readonly hash: string;
}

export const CHAIN_START: ChainEnd = { seq: 0, hash: GENESIS_HASH };

/** Numbers records and binds each to the one before it by its hash. */
export class AuditChain {
  readonly #key: AuditKey;
  readonly #replica: string;
  #end: ChainEnd;

  constructor(key: AuditKey, replica: string, end: ChainEnd) {
    this.#key = key;
    this.#replica = replica;
    this.#end = end;
  }

  /** @returns the line of the record, line feed included */
  seal(ts: string, fields: RecordFields): string {
    const seq = this.#end.seq + 1;
    const canonical = canonicalText({ ts, seq, prev: this.#end.hash, replica: this.#replica }, fields);
    const hash = this.#key.hashRecord(canonical);
    this.#end = { seq, hash };
    return `${lineText(canonical, hash)}\n`;
  }
}
