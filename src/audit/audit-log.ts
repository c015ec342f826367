import { type Clock, systemClock } from '../core/clock.js';
import { type KeptArguments, keepArguments } from './arguments.js';
import { type OpenAuditFile, openAuditFile } from './audit-file.js';
import { BatchWriter } from './batch-writer.js';
import { AuditChain } from './chain.js';
import { CheckpointKeeper } from './checkpoint-keeper.js';
import { AuditFileError } from './errors.js';
import { type AuditEvent, CONTINUED } from './event.js';
import { capped, cappedAndRedacted } from './field-text.js';
import { AuditKey, auditKeyFile, readOrCreateAuditKey } from './key.js';
import type { AuditOptions } from './options.js';
import type { RecordFields } from './record.js';
import { type ResumedChain, resumeChain } from './resume.js';
import { Timestamps } from './timestamps.js';

const CHECKPOINT_RECORDS = 1000;
const CHECKPOINT_INTERVAL_MS = 60_000;
const NO_ARGUMENTS: KeptArguments = {};
/** So many events are made records of in one go, which costs a third of one by one; more would keep calls waiting. */
const BATCH_EVENTS = 32;
/** Events that come faster than the event loop turns have to wait for their records to be made. */
const MAX_PENDING_EVENTS = 256;
/** Arguments are kept in memory until then, unless they are long. */
const MAX_HELD_BYTES = 16 * 1024;
/** Characters of a record that is not made yet, about. */
const RECORD_LENGTH = 700;
const MAX_BUFFERED = 16 * 1024 * 1024;

/** What an audit log needs beside its options. */
export interface AuditContext {
  /** Name of this replica, in every record. */
  readonly replica: string;
  readonly clock?: Clock;
  /** Gets each checkpoint's line once it is on disk, so that a copy can leave the machine. */
  readonly onCheckpoint?: (line: string) => void;
  /** Writing failed, the first time in a row; it is repeated until it succeeds. */
  readonly onFailure?: (error: AuditFileError) => void;
  readonly onRecovery?: () => void;
  readonly openFile?: OpenAuditFile;
  /** Most characters that wait in memory for the disk; past it events are dropped. Default 16 Mi. */
  readonly maxBuffered?: number;
  /** The file is closed. */
  readonly onClosed?: () => Promise<void> | undefined;
}

export interface AuditStats {
  /** Records made since the start, those of the log itself included. */
  readonly records: number;
  /** Events of which no record was made. */
  readonly dropped: number;
  readonly isFailing: boolean;
}

interface PendingEvent {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly event: AuditEvent;
}

/**
 * The write side of the audit trail: makes records of events, chains them, and hands their lines to the writer.
 * Whether a call may go on without its record is the caller's decision; `healthy` says what the mode demands.
 */
export class AuditLog {
  readonly #options: AuditOptions;
  readonly #clock: Clock;
  readonly #key: AuditKey;
  readonly #chain: AuditChain;
  readonly #writer: BatchWriter;
  readonly #checkpoints: CheckpointKeeper;
  #pending: PendingEvent[] = [];
  readonly #onClosed: AuditContext['onClosed'];
  #isClosed = false;
  #records = 0;
  #dropped = 0;
  #droppedSinceGap = 0;
  #sinceCheckpoint = 0;
  #checkpointTimer: NodeJS.Timeout | undefined;
  readonly #timestamps = new Timestamps();

  private constructor(
    options: AuditOptions,
    context: AuditContext,
    parts: { key: AuditKey; chain: AuditChain; writer: BatchWriter; checkpoints: CheckpointKeeper },
  ) {
    this.#options = options;
    this.#clock = context.clock ?? systemClock;
    this.#onClosed = context.onClosed;
    this.#key = parts.key;
    this.#chain = parts.chain;
    this.#writer = parts.writer;
    this.#checkpoints = parts.checkpoints;
  }

  /**
   * Opens the file and goes on with the chain that is in it.
   *
   * @param options With `file` as a path that needs no further resolving.
   * @throws {AuditKeyError} the key file can be neither read nor made
   * @throws {AuditFileError} the file cannot be opened, read or repaired
   */
  static async open(options: AuditOptions, context: AuditContext): Promise<AuditLog> {
    const { file } = options;
    const key = options.key === undefined ? await readOrCreateAuditKey(auditKeyFile(file)) : new AuditKey(options.key);
    const checkpoints = new CheckpointKeeper(file, context.onCheckpoint);
    let resumed: ResumedChain;
    let writer: BatchWriter;
    let sealPending = (): void => {};
    try {
      resumed = await resumeChain(file, key, (context.clock ?? systemClock).wallTimeMs());
      writer = await BatchWriter.open(file, context.openFile ?? openAuditFile, {
        maxBuffered: context.maxBuffered ?? MAX_BUFFERED,
        onDue: () => sealPending(),
        onSynced: (lines) => checkpoints.synced(lines),
        onFailure: (error) => context.onFailure?.(new AuditFileError(file, error)),
        onRecovery: () => context.onRecovery?.(),
      });
    } catch (error) {
      throw new AuditFileError(file, error);
    }
    const chain = new AuditChain(key, capped(context.replica) ?? '', resumed.end);
    const log = new AuditLog(options, context, { key, chain, writer, checkpoints });
    sealPending = () => log.#sealPending();
    for (const fields of resumed.openingRecords) log.#write(log.#ts(), fields);
    return log;
  }

