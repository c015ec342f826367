/** Reads the configuration again, one time after the other, has it put in force, and tells operators what came of it. */
import type { AuditLog } from '../audit/audit-log.js';
import type { GatewayConfig } from '../config/config.js';
import { ConfigError, formatProblem } from '../config/problem.js';
import { ConfigWatcher } from '../config/watch.js';
import { describeError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { Metrics } from '../metrics/metrics.js';

/** What a new configuration did to the routes, by prefix. */
export interface ConfigChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Reached in another way than before. */
  readonly replaced: readonly string[];
  /** Keys whose new values have to wait for a restart. */
  readonly waiting: readonly string[];
}

export interface ReloaderDependencies {
  readonly logger: Logger;
  readonly audit: AuditLog | undefined;
  readonly metrics: Metrics | undefined;
  /** Undefined: there is nothing that could be read again. */
  readonly load: (() => Promise<GatewayConfig>) | undefined;
  /**
   * Puts it in force in one step.
   *
   * @throws {Error} it cannot be; then the one before is in force as it was
   */
  adopt(config: GatewayConfig): ConfigChanges;
}

export class Reloader {
  readonly #dependencies: ReloaderDependencies;
  readonly #watcher: ConfigWatcher;
  #files: readonly string[] = [];
  #warnings: readonly string[] = [];
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #isStopped = false;

  constructor(dependencies: ReloaderDependencies) {
    this.#dependencies = dependencies;
    this.#watcher = new ConfigWatcher({
      onChange: () => void this.reload(),
      onProblem: (reason) => {
        const msg = 'changes of the configuration may go unnoticed; SIGHUP reloads it';
        dependencies.logger.warn('config_watch_failed', msg, { reason });
      },
    });
  }

  /** Watches what the configuration in force was read from. */
  watch(config: GatewayConfig): void {
    this.#files = config.files;
    this.#warnings = config.warnings;
    if (this.#dependencies.load !== undefined) this.#watcher.watch(config.files, config.readAtMs);
  }

  /** Resolves when a configuration that was read after this call is in force or refused. Never rejects. */
  reload(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#read().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.reload();
    });
    return this.#next;
  }

  /** Nothing is put in force any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#watcher.close();
  }

  async #read(): Promise<void> {
    const { load, logger } = this.#dependencies;
    if (load === undefined) {
      logger.warn('reload_unsupported', 'nothing is reloaded: the configuration did not come from a file');
      return;
    }
    const readAtMs = Date.now();
    try {
      const config = await load();
      if (this.#isStopped) return;
      this.#accepted(config, this.#dependencies.adopt(config));
      this.#watcher.watch(config.files, config.readAtMs);
    } catch (error) {
      if (this.#isStopped) return;
      this.#refused(error);
      // The last good files too: what is missing may come back there.
      const named = error instanceof ConfigError ? error.files : [];
      this.#watcher.watch([...new Set([...this.#files, ...named])], readAtMs);
    }
  }

  #accepted(config: GatewayConfig, { waiting, ...routes }: ConfigChanges): void {
    const { logger, audit, metrics } = this.#dependencies;
    logger.info('config_reloaded', 'the configuration was reloaded', { configHash: config.hash, ...routes });
    if (waiting.length > 0) {
      const msg = `a restart is needed for the new ${waiting.join(', ')}; until then the old holds`;
      logger.warn('restart_needed', msg, { keys: waiting });
    }
    for (const warning of config.warnings) {
      if (!this.#warnings.includes(warning)) logger.warn('config_warning', warning);
    }
    metrics?.configRead(true);
    audit?.record({ event: 'config_reload', outcome: 'ok', reason: `configuration ${config.hash}` });
    this.#files = config.files;
    this.#warnings = config.warnings;
  }

  #refused(error: unknown): void {
    const { logger, audit, metrics } = this.#dependencies;
    const problems = error instanceof ConfigError ? error.problems.map(formatProblem) : [describeError(error)];
    logger.error('config_reload_failed', 'the new configuration was refused; the one before serves on', { problems });
    metrics?.configRead(false);
    audit?.record({ event: 'config_reload', outcome: 'error', reason: problems[0] });
  }
}
