/**
 * A gateway for a test: from a configuration as a user would write it, on a free port, in this process or, when the
 * test is about the process (signals, crashes), as a child that runs the build.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.js';
import type { LogFields, Logger } from '../../src/core/logger.js';
import { startGateway } from '../../src/gateway/gateway.js';
import { type Child, printed, startNode } from './child.js';

export interface TestGateway {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Drains it, and removes its files. May be called again. */
  stop(): Promise<void>;
}

export interface InProcessGateway extends TestGateway {
  readonly log: RecordingLogger;
}

export interface ChildGateway extends TestGateway {
  readonly child: Child;
}

export interface TestGatewayOptions {
  /** What `${VAR}` and `MCP_GATEWAY_*` see. The port is 0 unless `MCP_GATEWAY_SERVER_PORT` says otherwise. */
  readonly env?: Readonly<Record<string, string>>;
  /** More files beside gateway.yaml, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

/** gateway.yaml as text, or as the object it stands for (`version` may be left out). */
export type ConfigText = string | Readonly<Record<string, unknown>>;

/** Starts a gateway in this process. Its log is kept and not printed. */
export async function startTestGateway(
  config: ConfigText,
  options: TestGatewayOptions = {},
): Promise<InProcessGateway> {
  const { file, remove } = await writeConfig(config, options);
  try {
    const log = new RecordingLogger();
    const loaded = await loadConfig({ file, env: environment(options) });
    const gateway = await startGateway(loaded, { logger: log });
    return {
      url: `http://127.0.0.1:${gateway.port}`,
      port: gateway.port,
      log,
      stop: async () => {
        await gateway.stop();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Starts a gateway as `dist/cli/main.js`, which `npm run build` makes. */
export async function startGatewayProcess(config: ConfigText, options: TestGatewayOptions = {}): Promise<ChildGateway> {
  const { file, remove } = await writeConfig(config, options);
  const child = startNode(['dist/cli/main.js', '--config', file], { env: environment(options) });
  try {
    const port = Number(await printed(child, /listen(?:ing|s) on http:\/\/[^\s:]+:(\d+)/));
    return {
      url: `http://127.0.0.1:${port}`,
      port,
      child,
      stop: async () => {
        await child.stop();
        await remove();
      },
    };
  } catch (error) {
    await child.stop('SIGKILL');
    await remove();
    throw error;
  }
}

function environment(options: TestGatewayOptions): Record<string, string> {
  return { MCP_GATEWAY_SERVER_PORT: '0', ...options.env };
}

async function writeConfig(config: ConfigText, options: TestGatewayOptions) {
  const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-test-'));
  const file = join(directory, 'gateway.yaml');
  await writeFile(file, typeof config === 'string' ? config : stringify({ version: 1, ...config }));
  for (const [name, content] of Object.entries(options.files ?? {})) await writeFile(join(directory, name), content);
  return { file, remove: () => rm(directory, { recursive: true, force: true }) };
}

export interface LogLine {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly event: string;
  readonly msg: string;
  readonly fields: LogFields;
}

/** Keeps what is logged. */
export class RecordingLogger implements Logger {
  readonly debugEnabled = true;
  readonly lines: LogLine[];
  readonly #fields: LogFields;

  constructor(lines: LogLine[] = [], fields: LogFields = {}) {
    this.lines = lines;
    this.#fields = fields;
  }

  error(event: string, msg: string, fields?: LogFields): void {
    this.#keep('error', event, msg, fields);
  }

  warn(event: string, msg: string, fields?: LogFields): void {
    this.#keep('warn', event, msg, fields);
  }

  info(event: string, msg: string, fields?: LogFields): void {
    this.#keep('info', event, msg, fields);
  }

  debug(event: string, msg: string, fields?: LogFields): void {
    this.#keep('debug', event, msg, fields);
  }

  child(fields: LogFields): Logger {
    return new RecordingLogger(this.lines, { ...this.#fields, ...fields });
  }

  #keep(level: LogLine['level'], event: string, msg: string, fields: LogFields = {}): void {
    this.lines.push({ level, event, msg, fields: { ...this.#fields, ...fields } });
  }
}
