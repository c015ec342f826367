/**
 * An append-only log file that cannot bring the process down: a line that cannot be written is lost, and the next is tried.
 * `reopen()` follows a rotation, which renames the file away under an open descriptor.
 */
import { close, openSync, write } from 'node:fs';
import { Writable } from 'node:stream';

interface Chunk {
  chunk: Buffer;
}

export class LogFile extends Writable {
  readonly #path: string;
  #fd: number;
  #writing = false;
  #retiredFds: number[] = [];

  /** @throws {Error} the file cannot be opened (a system error with `code` and `path`) */
  constructor(path: string) {
    super({ decodeStrings: true });
    this.#path = path;
    this.#fd = openForAppend(path);
  }

  /** Opens the path anew; on failure the old descriptor stays in use. */
  reopen(): void {
    const fd = openForAppend(this.#path);
    this.#retire(this.#fd);
    this.#fd = fd;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#append(chunk, done);
  }

  override _writev(chunks: Chunk[], done: () => void): void {
    this.#append(Buffer.concat(chunks.map((entry) => entry.chunk)), done);
  }

  override _final(done: () => void): void {
    close(this.#fd, () => done());
  }

  #append(bytes: Buffer, done: () => void): void {
    this.#writing = true;
    write(this.#fd, bytes, 0, bytes.length, null, (error, written) => {
      // A full disk must not stop the gateway, so an error is taken as written.
      if (error === null && written < bytes.length) return this.#append(bytes.subarray(written), done);
      this.#writing = false;
      for (const fd of this.#retiredFds.splice(0)) close(fd, () => {});
      done();
    });
  }

  #retire(fd: number): void {
    if (this.#writing) this.#retiredFds.push(fd);
    else close(fd, () => {});
  }
}

function openForAppend(path: string): number {
  return openSync(path, 'a', 0o640);
}
