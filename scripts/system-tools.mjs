/**
 * Sees to it that redis-server and nginx, which some tests start, are there, and prints one line on where they are.
 *
 *     node scripts/system-tools.mjs
 *
 * What is on the PATH is used. Otherwise apt installs it (as root) or its packages are unpacked into .cache/tools (else).
 * The last resort for Redis is a server that $REDIS_URL names. Exits with 1, saying what to install, when one is missing.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Where packages are unpacked when they cannot be installed. */
const UNPACKED = resolve(import.meta.dirname, '../.cache/tools/root');
const APT_STATE = resolve(import.meta.dirname, '../.cache/tools/apt');
/** Not every PATH has them. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/usr/local/sbin'];
/** Says whether the installation of a package may start its service. */
const POLICY = '/usr/sbin/policy-rc.d';

/** What is needed, and which packages (Debian, Ubuntu) have it. */
const TOOLS = new Map([
  ['redis-server', ['redis-server', 'redis-tools']],
  ['nginx', ['nginx']],
]);

/**
 * Finds a program on the PATH, in the folders of system programs, or unpacked.
 *
 * @param {string} name
 * @returns {{ file: string, env: Record<string, string> } | undefined} with the variables that it needs to run
 */
export function findTool(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS];
  const installed = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (installed !== undefined) return { file: installed, env: {} };
  const unpacked = ['usr/bin', 'usr/sbin']
    .map((folder) => join(UNPACKED, folder, name))
    .find((file) => existsSync(file));
  return unpacked === undefined ? undefined : { file: unpacked, env: { LD_LIBRARY_PATH: libraryPath() } };
}

/** Debian keeps libraries in one folder per architecture, beside the plain ones. */
function libraryPath() {
  const folders = ['usr/lib', 'lib'].map((folder) => join(UNPACKED, folder)).filter((folder) => existsSync(folder));
  const nested = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('-linux-gnu'))
      .map((name) => join(folder, name)),
  );
  return [...nested, ...folders].join(delimiter);
}

/**
 * Installs or unpacks what is missing.
 *
 * @returns {string} one line on what is used
 * @throws {Error} saying what to install
 */
export function provideTools() {
  const missing = [...TOOLS.keys()].filter((name) => findTool(name) === undefined);
  const problems = missing.length === 0 ? [] : obtain(missing);
  const found = [...TOOLS.keys()].map((name) => [name, findTool(name)?.file ?? fallback(name)]);
  const lacking = found.filter(([, where]) => where === undefined).map(([name]) => name);
  if (lacking.length === 0) return `Tools: ${found.map(([name, where]) => `${name} = ${where}`).join(', ')}`;
  const packages = lacking.flatMap((name) => TOOLS.get(name));
  throw new Error(`${lacking.join(' and ')} missing: install ${packages.join(' ')}\n${problems.join('\n')}`);
}

function fallback(name) {
  return name === 'redis-server' && process.env.REDIS_URL !== undefined ? '$REDIS_URL' : undefined;
}

/** @returns {string[]} what went wrong */
function obtain(names) {
  const packages = names.flatMap((name) => TOOLS.get(name));
  const ways = process.getuid?.() === 0 ? [install, unpack] : [unpack];
  const problems = [];
  for (const way of ways) {
    try {
      way(packages);
      return problems;
    } catch (error) {
      problems.push(`${way.name}: ${error.message}`);
    }
  }
  return problems;
}

/** As root: the usual way, without starting what is installed. */
function install(packages) {
  const hasPolicy = existsSync(POLICY);
  if (!hasPolicy) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    run('apt-get', ['update']);
    run('apt-get', ['install', '--yes', '--no-install-recommends', ...packages]);
  } finally {
    if (!hasPolicy) rmSync(POLICY, { force: true });
  }
}

/** Without root: the packages and those libraries that the system lacks, side by side in a folder of ours. */
function unpack(packages) {
  const apt = ownAptState();
  const wanted = [...new Set([...packages, ...dependencies(packages, apt)])];
  const downloads = join(APT_STATE, 'downloads');
  mkdirSync(downloads, { recursive: true });
  run('apt-get', [...apt, 'download', ...wanted], downloads);
  mkdirSync(UNPACKED, { recursive: true });
  for (const file of readdirSync(downloads)) run('dpkg', ['-x', join(downloads, file), UNPACKED]);
  rmSync(APT_STATE, { recursive: true, force: true });
}

/** The lists of packages, where we may write. */
function ownAptState() {
  const lists = join(APT_STATE, 'lists');
  const archives = join(APT_STATE, 'cache');
  mkdirSync(join(lists, 'partial'), { recursive: true });
  mkdirSync(join(archives, 'archives/partial'), { recursive: true });
  const asRoot = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
  const options = ['-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${archives}`, ...asRoot];
  run('apt-get', [...options, 'update']);
  return options;
}

/** Libraries of the running system stay: the C library of another build would not even load. */
function dependencies(packages, apt) {
  const without = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map(
    (kind) => `--no-${kind}`,
  );
  const closure = run('apt-cache', [...apt, 'depends', '--recurse', ...without, ...packages]);
  const real = closure.split('\n').filter((line) => /^[a-z0-9]/.test(line));
  const installed = run('dpkg-query', ['--show', '--showformat', '${db:Status-Abbrev} ${Package}\n']);
  const present = new Set(installed.split('\n').flatMap((line) => /^ii +(\S+)/.exec(line)?.[1] ?? []));
  return real.map((line) => line.split(':')[0]).filter((name) => !present.has(name));
}

function run(command, args, cwd) {
  try {
    return execFileSync(command, args, {
      cwd,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1', LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
  } catch (error) {
    const reason =
      String(error.stderr ?? '')
        .trim()
        .split('\n')
        .at(-1) || error.message;
    throw new Error(`${command} ${args.at(-1)}: ${reason}`, { cause: error });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    console.log(provideTools());
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
