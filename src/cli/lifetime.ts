/** From listening to the end: signals and fatal errors, whichever comes first, decide the exit code. */
import { constants } from 'node:os';
import { describeError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { EXIT } from './exit-codes.js';

export interface Stoppable {
  /** Lets calls in flight finish; resolves when nothing is left. */
  stop(): Promise<void>;
  /** Ends everything at once. */
  kill(): Promise<void>;
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

/** @returns the exit code: 0 when drained, 70 after a fatal error, 128 + signal when a second signal cut the drain */
export function untilStopped(
  gateway: Stoppable,
  logger: Logger,
  source: SignalSource,
  now: () => number = () => performance.now(),
): Promise<number> {
  return new Promise((resolve) => {
    const listeners: [string, (value: unknown) => void][] = [];
    let stoppingSinceMs: number | undefined;
    let exitCode: number = EXIT.ok;

    const finish = (code: number) => {
      for (const [event, listener] of listeners) source.off(event, listener);
      resolve(code);
    };
    const drain = () => {
      stoppingSinceMs = now();
      gateway.stop().then(
        () => finish(exitCode),
        (error: unknown) => {
          logger.error('drain_failed', describeError(error), { error });
          finish(EXIT.internal);
        },
      );
    };
    const onSignal = (signal: (typeof STOP_SIGNALS)[number]) => {
      if (stoppingSinceMs === undefined) {
        logger.info('signal', `${signal}: stopping; a second signal ends at once`, { signal });
        drain();
      } else if (now() - stoppingSinceMs >= SAME_SIGNAL_MS) {
        logger.warn('killed', `second ${signal}: ending at once`, { signal });
        // Nothing is waited for: the process ends with whatever this has managed to close.
        gateway.kill().catch((error: unknown) => logger.error('kill_failed', describeError(error)));
        finish(128 + constants.signals[signal]);
      }
    };
    const onFatal = (event: string, error: unknown) => {
      logger.error('fatal', `${event}: ${describeError(error)}`, { error });
      exitCode = EXIT.internal;
      if (stoppingSinceMs === undefined) drain();
    };

    for (const signal of STOP_SIGNALS) listeners.push([signal, () => onSignal(signal)]);
    for (const event of FATAL_EVENTS) listeners.push([event, (error) => onFatal(event, error)]);
    // Its default action ends the process, and a terminal that closes sends it.
    listeners.push(['SIGHUP', () => logger.warn('reload_unsupported', 'SIGHUP is ignored: reload is not supported')]);
    for (const [event, listener] of listeners) source.on(event, listener);
  });
}
