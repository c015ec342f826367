/**
 * The log for operators. The one file that knows winston.
 * A level that is off costs one comparison here and never reaches winston, whose own check takes microseconds.
 */
import { finished } from 'node:stream/promises';
import winston from 'winston';
import { type Clock, systemClock } from './clock.js';
import { LogFile } from './log-file.js';
import { type LogFields, type LogRecord, type RenderLine, prettyRenderer, renderJson } from './log-format.js';
import type { LoggingOptions, LogLevel } from './logging-options.js';

export type { LogFields };

export interface Logger {
  /** @param event a stable dotted name, for machines; `msg` is for people */
  error(event: string, msg: string, fields?: LogFields): void;
  warn(event: string, msg: string, fields?: LogFields): void;
  info(event: string, msg: string, fields?: LogFields): void;
  debug(event: string, msg: string, fields?: LogFields): void;
  /** Ask before building costly fields. */
  readonly debugEnabled: boolean;
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Logger;
}

export interface RootLogger extends Logger {
  /** Writes what is waiting and lets go of the file; later lines are dropped. */
  close(): Promise<void>;
  /** Opens `logging.file` anew, after a rotation. */
  reopen(): void;
}

export interface LoggerSeams {
  /** Instead of standard error. */
  stream?: NodeJS.WritableStream & { isTTY?: boolean };
  clock?: Clock;
}

const RANKS: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };
const MESSAGE = Symbol.for('message');

/**
 * Opens the log.
 *
 * @throws {Error} `options.file` cannot be opened (a system error with `code` and `path`)
 */
export function createLogger(options: LoggingOptions, seams: LoggerSeams = {}): RootLogger {
  const file = options.file === undefined ? undefined : new LogFile(options.file);
  const stream = file ?? seams.stream ?? process.stderr;
  const output = openWinston(stream, chooseRenderer(options, stream));
  return new WinstonLogger(new LogOutput(output, file, seams.clock ?? systemClock), RANKS[options.level], {});
}

/** What all children share: the winston logger and whether it is still open. */
class LogOutput {
  readonly #winston: winston.Logger;
  readonly #file: LogFile | undefined;
  readonly #clock: Clock;
  #open = true;

  constructor(output: winston.Logger, file: LogFile | undefined, clock: Clock) {
    this.#winston = output;
    this.#file = file;
    this.#clock = clock;
  }

  write(level: LogLevel, event: string, msg: string, fields: LogFields): void {
    if (!this.#open) return;
    const record: LogRecord = { timeMs: this.#clock.wallTimeMs(), level, event, msg, fields };
    this.#winston.log({ level, message: msg, record });
  }

  reopen(): void {
    if (this.#open) this.#file?.reopen();
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#winston.end();
    await finished(this.#winston, { readable: false });
    if (this.#file === undefined) return;
    this.#file.end();
    await finished(this.#file);
  }
}

class WinstonLogger implements RootLogger {
  readonly debugEnabled: boolean;
  readonly #infoEnabled: boolean;
  readonly #warnEnabled: boolean;
  readonly #rank: number;
  readonly #output: LogOutput;
  readonly #bound: LogFields;

  constructor(output: LogOutput, rank: number, bound: LogFields) {
    this.#output = output;
    this.#rank = rank;
    this.#bound = bound;
    this.debugEnabled = rank >= RANKS.debug;
    this.#infoEnabled = rank >= RANKS.info;
    this.#warnEnabled = rank >= RANKS.warn;
  }

  error(event: string, msg: string, fields?: LogFields): void {
    this.#write('error', event, msg, fields);
  }

  warn(event: string, msg: string, fields?: LogFields): void {
    if (this.#warnEnabled) this.#write('warn', event, msg, fields);
  }

  info(event: string, msg: string, fields?: LogFields): void {
    if (this.#infoEnabled) this.#write('info', event, msg, fields);
  }

  debug(event: string, msg: string, fields?: LogFields): void {
    if (this.debugEnabled) this.#write('debug', event, msg, fields);
  }

  child(fields: LogFields): Logger {
    return new WinstonLogger(this.#output, this.#rank, { ...this.#bound, ...fields });
  }

  reopen(): void {
    this.#output.reopen();
  }

  async close(): Promise<void> {
    await this.#output.close();
  }

  #write(level: LogLevel, event: string, msg: string, fields: LogFields | undefined): void {
    this.#output.write(level, event, msg, fields === undefined ? this.#bound : { ...this.#bound, ...fields });
  }
}

function openWinston(stream: NodeJS.WritableStream, render: RenderLine): winston.Logger {
  // A reader that went away (EPIPE) or a full disk must not end the process.
  stream.on('error', () => {});
  const format = winston.format((info) => {
    info[MESSAGE] = render(info['record'] as LogRecord);
    return info;
  })();
  const output = winston.createLogger({
    levels: RANKS,
    level: 'debug',
    format,
    transports: [new winston.transports.Stream({ stream, eol: '\n' })],
    exitOnError: false,
  });
  output.on('error', () => {});
  return output;
}

function chooseRenderer(options: LoggingOptions, stream: NodeJS.WritableStream & { isTTY?: boolean }): RenderLine {
  const isTerminal = stream.isTTY === true;
  if (options.format === 'json' || (options.format === 'auto' && !isTerminal)) return renderJson;
  return prettyRenderer(isTerminal && !process.env['NO_COLOR']);
}
