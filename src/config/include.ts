/** Which files `include` names: a path, or a pattern with `*` and `?` in its last part. */
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { readFailure } from './interpolate.js';
import type { Path, Report } from './problem.js';
import type { ConfigSource } from './source.js';

const MAX_FILES = 1000;

export interface IncludedFile {
  file: string;
  /** The entry of `include` that named it. */
  path: Path;
}

/** Absolute paths in the order of the list, then by name; no file twice, and never the including file itself. */
export function findIncluded(
  patterns: readonly string[],
  source: ConfigSource,
  cwd: string,
  report: Report,
): IncludedFile[] {
  const seen = new Set([realPath(resolve(cwd, source.file))]);
  const found: IncludedFile[] = [];
  for (const [index, pattern] of patterns.entries()) {
    const path = ['include', index];
    for (const file of expand(source.resolveFile(path, pattern, cwd), source, path, report)) {
      const real = realPath(file);
      if (seen.has(real)) continue;
      seen.add(real);
      found.push({ file, path });
      report.files.add(file);
    }
  }
  if (found.length <= MAX_FILES) return found;
  report.problems.push(source.problem(['include'], `more than ${MAX_FILES} files are included`));
  return [];
}

function expand(pattern: string, source: ConfigSource, path: Path, report: Report): string[] {
  const [directory, name] = [dirname(pattern), basename(pattern)];
  if (/[*?]/.test(directory)) {
    report.problems.push(source.problem(path, '* and ? work in the file name only, not in a directory'));
    return [];
  }
  // A file that is dropped into the directory later adds routes, so the directory counts as named.
  report.files.add(/[*?]/.test(name) ? directory : pattern);
  if (!/[*?]/.test(name)) return [pattern];
  try {
    const matcher = globMatcher(name);
    const names = readdirSync(directory).filter((entry) => !entry.startsWith('.') && matcher.test(entry));
    return names
      .toSorted()
      .map((entry) => join(directory, entry))
      .filter(isFile);
  } catch (error) {
    // A directory that is not there yet is an empty one: files may be dropped in later.
    const reason = readFailure(error);
    if (reason !== 'no such file')
      report.problems.push(source.problem(path, `cannot list ${source.nameOf(path, directory)}: ${reason}`));
    return [];
  }
}

function globMatcher(name: string): RegExp {
  const source = name.replace(/\*+|\?|[^*?]+/g, (part) => {
    if (part === '?') return '.';
    return part.startsWith('*') ? '.*' : part.replace(/[\\^$.|+()[\]{}]/g, String.raw`\$&`);
  });
  return new RegExp(`^${source}$`, 's');
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}
