/**
 * Notices when the files of a configuration change: written in place, replaced by a rename, or swapped behind a symbolic link,
 * as Kubernetes does with mounted volumes. Says that there is something new, not what; reading it is another's job.
 */
import { lstatSync, readdirSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname, join, parse, resolve, sep } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { describeError } from '../core/errors.js';

export interface ConfigWatcherHandlers {
  onChange(): void;
  /** Changes may go unnoticed from here on. */
  onProblem(reason: string): void;
}

/** Editors and volume mounts change several things in a row; what comes within this time is one change. */
const DEBOUNCE_MS = 200;
/** Time stamps of files may lag behind the clock. */
const CLOCK_SLACK_MS = 10;
const MAX_LINKS = 40;
/** The fingerprint of no state at all. */
const UNKNOWN = 'unknown';

export class ConfigWatcher {
  readonly #handlers: ConfigWatcherHandlers;
  #files: readonly string[] = [];
  #fingerprint = '';
  #repeatedFor = '';
  #places = '';
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(handlers: ConfigWatcherHandlers) {
    this.#handlers = handlers;
  }

  /**
   * Watches these files and directories, and no longer those before.
   *
   * @param readAtMs When reading them began, in milliseconds since 1970: what changed later counts as a change.
   */
  watch(files: readonly string[], readAtMs: number): void {
    if (this.#isClosed) return;
    const states = files.map(stateOf);
    this.#files = files;
    this.#fingerprint = fingerprint(states);
    const isNewer = states.some((state) => state.changedAtMs >= readAtMs - CLOCK_SLACK_MS);
    // Once for one state: with a clock that is ahead of ours, files would be newer for ever.
    if (isNewer && this.#repeatedFor !== this.#fingerprint) {
      this.#repeatedFor = this.#fingerprint;
      this.#fingerprint = UNKNOWN;
      this.#check();
    }
    this.#follow(files);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#watcher?.close();
  }

  #follow(files: readonly string[]): void {
    const { paths, directories, folders } = placesOf(files);
    const places = [...paths, ...directories].toSorted().join('\0');
    if (places === this.#places) return;
    this.#places = places;
    const before = this.#watcher;
    const isOurs = (path: string): boolean => directories.has(path) || paths.has(path) || folders.has(dirname(path));
    // Directories and not files: whatever takes a file's place is seen there.
    this.#watcher = watch([...directories], {
      depth: 0,
      followSymlinks: false,
      ignoreInitial: true,
      ignorePermissionErrors: true,
      ignored: (path) => !isOurs(resolve(path)),
    });
    const check = (): void => this.#check();
    // What happened until it is ready was not told.
    this.#watcher.on('all', check).on('ready', check);
    this.#watcher.on('error', (error) => this.#handlers.onProblem(describeError(error)));
    before?.close().catch((error: unknown) => this.#handlers.onProblem(describeError(error)));
  }

  /** Looks whether there is something new, once it has been quiet for a while. */
  #check(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#compare(), DEBOUNCE_MS);
    this.#timer.unref();
  }

  #compare(): void {
    const now = fingerprint(this.#files.map(stateOf));
    if (now === this.#fingerprint) return;
    this.#fingerprint = now;
    this.#handlers.onChange();
  }
}

interface FileState {
  readonly text: string;
  readonly changedAtMs: number;
}

function fingerprint(states: readonly FileState[]): string {
  return states.map(({ text }) => text).join('\n');
}

/** Equal as long as the same content is behind the name; of a directory, as long as the same names are in it. */
function stateOf(file: string): FileState {
  try {
    const stats = statSync(file);
    if (stats.isDirectory()) return { text: `${realpathSync(file)} ${readdirSync(file).join('/')}`, changedAtMs: 0 };
    const { ino, size, mtimeMs, ctimeMs } = stats;
    const changedAtMs = Math.max(ctimeMs, lstatSync(file).ctimeMs);
    return { text: `${realpathSync(file)} ${ino} ${size} ${mtimeMs} ${ctimeMs}`, changedAtMs };
  } catch {
    return { text: `${file} is missing`, changedAtMs: 0 };
  }
}

interface Places {
  /** The files themselves and every link on the way to them. */
  readonly paths: ReadonlySet<string>;
  /** Where those are. */
  readonly directories: ReadonlySet<string>;
  /** Directories of which every entry counts. */
  readonly folders: ReadonlySet<string>;
}

function placesOf(files: readonly string[]): Places {
  const paths = new Set(files.flatMap(withLinks));
  const folders = new Set([...paths].filter((path) => statsOf(path)?.isDirectory()));
  return { paths, directories: new Set([...[...paths].map((path) => dirname(path)), ...folders]), folders };
}

/** Every link that is followed from a path to its file, and the file, each by a path without links before its last part. */
function withLinks(file: string): string[] {
  const found: string[] = [];
  let path = resolve(file);
  for (let count = 0; count < MAX_LINKS; count += 1) {
    const link = firstLink(path);
    if (link === undefined) break;
    found.push(link);
    const target = targetOf(link);
    if (target === undefined) break;
    path = resolve(dirname(link), target) + path.slice(link.length);
  }
  return [...found, path];
}

/** Undefined when it is gone again. */
function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

/** Undefined when there is nothing, or nothing that may be looked at. */
function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

function firstLink(path: string): string | undefined {
  const { root } = parse(path);
  let prefix = root;
  for (const part of path.slice(root.length).split(sep)) {
    prefix = join(prefix, part);
    const stats = statsOf(prefix);
    if (stats === undefined) return undefined;
    if (stats.isSymbolicLink()) return prefix;
  }
  return undefined;
}
