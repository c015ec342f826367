/** Server processes for tests: started, awaited until they listen, and ended for certain. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from './wait.js';

export interface Child {
  readonly process: ChildProcess;
  /** Everything it has printed so far, on both channels. */
  readonly output: string;
  /** Sends the signal and waits for the end. @returns the exit code; null when the signal killed it */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to its standard input, which is then closed. */
  readonly input?: string;
}

/** Runs `node args...`. */
export function startNode(args: readonly string[], options: ChildOptions = {}): Child {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: Buffer) => {
    output += chunk.toString('utf8');
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  child.stdin?.end(options.input);
  return {
    process: child,
    get output() {
      return output;
    },
    stop: async (signal = 'SIGTERM') => {
      if (!hasEnded(child)) {
        const exit = once(child, 'exit');
        child.kill(signal);
        await exit;
      }
      return child.exitCode;
    },
  };
}

/** Waits until the output matches, and returns the match's first group. */
export async function printed(child: Child, pattern: RegExp, timeoutMs = 15_000): Promise<string> {
  try {
    return await waitFor(`${pattern} to be printed`, () => matchOrThrow(child, pattern), timeoutMs);
  } catch (error) {
    await child.stop('SIGKILL');
    throw error;
  }
}

function matchOrThrow(child: Child, pattern: RegExp): string | undefined {
  const match = pattern.exec(child.output)?.[1];
  if (match === undefined && hasEnded(child.process)) throw new Error(`ended before ${pattern}:\n${child.output}`);
  return match;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Starts one of the example servers on a free port. */
export async function startExample(
  name: 'sms' | 'company',
): Promise<Child & { readonly sseUrl: string; readonly mcpUrl: string }> {
  const child = startNode([`examples/servers/${name}/server.mjs`, '--port', '0']);
  const sseUrl = await printed(child, /(http:\S+)\n/);
  return Object.assign(child, { sseUrl, mcpUrl: new URL('/mcp', sseUrl).href });
}
