import type { AuditFile, OpenAuditFile } from './audit-file.js';

/** A line waits this long at most before it is handed to the operating system; and a failed write before it is repeated. */
const FLUSH_INTERVAL_MS = 200;
/** So many waiting characters are written at once. */
const FLUSH_LENGTH = 256 * 1024;
/** What was written is forced to disk this long after, so it is there within a second of being recorded. */
const SYNC_INTERVAL_MS = 500;

/** Stands in the queue between the last line of the old file and the first of the new one. */
const REOPEN = Symbol('reopen');

interface Batch {
  /** What is left to write. */
  bytes: Buffer;
  /** What the lines count for in `#buffered`. */
  readonly length: number;
  readonly lines: number;
}

export interface BatchWriterOptions {
  /** From so many waiting characters on there is no room. */
  readonly maxBuffered: number;
  /** Everything up to this line, counted from 1 in the order pushed, is on disk. */
  readonly onSynced: (lines: number) => Promise<void>;
  /** What waits is about to be written: whoever has lines in hand pushes them now. */
  readonly onDue?: () => void;
  /** The first of a row of failures; the lines are kept and the write is repeated. */
  readonly onFailure: (error: unknown) => void;
  readonly onRecovery: () => void;
}

/**
 * Writes lines to a file in batches, in order, each line whole and once, and repeats what failed.
 * Memory is bounded by whoever asks `hasRoom` before pushing; what the lines say is none of its business.
 */
export class BatchWriter {
  readonly #path: string;
  readonly #openFile: OpenAuditFile;
  readonly #options: BatchWriterOptions;
  #file: AuditFile;
  #queue: (string | typeof REOPEN)[] = [];
  #buffered = 0;
  #batch: Batch | undefined;
  #pushedLines = 0;
  #writtenLines = 0;
  #syncedLines = 0;
  #isSyncDue = false;
  #isFailing = false;
  #flushing: Promise<void> | undefined;
  #flushTimer: NodeJS.Timeout | undefined;
  #syncTimer: NodeJS.Timeout | undefined;

  private constructor(path: string, file: AuditFile, openFile: OpenAuditFile, options: BatchWriterOptions) {
    this.#path = path;
    this.#file = file;
    this.#openFile = openFile;
    this.#options = options;
  }

  static async open(path: string, openFile: OpenAuditFile, options: BatchWriterOptions): Promise<BatchWriter> {
    return new BatchWriter(path, await openFile(path), openFile, options);
  }

  /** Whether another line may be pushed. */
  get hasRoom(): boolean {
    return this.hasRoomFor(0);
  }

  /** Whether another line may be pushed after some that are on their way. @param length Their characters. */
  hasRoomFor(length: number): boolean {
    return this.#buffered + length < this.#options.maxBuffered;
  }

  /** Whether the last attempt to write or sync failed. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** A line is on its way and counts from now on: `onDue` asks for it in time. */
  expectLine(): void {
    this.#armFlush();
  }

  /** @returns the number of the line, counted from 1 */
  push(line: string): number {
    this.#queue.push(line);
    this.#buffered += line.length;
    this.#pushedLines += 1;
    if (this.#buffered >= FLUSH_LENGTH && !this.#isFailing) void this.flush();
    else this.#armFlush();
    return this.#pushedLines;
  }

  /** Pushes the first line of the file that has the path once everything before it is written and on disk. */
  pushToNextFile(line: string): number {
    this.#queue.push(REOPEN);
    return this.push(line);
  }

  /** Writes what is waiting. Never rejects: failures are reported as events, and repeated. */
  flush(): Promise<void> {
    // Whatever asks for it, the timer that would have asked for expected lines is about to go.
    this.#options.onDue?.();
    this.#flushing ??= this.#drain().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /** Writes and syncs what is waiting, tried once, and closes the file. @returns how many lines were not written */
  async close(): Promise<number> {
    await this.flush();
    this.#isSyncDue = true;
    await this.flush();
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#syncTimer);
    await this.#file.close();
    return this.#pushedLines - this.#writtenLines;
  }

  async #drain(): Promise<void> {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    try {
      do {
        while (this.#hasWork()) await this.#drainOnce();
        if (this.#isSyncDue) await this.#sync();
      } while (this.#hasWork());
      this.#succeeded();
    } catch (error) {
      this.#failed(error);
    }
  }

  #hasWork(): boolean {
    return this.#batch !== undefined || this.#queue.length > 0;
  }

  async #drainOnce(): Promise<void> {
    if (this.#batch === undefined && this.#queue[0] === REOPEN) return this.#swapFile();
    this.#batch ??= this.#nextBatch();
    await this.#write(this.#batch);
    this.#batch = undefined;
    this.#armSync();
  }

  #nextBatch(): Batch {
    const barrier = this.#queue.indexOf(REOPEN);
    const lines = this.#queue.splice(0, barrier === -1 ? this.#queue.length : barrier);
    const text = lines.join('');
    return { bytes: Buffer.from(text), length: text.length, lines: lines.length };
  }

  async #write(batch: Batch): Promise<void> {
    while (batch.bytes.length > 0) {
      // What a full disk still took stays written; the next attempt goes on from there.
      const written = await this.#file.write(batch.bytes);
      if (written === 0) throw new Error('nothing could be written');
      batch.bytes = batch.bytes.subarray(written);
    }
    this.#writtenLines += batch.lines;
    this.#buffered -= batch.length;
  }

  async #swapFile(): Promise<void> {
    const previous = this.#file;
    await previous.sync();
    this.#file = await this.#openFile(this.#path);
    this.#queue.shift();
    await previous.close();
  }

  async #sync(): Promise<void> {
    if (this.#syncedLines < this.#writtenLines) {
      const lines = this.#writtenLines;
      await this.#file.sync();
      await this.#options.onSynced(lines);
      this.#syncedLines = lines;
    }
    this.#isSyncDue = false;
  }

  #armFlush(): void {
    this.#flushTimer ??= setTimeout(() => {
      this.#flushTimer = undefined;
      void this.flush();
    }, FLUSH_INTERVAL_MS).unref();
  }

  #armSync(): void {
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      this.#isSyncDue = true;
      void this.flush();
    }, SYNC_INTERVAL_MS).unref();
  }

  #succeeded(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#options.onRecovery();
  }

  #failed(error: unknown): void {
    this.#armFlush();
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#options.onFailure(error);
  }
}
