import { type ChainEnd, GENESIS_HASH } from './chain.js';
import { type CheckpointCopy, checkpointFile, parseCheckpoint, readCheckpoint } from './checkpoint-copy.js';
import { CONTINUED } from './event.js';
import type { AuditKey } from './key.js';
import { readLines } from './lines.js';
import { readRecord, type SealedRecord } from './read-record.js';
import { MAX_LINE_BYTES } from './resume.js';

export type AuditVerification =
  | {
      readonly ok: true;
      readonly records: number;
      /** Greater than 1 when earlier files of the chain were not given. */
      readonly firstSeq: number;
      readonly lastSeq: number;
      /** Events that the log itself says it lost, to a disk that took none. */
      readonly lost: number;
      /** Bytes of an unfinished line at the very end: a crash, or a write that is under way. */
      readonly tornBytes: number;
    }
  | {
      readonly ok: false;
      readonly file: string;
      /** Counted from 1. */
      readonly line: number;
      /** What the line says its number is, if it says one. */
      readonly seq: number | undefined;
      readonly problem: string;
    };

type Failure = Extract<AuditVerification, { ok: false }>;

/**
 * Checks files of one chain, oldest first, reading each once from start to end.
 * Found is every record that was changed, removed, added, moved, repeated or taken from elsewhere, and an end that was
 * cut off before the newest known checkpoint: the one in `<last file>.checkpoint`, and those in `checkpoints`.
 *
 * @param checkpoints Lines of checkpoints that were kept elsewhere.
 * @throws what reading the files throws
 */
export async function verifyAuditFiles(
  files: readonly string[],
  key: AuditKey,
  checkpoints: readonly string[] = [],
): Promise<AuditVerification> {
  const lastFile = files.at(-1);
  if (lastFile === undefined) throw new RangeError('no audit file was given');
  // Read before the trail: a live one may get a newer checkpoint meanwhile.
  const known: CheckpointCopy[] = [
    await readCheckpoint(lastFile, key),
    ...checkpoints.map((line) => parseCheckpoint(Buffer.from(line), key)),
  ];
  const verifier = new Verifier(key, known);
  for (const file of files) {
    const failure = await verifier.readFile(file);
    if (failure !== undefined) return failure;
  }
  return verifier.finish(lastFile);
}

/** Where the reading stands: the record before the next one, and the checkpoints still to be met. */
class Verifier {
  readonly #key: AuditKey;
  readonly #known: readonly CheckpointCopy[];
  readonly #awaited: ReadonlyMap<number, string>;
  #end: ChainEnd | undefined;
  #firstSeq = 0;
  #records = 0;
  #lost = 0;
  #tornBytes = 0;
  #lineOfLastFile = 0;

  constructor(key: AuditKey, known: readonly CheckpointCopy[]) {
    this.#key = key;
    this.#known = known;
    this.#awaited = new Map(
      known.flatMap((copy) => (copy.kind === 'valid' ? [[copy.record.seq, copy.record.hash]] : [])),
    );
  }

  async readFile(file: string): Promise<Failure | undefined> {
    let line = 0;
    const failed = (seq: number | undefined, problem: string): Failure => ({ ok: false, file, line, seq, problem });
    if (this.#tornBytes > 0) return failed(undefined, 'the file before this one ends inside a record');
    for await (const { bytes, isWhole } of readLines(file, MAX_LINE_BYTES)) {
      line += 1;
      if (!isWhole && bytes.length > MAX_LINE_BYTES) return failed(undefined, 'no record is as long as this line');
      if (!isWhole) {
        this.#tornBytes = bytes.length;
        break;
      }
      const read = readRecord(bytes, this.#key);
      if (!read.ok) return failed(read.seq, 'this record was changed, or written under another key');
      const problem = this.#problemOf(read.record);
      if (problem !== undefined) return failed(read.record.seq, problem);
      this.#accept(read.record);
    }
    this.#lineOfLastFile = line;
    return undefined;
  }

  finish(lastFile: string): AuditVerification {
    const failed = (file: string, line: number, seq: number | undefined, problem: string): Failure => ({
      ok: false,
      file,
      line,
      seq,
      problem,
    });
    const changed = this.#known.find((copy) => copy.kind === 'invalid');
    if (changed !== undefined) {
      return failed(
        checkpointFile(lastFile),
        1,
        changed.seq,
        'this copy of a checkpoint was changed, or is of another key',
      );
    }
    const lastSeq = this.#end?.seq ?? 0;
    const newest = Math.max(0, ...this.#awaited.keys());
    if (newest > lastSeq) {
      const problem = `the end is missing: a checkpoint of record ${newest} is known, the last record here is ${lastSeq}`;
      return failed(lastFile, this.#lineOfLastFile + 1, lastSeq, problem);
    }
    return {
      ok: true,
      records: this.#records,
      firstSeq: this.#firstSeq,
      lastSeq,
      lost: this.#lost,
      tornBytes: this.#tornBytes,
    };
  }

  /** How a record, right in itself, does not fit where it stands. */
  #problemOf(record: SealedRecord): string | undefined {
    const { seq, prev, hash } = record;
    const known = this.#awaited.get(seq);
    if (known !== undefined && known !== hash) return 'another record had this number when its checkpoint was copied';
    if (record.event === 'gap' && record.reason === 'truncated') {
      return `the file had been cut: ${record.lost} records before this one are missing`;
    }
    if (this.#end === undefined) return startsChain(record) ? undefined : 'the records before this one are missing';
    const expected = this.#end.seq + 1;
    if (seq > expected) return `${seq - expected} records before this one are missing`;
    if (seq < expected) return `this record is out of place or repeated: number ${expected} belongs here`;
    return prev === this.#end.hash ? undefined : 'this record belongs to another chain';
  }

  #accept(record: SealedRecord): void {
    if (this.#end === undefined) this.#firstSeq = record.seq;
    this.#end = record;
    this.#records += 1;
    if (record.event === 'gap') this.#lost += record.lost;
  }
}

/** Only these may come first: the very first record, and the checkpoint that a rotation begins a file with. */
function startsChain({ seq, prev, event, reason }: SealedRecord): boolean {
  return (seq === 1 && prev === GENESIS_HASH) || (event === 'checkpoint' && reason === CONTINUED);
}
