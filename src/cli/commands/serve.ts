/** `serve`: loads the configuration, starts the gateway, and stays until it is told to stop. */
import type { GatewayConfig } from '../../config/config.js';
import { ConfigError } from '../../config/problem.js';
import { describeError } from '../../core/errors.js';
import { createLogger, type RootLogger } from '../../core/logger.js';
import type { LoggingOptions } from '../../core/logging-options.js';
import { type GatewayHooks, type RunningGateway, startGateway } from '../../gateway/gateway.js';
import { banner, logStart } from '../banner.js';
import type { Io } from '../io.js';
import { type Controlled, untilStopped } from '../lifetime.js';
import { configOf, type ServeOptions } from '../serve-options.js';
import { readVersion } from '../version.js';

/** @returns the exit code, once the gateway has stopped */
export async function serve(options: ServeOptions, io: Io): Promise<number> {
  const config = await configOf(options, io);
  const logger = openLog(config);
  try {
    return await untilStopped(() => start(config, options, logger, io), logger, process);
  } finally {
    await logger.close();
  }
}

async function start(config: GatewayConfig, options: ServeOptions, logger: RootLogger, io: Io): Promise<Controlled> {
  const gateway = await startGateway(config, { logger, ...reloading(config, options, io) });
  const started = { config, address: gateway.address, version: readVersion() };
  // Among JSON lines the banner would be noise, so there the log says the same.
  if (isForPeople(config.logging)) io.err(banner(started));
  if (!isForPeople(config.logging) || config.logging.file !== undefined) logStart(started, logger);
  return withLog(gateway, logger);
}

/** Flags and standard input say what they say once. A file that was found in one of the usual places is read there again. */
function reloading(config: GatewayConfig, options: ServeOptions, io: Io): Pick<GatewayHooks, 'load'> {
  const isFile = options.upstream === undefined && options.sseProxy === undefined && config.source !== '<stdin>';
  return isFile ? { load: () => configOf({ ...options, config: config.source }, io) } : {};
}

/** The log is one of the files that are rotated. */
function withLog(gateway: RunningGateway, logger: RootLogger): Controlled {
  return {
    stop: () => gateway.stop(),
    kill: () => gateway.kill(),
    reload: () => gateway.reload(),
    reopenFiles: async () => {
      logger.reopen();
      await gateway.reopenFiles();
    },
  };
}

function openLog(config: GatewayConfig): RootLogger {
  try {
    return createLogger(config.logging);
  } catch (error) {
    const position = { file: config.source, line: 0, column: 0, path: 'logging.file' };
    throw new ConfigError([{ ...position, message: `logging.file cannot be opened: ${describeError(error)}` }]);
  }
}

function isForPeople({ format, file }: LoggingOptions): boolean {
  return file !== undefined || format === 'pretty' || (format === 'auto' && process.stderr.isTTY);
}