  /** Whether the mode lets calls go on: always when `best-effort`; when `strict`, while records reach the disk. */
  get healthy(): boolean {
    return this.#options.mode === 'best-effort' || (!this.#isClosed && !this.#writer.isFailing && this.#hasRoom);
  }

  get stats(): AuditStats {
    return { records: this.#records + this.#pending.length, dropped: this.#dropped, isFailing: this.#writer.isFailing };
  }

  /**
   * Makes the record of an event. It is in the file within 200 ms and on disk within a second.
   *
   * @param event Read when its record is made, shortly after: from now on it must not change.
   * @param argumentsLength Bytes in `event.arguments`, for who would have to make them to tell.
   * @returns false when there was no room for it; the next record that finds room is preceded by one of how many were lost
   */
  record(event: AuditEvent, argumentsLength = event.arguments?.length ?? 0): boolean {
    if (this.#isClosed || !this.#hasRoom) {
      this.#dropped += 1;
      this.#droppedSinceGap += 1;
      return false;
    }
    this.#tellDropped();
    this.#pending.push({ atMs: this.#clock.wallTimeMs(), event });
    const { length } = this.#pending;
    if (length >= MAX_PENDING_EVENTS || argumentsLength > MAX_HELD_BYTES) this.#sealPending();
    // Behind the call that it is about.
    else if (length === BATCH_EVENTS) setImmediate(() => this.#sealPending());
    else this.#writer.expectLine();
    return true;
  }

  /** Writes what is waiting; resolves when that was done or tried. */
  flush(): Promise<void> {
    this.#sealPending();
    return this.#writer.flush();
  }

  /** For log rotation: goes on in the file that now has the path. The first line there names the last hash of the old file. */
  async reopen(): Promise<void> {
    if (this.#isClosed) return;
    this.#sealPending();
    const line = this.#seal(this.#ts(), this.#checkpointFields(CONTINUED));
    this.#noteCheckpoint(line, this.#writer.pushToNextFile(line));
    await this.#writer.flush();
  }

  /**
   * Ends the trail with a checkpoint, writes everything to disk and closes the file.
   *
   * @throws {AuditFileError} some of it could not be written
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#sealPending();
    this.#tellDropped();
    if (this.#sinceCheckpoint > 0) this.#writeCheckpoint(this.#ts());
    this.#isClosed = true;
    clearTimeout(this.#checkpointTimer);
    const unwritten = await this.#writer.close();
    await this.#onClosed?.();
    if (unwritten > 0) throw new AuditFileError(this.#options.file, new Error(`${unwritten} records are lost`));
  }

  get #hasRoom(): boolean {
    return this.#writer.hasRoomFor(this.#pending.length * RECORD_LENGTH);
  }

  #tellDropped(): void {
    if (this.#droppedSinceGap === 0) return;
    const lost = this.#droppedSinceGap;
    this.#droppedSinceGap = 0;
    this.#sealPending();
    this.#write(this.#ts(), { event: 'gap', reason: 'dropped', lost });
  }

  /** Makes the records of the events that came, in their order. */
  #sealPending(): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    this.#pending = [];
    for (const { atMs, event } of pending) {
      const ts = this.#timestamps.text(atMs);
      this.#write(ts, this.#fieldsOf(event));
      if (this.#sinceCheckpoint >= CHECKPOINT_RECORDS) this.#writeCheckpoint(ts);
    }
  }

  #write(ts: string, fields: RecordFields): void {
    this.#writer.push(this.#seal(ts, fields));
    this.#sinceCheckpoint += 1;
    this.#checkpointTimer ??= setTimeout(() => {
      this.#sealPending();
      this.#writeCheckpoint(this.#ts());
    }, CHECKPOINT_INTERVAL_MS).unref();
  }

  #writeCheckpoint(ts: string): void {
    const line = this.#seal(ts, this.#checkpointFields(undefined));
    this.#noteCheckpoint(line, this.#writer.push(line));
  }

  #checkpointFields(reason: string | undefined): RecordFields {
    return { event: 'checkpoint', reason, count: this.#sinceCheckpoint, keyId: this.#key.id };
  }

  #noteCheckpoint(line: string, number: number): void {
    this.#checkpoints.note(line, number);
    this.#sinceCheckpoint = 0;
    clearTimeout(this.#checkpointTimer);
    this.#checkpointTimer = undefined;
  }

  #seal(ts: string, fields: RecordFields): string {
    this.#records += 1;
    return this.#chain.seal(ts, fields);
  }

  #fieldsOf(event: AuditEvent): RecordFields {
    const { latencyMs, arguments: bytes } = event;
    const kept = bytes === undefined ? NO_ARGUMENTS : keepArguments(this.#options.arguments, this.#key, bytes);
    return {
      event: event.event,
      decisionId: capped(event.decisionId),
      route: capped(event.route),
      principal: capped(event.principal),
      role: capped(event.role),
      tenant: capped(event.tenant),
      session: capped(event.session),
      method: cappedAndRedacted(event.method),
      tool: cappedAndRedacted(event.tool),
      argsHash: kept.argsHash,
      args: kept.args,
      effect: event.effect,
      would: event.would,
      layer: event.layer,
      rule: capped(event.rule),
      reason: cappedAndRedacted(event.reason),
      policyHash: capped(event.policyHash),
      outcome: event.outcome,
      latencyMs:
        latencyMs === undefined || !Number.isFinite(latencyMs) ? undefined : Math.round(latencyMs * 1000) / 1000,
      traceId: capped(event.traceId),
    };
  }

  #ts(): string {
    return this.#timestamps.text(this.#clock.wallTimeMs());
  }
}
