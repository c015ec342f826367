import { readFileSync, type Stats, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

import type { CryptoKey, FlattenedJWSInput, JWSHeaderParameters } from 'jose';

import type { Clock } from '../core/clock.js';
import { describeError } from '../core/errors.js';
import { KeySetInvalidError } from './errors.js';
import { type KeySet, type KeySource, MAX_KEY_SET_BYTES, parseKeySet } from './key-set.js';

export interface FileKeySetDeps {
  readonly clock: Clock;
  /** Told when a changed file cannot be used. */
  readonly onProblem: (problem: string) => void;
}

const CHECK_INTERVAL_MS = 5000;

/**
 * The keys in one file, read at once and again when the file changed, which is looked at every 5 s at most while it is in use.
 * A change that cannot be used is reported and the keys read before stay.
 */
export class FileKeySet implements KeySource {
  readonly #path: string;
  readonly #deps: FileKeySetDeps;
  #keys: KeySet;
  #version: string;
  #checkedAtMs: number;
  #check: Promise<void> | undefined;

  /** @throws {KeySetInvalidError} the file cannot be read or holds no usable key */
  constructor(path: string, deps: FileKeySetDeps) {
    this.#path = path;
    this.#deps = deps;
    this.#checkedAtMs = deps.clock.now();
    const { keys, version } = readKeySetFile(path);
    this.#keys = keys;
    this.#version = version;
  }

  async find(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    await this.#rereadIfDue();
    return this.#keys(header, token);
  }

  #rereadIfDue(): Promise<void> {
    if (this.#check !== undefined) return this.#check;
    const now = this.#deps.clock.now();
    if (now - this.#checkedAtMs < CHECK_INTERVAL_MS) return Promise.resolve();
    this.#checkedAtMs = now;
    this.#check = this.#rereadIfChanged().finally(() => {
      this.#check = undefined;
    });
    return this.#check;
  }

  async #rereadIfChanged(): Promise<void> {
    try {
      const stats = await stat(this.#path);
      const version = versionOf(stats);
      if (version === this.#version) return;
      refuseOversize(stats, this.#path);
      this.#keys = parseKeySet(await readFile(this.#path, 'utf8'), this.#path);
      this.#version = version;
    } catch (error) {
      this.#deps.onProblem(describeError(error));
    }
  }
}

/** @returns why the file cannot be used, to go on after its name; undefined when it can */
export function keySetFileProblem(path: string): string | undefined {
  try {
    readKeySetFile(path);
    return undefined;
  } catch (error) {
    return error instanceof KeySetInvalidError ? error.detail : describeError(error);
  }
}

/** @throws {KeySetInvalidError} the file cannot be read or holds no usable key */
function readKeySetFile(path: string): { keys: KeySet; version: string } {
  try {
    const stats = statSync(path);
    refuseOversize(stats, path);
    return { version: versionOf(stats), keys: parseKeySet(readFileSync(path, 'utf8'), path) };
  } catch (cause) {
    throw cause instanceof KeySetInvalidError ? cause : new KeySetInvalidError(path, describeError(cause), { cause });
  }
}

/** Changes with the content, and with the file behind a symbolic link. */
function versionOf({ mtimeMs, size, ino }: Stats): string {
  return `${mtimeMs}:${size}:${ino}`;
}

function refuseOversize({ size }: Stats, path: string): void {
  if (size > MAX_KEY_SET_BYTES) throw new KeySetInvalidError(path, `is larger than ${MAX_KEY_SET_BYTES} bytes`);
}
