/** A program that runs beside a test and can be killed, paused and resumed; it never outlives the test's process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { boundToUs, type Tool } from './system-tools.js';

export interface SystemProcessOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What ends it together with what it started. Default: KILL. */
  readonly lastSignal?: 'KILL' | 'TERM';
}

const running = new Set<SystemProcess>();
process.on('exit', () => {
  for (const each of running) each.end();
});

export class SystemProcess {
  readonly #child: ChildProcess;
  readonly #lastSignal: 'KILL' | 'TERM';
  readonly #exited: Promise<unknown>;
  #output = '';

  private constructor(child: ChildProcess, lastSignal: 'KILL' | 'TERM') {
    this.#child = child;
    this.#lastSignal = lastSignal;
    const keep = (chunk: Buffer) => {
      this.#output += chunk.toString('utf8');
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.on('error', (error) => keep(Buffer.from(`${error.message}\n`)));
    this.#exited = once(child, 'close').finally(() => running.delete(this));
    // Who asks for the end hears of a failure; nobody else has to.
    this.#exited.catch(() => {});
  }

  static start(tool: Tool, args: readonly string[], options: SystemProcessOptions = {}): SystemProcess {
    const lastSignal = options.lastSignal ?? 'KILL';
    const [command = tool.file, ...before] = boundToUs(tool, lastSignal);
    const child = spawn(command, [...before, ...args], {
      cwd: options.cwd,
      env: { ...process.env, ...tool.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = new SystemProcess(child, lastSignal);
    running.add(started);
    return started;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`not started: ${this.#output}`);
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined;
  }

  /** Everything it has printed so far, on both channels. */
  get output(): string {
    return this.#output;
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.hasEnded) this.#child.kill(signal);
  }

  /** Stops it in its tracks: connections stay open, nothing is answered. */
  pause(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  /** Sends the signal and waits for the end, even of one that is paused. @returns the exit code; null after a signal */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    this.signal(signal);
    this.resume();
    await this.exited();
    return this.#child.exitCode;
  }

  async exited(): Promise<number | null> {
    if (running.has(this)) await this.#exited.catch(() => {});
    return this.#child.exitCode;
  }

  /** Does not wait. */
  end(): void {
    this.signal(`SIG${this.#lastSignal}`);
    this.resume();
  }
}
