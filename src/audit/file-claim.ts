/**
 * Whose a file is: two processes that write one hash chain break it. A small file beside it names the process, and is touched while that
 * lives, so that what a killed process left behind stands in nobody's way.
 */
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';

const TOUCH_MS = 10_000;
/** A claim that was not touched for so long is nobody's. Longer than any pause a living process should make. */
const ABANDONED_MS = 60_000;

interface Claimant {
  readonly pid: number;
  readonly host: string;
}

export class FileClaim {
  readonly #path: string;
  readonly #timer: NodeJS.Timeout;

  private constructor(path: string) {
    this.#path = path;
    this.#timer = setInterval(() => void touch(path), TOUCH_MS);
    this.#timer.unref();
  }

  /**
   * @returns undefined when another living process has it
   * @throws {Error} the claim can be neither read nor written
   */
  static async take(file: string): Promise<FileClaim | undefined> {
    const path = `${file}.claim`;
    if (await write(path)) return new FileClaim(path);
    if (await isHeld(path)) return undefined;
    // Of several that find it abandoned, one is the first to write again.
    await rm(path, { force: true });
    return (await write(path)) ? new FileClaim(path) : undefined;
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await rm(this.#path, { force: true });
  }
}

/** @returns false when it is there already */
async function write(path: string): Promise<boolean> {
  const claimant: Claimant = { pid: process.pid, host: hostname() };
  try {
    const handle = await open(path, 'wx', 0o600);
    await handle.writeFile(JSON.stringify(claimant));
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function isHeld(path: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > ABANDONED_MS) return false;
    const { pid, host } = JSON.parse(await readFile(path, 'utf8')) as Claimant;
    // In a container that was started again the same number is this very process.
    return host !== hostname() || (pid !== process.pid && isAlive(pid));
  } catch (error) {
    // Gone meanwhile, or just being written: then somebody has it.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  try {
    await utimes(path, now, now);
  } catch {
    // Somebody removed it by hand; the trail goes on all the same.
  }
}
