/** From start to end: signals and fatal errors, whichever comes first, decide the exit code. Other signals have files read or opened again. */
import { constants } from 'node:os';
import { background } from '../core/background.js';
import { describeError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { EXIT } from './exit-codes.js';

export interface Controlled {
  /** Lets calls in flight finish; resolves when nothing is left. */
  stop(): Promise<void>;
  /** Ends everything at once. */
  kill(): Promise<void>;
  /** Reads the configuration again. */
  reload(): Promise<void>;
  /** Goes on in files of the same name, after a rotation. */
  reopenFiles(): Promise<void>;
}

/** Where signals and fatal errors come from: `process`, or an emitter in tests. */
export interface SignalSource {
  on(event: string, listener: (value: unknown) => void): unknown;
  off(event: string, listener: (value: unknown) => void): unknown;
}

/** A terminal and a parent such as npx may both deliver one key press. */
const SAME_SIGNAL_MS = 50;
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const FATAL_EVENTS = ['uncaughtException', 'unhandledRejection'] as const;

/**
 * Starts the gateway and stays until it has stopped. Listens for signals before it starts, since whoever sees it ready
 * may send one at once; one that comes earlier lets it start and then drain.
 *
 * @returns the exit code: 0 when drained, 70 after a fatal error, 128 + signal when a second signal cut the drain
 * @throws what `start` throws
 */
export async function untilStopped(
  start: () => Promise<Controlled>,
  logger: Logger,
  source: SignalSource,
  now: () => number = () => performance.now(),
): Promise<number> {
  const lifetime = new Lifetime(logger, now);
  const listeners = lifetime.listeners();
  for (const [event, listener] of listeners) source.on(event, listener);
  try {
    return await lifetime.run(start());
  } finally {
    for (const [event, listener] of listeners) source.off(event, listener);
  }
}

class Lifetime {
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #ended: Promise<number>;
  #end: (exitCode: number) => void = () => {};
  #gateway: Controlled | undefined;
  #stoppingSinceMs: number | undefined;
  #exitCode: number = EXIT.ok;

  constructor(logger: Logger, now: () => number) {
    this.#logger = logger;
    this.#now = now;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  listeners(): [string, (value: unknown) => void][] {
    return [
      ...STOP_SIGNALS.map((signal): [string, () => void] => [signal, () => this.#onSignal(signal)]),
      ...FATAL_EVENTS.map((event): [string, (error: unknown) => void] => [
        event,
        (error) => this.#onFatal(event, error),
      ]),
      ['SIGHUP', () => this.#onMaintenance('reload_failed', (gateway) => gateway.reload())],
      ['SIGUSR2', () => this.#onMaintenance('reopen_failed', (gateway) => gateway.reopenFiles())],
    ];
  }

  run(starting: Promise<Controlled>): Promise<number> {
    const running = starting.then((gateway) => {
      this.#gateway = gateway;
      if (this.#stoppingSinceMs !== undefined) this.#drain(gateway);
      return this.#ended;
    });
    return Promise.race([running, this.#ended]);
  }

  #onSignal(signal: (typeof STOP_SIGNALS)[number]): void {
    if (this.#stoppingSinceMs === undefined) {
      this.#logger.info('signal', `${signal}: stopping; a second signal ends at once`, { signal });
      this.#stop();
    } else if (this.#now() - this.#stoppingSinceMs >= SAME_SIGNAL_MS) {
      this.#logger.warn('killed', `second ${signal}: ending at once`, { signal });
      // Nothing is waited for: the process ends with whatever this has managed to close.
      this.#gateway?.kill().catch((error: unknown) => this.#logger.error('kill_failed', describeError(error)));
      this.#end(128 + constants.signals[signal]);
    }
  }

  /** What starts has just read its files, so before that there is nothing to do. */
  #onMaintenance(failure: string, work: (gateway: Controlled) => Promise<void>): void {
    if (this.#gateway === undefined || this.#stoppingSinceMs !== undefined) return;
    background(work(this.#gateway), this.#logger, failure);
  }

  #onFatal(event: string, error: unknown): void {
    this.#logger.error('fatal', `${event}: ${describeError(error)}`, { error });
    this.#exitCode = EXIT.internal;
    this.#stop();
  }

  #stop(): void {
    if (this.#stoppingSinceMs !== undefined) return;
    this.#stoppingSinceMs = this.#now();
    if (this.#gateway !== undefined) this.#drain(this.#gateway);
  }

  #drain(gateway: Controlled): void {
    gateway.stop().then(
      () => this.#end(this.#exitCode),
      (error: unknown) => {
        this.#logger.error('drain_failed', describeError(error), { error });
        this.#end(EXIT.internal);
      },
    );
  }
}
