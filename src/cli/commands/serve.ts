/** `serve`: loads the configuration, starts the gateway, and stays until it is told to stop. */
import type { GatewayConfig } from '../../config/config.js';
import { ConfigError } from '../../config/problem.js';
import { describeError } from '../../core/errors.js';
import { createLogger, type Logger, type RootLogger } from '../../core/logger.js';
import type { LoggingOptions } from '../../core/logging-options.js';
import { type RunningGateway, startGateway } from '../../gateway/gateway.js';
import { banner, logStart } from '../banner.js';
import type { Io } from '../io.js';
import { untilStopped } from '../lifetime.js';
import { configOf, type ServeOptions } from '../serve-options.js';
import { readVersion } from '../version.js';

/** @returns the exit code, once the gateway has stopped */
export async function serve(options: ServeOptions, io: Io): Promise<number> {
  const config = await configOf(options, io);
  const logger = openLog(config);
  try {
    return await untilStopped(() => start(config, logger, io), logger, process);
  } finally {
    await logger.close();
  }
}

async function start(config: GatewayConfig, logger: Logger, io: Io): Promise<RunningGateway> {
  const gateway = await startGateway(config, { logger });
  const started = { config, address: gateway.address, version: readVersion() };
  // Among JSON lines the banner would be noise, so there the log says the same.
  if (isForPeople(config.logging)) io.err(banner(started));
  if (!isForPeople(config.logging) || config.logging.file !== undefined) logStart(started, logger);
  return gateway;
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
