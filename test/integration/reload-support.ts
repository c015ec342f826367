/** A gateway in this process whose gateway.yaml tests rewrite while it runs. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.js';
import { type RunningGateway, startGateway } from '../../src/gateway/gateway.js';
import { type LogLine, RecordingLogger } from '../helpers/start-gateway.js';
import { delay, waitFor } from '../helpers/wait.js';

export type ConfigObject = Readonly<Record<string, unknown>>;

export function yamlOf(config: ConfigObject): string {
  return stringify({ version: 1, ...config });
}

export class ReloadableGateway {
  readonly directory: string;
  readonly log: RecordingLogger;
  readonly #gateway: RunningGateway;

  private constructor(directory: string, log: RecordingLogger, gateway: RunningGateway) {
    this.directory = directory;
    this.log = log;
    this.#gateway = gateway;
  }

  static async start(config: ConfigObject, files: Readonly<Record<string, string>> = {}): Promise<ReloadableGateway> {
    const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-reload-'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    await writeFile(join(directory, 'gateway.yaml'), yamlOf(config));
    return ReloadableGateway.startIn(directory);
  }

  /**
   * Of a gateway.yaml that is there already. The directory is removed in the end.
   *
   * @param whenRead Done between reading it and starting.
   */
  static async startIn(directory: string, whenRead?: () => Promise<void>): Promise<ReloadableGateway> {
    const log = new RecordingLogger();
    // Time stamps of files are coarse: what was written in this very moment would count as changed since it was read.
    await delay(50);
    const options = { file: join(directory, 'gateway.yaml'), env: { MCP_GATEWAY_SERVER_PORT: '0' } };
    const config = await loadConfig(options);
    await whenRead?.();
    const gateway = await startGateway(config, { logger: log, load: () => loadConfig(options) });
    return new ReloadableGateway(directory, log, gateway);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#gateway.port}`;
  }

  /** Replaces gateway.yaml by a rename, as careful editors do. */
  async replace(config: ConfigObject): Promise<void> {
    await writeFile(join(this.directory, 'new.yaml'), yamlOf(config));
    await rename(join(this.directory, 'new.yaml'), join(this.directory, 'gateway.yaml'));
  }

  async write(text: string, name = 'gateway.yaml'): Promise<void> {
    await writeFile(join(this.directory, name), text);
  }

  reload(): Promise<void> {
    return this.#gateway.reload();
  }

  /** Writes it and has it read, without waiting for the watcher. */
  async apply(config: ConfigObject): Promise<void> {
    await this.replace(config);
    await this.reload();
  }

  logged(event: string): LogLine[] {
    return this.log.lines.filter((line) => line.event === event);
  }

  async status(): Promise<Record<string, unknown>> {
    return (await (await fetch(`${this.url}/status`)).json()) as Record<string, unknown>;
  }

  async prefixes(): Promise<string[]> {
    const status = await this.status();
    const routes = Array.isArray(status['routes']) ? (status['routes'] as Record<string, unknown>[]) : [status];
    return routes.map((route) => String(route['proxy_path'])).toSorted((one, other) => (one < other ? -1 : 1));
  }

  async hasLogged(event: string, count = 1): Promise<LogLine[]> {
    return waitFor(`${event}, ${count} times`, () => {
      const lines = this.logged(event);
      return lines.length >= count ? lines : undefined;
    });
  }

  async stop(): Promise<void> {
    await this.#gateway.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}
