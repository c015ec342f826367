/** The layers of src/, checked by reading every import statement: what may import what, and which package lives where. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

interface Import {
  /** Path below src/, with `/`. */
  readonly file: string;
  readonly specifier: string;
  /** Path below src/ of an import that is ours; undefined for packages. */
  readonly target: string | undefined;
  /** Nothing of it is left after compilation. */
  readonly typeOnly: boolean;
}

const LEAVES = ['auth', 'audit', 'metrics', 'tracing', 'redis', 'rate-limit', 'policy', 'http-client', 'http-server'];
const SIDES = ['upstream', 'downstream', 'session', 'cluster'];
const BASE = ['core', 'protocol'];
const DOMAINS = [...LEAVES, ...SIDES];

/** Folder of src/ -> the folders it may import, its own aside. */
const ALLOWED = new Map<string, readonly string[]>([
  ['core', []],
  ['protocol', ['core']],
  ...LEAVES.map((leaf): [string, string[]] => [leaf, BASE]),
  ...SIDES.map((side): [string, string[]] => [side, [...BASE, ...LEAVES]]),
  // Policies are configuration: their problems are reported with those of the file that names them.
  ['config', [...BASE, 'policy']],
  ['gateway', [...BASE, ...DOMAINS, 'config']],
  ['admin', [...BASE, ...DOMAINS, 'config', 'gateway']],
  // `audit verify`, `explain` and `simulate` are about these two and need no running gateway.
  ['cli', ['core', 'config', 'gateway', 'audit', 'policy']],
  // src/index.ts, the public API.
  ['', [...BASE, ...DOMAINS, 'config', 'gateway']],
]);

/** Package or built-in -> where its code may be imported; a folder, or a file without its suffix. */
const HOMES = new Map<string, readonly string[]>([
  ['koa', ['downstream', 'admin']],
  ['@koa/router', ['downstream', 'admin']],
  ['winston', ['core/logger']],
  ['ioredis', ['redis']],
  ['prom-client', ['metrics']],
  ['jose', ['auth']],
  ['rate-limiter-flexible', ['rate-limit']],
  ['chokidar', ['config/watch']],
  ['@marcbachmann/cel-js', ['policy']],
  ['re2js', ['policy']],
  ['ajv', ['policy']],
  ['child_process', ['upstream/stdio']],
  ['ws', ['upstream/websocket', 'downstream/websocket']],
]);

const files = readdirSync('src', { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => relative('src', join(entry.parentPath, entry.name)));
const imports = files.flatMap((file) => importsOf(file, readFileSync(join('src', file), 'utf8')));

function importsOf(file: string, source: string): Import[] {
  // String literals stay whole and comments go, so that neither hides nor fakes an import.
  const code = source.replace(
    /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_match, literal: string | undefined) => literal ?? '',
  );
  const statement = /^\s*(?:import|export)\s+(type\s+)?(?:([^'";]*?)\s+from\s+)?'([^'\n]+)'/gm;
  const dynamic = /\b(?:import|require)\(\s*['"`]([^'"`\n]+)['"`]/g;
  return [
    ...[...code.matchAll(statement)].map(([, type, clause, specifier]) =>
      describeImport(file, specifier ?? '', type !== undefined || isTypeClause(clause)),
    ),
    ...[...code.matchAll(dynamic)].map(([, specifier]) => describeImport(file, specifier ?? '', false)),
  ];
}

/** `{ type A, type B }`: every name says that it is a type. */
function isTypeClause(clause: string | undefined): boolean {
  const names = /^\{(.*)\}$/s
    .exec(clause?.trim() ?? '')?.[1]
    ?.split(',')
    .filter((name) => name.trim() !== '');
  return names !== undefined && names.length > 0 && names.every((name) => /^\s*type\s/.test(name));
}

function describeImport(file: string, specifier: string, typeOnly: boolean): Import {
  const isOurs = specifier.startsWith('.');
  const path = relative('src', resolve('src', dirname(file), specifier)).replace(/\.js$/, '.ts');
  return { file, specifier, target: isOurs ? path : undefined, typeOnly };
}

function folderOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : '';
}

function packageOf(specifier: string): string {
  const bare = specifier.replace(/^node:/, '').split('/');
  return bare.slice(0, bare[0]?.startsWith('@') === true ? 2 : 1).join('/');
}

function mayImport(each: Import, target: string): boolean {
  const from = folderOf(each.file);
  const to = folderOf(target);
  if (to === from || ALLOWED.get(from)?.includes(to) === true) return true;
  const isLeafType = LEAVES.includes(from) && LEAVES.includes(to);
  // What is kept in Redis is described by those who keep it.
  const isStoredType = from === 'redis' && (to === 'cluster' || to === 'upstream');
  const isDomainType = from === 'cli' && (DOMAINS.includes(to) || to === 'protocol');
  if (each.typeOnly && (isLeafType || isStoredType || isDomainType)) return true;
  // Configuration assembles what each domain says about its own settings, and sees nothing else of it.
  return from === 'config' && (DOMAINS.includes(to) || to === 'core') && /(^|\/|-)options\.ts$/.test(target);
}

test('reads source files and sees their imports', () => {
  expect(files.length).toBeGreaterThan(4);
  expect(imports.some((each) => each.target !== undefined)).toBe(true);
  expect(imports.some((each) => each.target === undefined)).toBe(true);
});

test('reads every form of import', () => {
  const source = [
    "import a, { type B } from './a.js';",
    'import type { C } from "./c.js";'.replaceAll('"', "'"),
    "import {\n  type D,\n  type E,\n} from './d.js';",
    "export * from './e.js';",
    "import 'winston';",
    "// import './no.js';",
    "const url = 'http://x'; const lazy = await import('./f.js');",
  ].join('\n');
  expect(importsOf('x/y.ts', source).map((each) => [each.specifier, each.typeOnly])).toEqual([
    ['./a.js', false],
    ['./c.js', true],
    ['./d.js', true],
    ['./e.js', false],
    ['winston', false],
    ['./f.js', false],
  ]);
});

test('every folder of src/ has its place in the table', () => {
  expect([...new Set(files.map(folderOf))].filter((folder) => !ALLOWED.has(folder))).toEqual([]);
});

test('every import of our own names a file that exists', () => {
  const missing = imports.filter((each) => each.target !== undefined && !files.includes(each.target));
  expect(missing.map((each) => `${each.file} imports ${each.specifier}`)).toEqual([]);
});

test('folders import only the folders below them', () => {
  const wrong = imports.filter((each) => each.target !== undefined && !mayImport(each, each.target));
  expect(wrong.map((each) => `${each.file} imports ${each.target}`)).toEqual([]);
});

test('each bound package is imported only where it belongs', () => {
  const wrong = imports.filter((each) => {
    const homes = each.target === undefined && !each.typeOnly ? HOMES.get(packageOf(each.specifier)) : undefined;
    return homes !== undefined && !homes.some((home) => each.file === `${home}.ts` || each.file.startsWith(`${home}/`));
  });
  expect(wrong.map((each) => `${each.file} imports ${each.specifier}`)).toEqual([]);
});

test('no files import each other in a circle', () => {
  const graph = new Map(files.map((file) => [file, new Set<string>()]));
  for (const { file, target, typeOnly } of imports) {
    if (target !== undefined && !typeOnly) graph.get(file)?.add(target);
  }
  expect(findCycle(graph)).toEqual([]);
  expect(
    findCycle(
      new Map([
        ['a', new Set(['b'])],
        ['b', new Set(['c'])],
        ['c', new Set(['b'])],
      ]),
    ),
  ).toEqual(['b', 'c', 'b']);
});

test('only the public API is an index file', () => {
  expect(files.filter((file) => /(^|\/)index\.ts$/.test(file) && file !== 'index.ts')).toEqual([]);
});

/** @returns the files of one circle, the first again at the end; empty when there is none */
function findCycle(graph: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const finished = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (finished.has(file)) return [];
    for (const next of graph.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle.length > 0) return cycle;
    }
    finished.add(file);
    return [];
  };
  for (const file of graph.keys()) {
    const cycle = visit(file, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

test('no test that shares its modules with others replaces one', () => {
  const tests = ['unit', 'integration', 'fuzz']
    .flatMap((project) => readdirSync(join('test', project), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
  expect(tests.length).toBeGreaterThan(50);
  const replaces = /\bvi\s*\.\s*(?:mock|doMock|resetModules)\b/;
  expect(tests.filter((file) => replaces.test(readFileSync(file, 'utf8')))).toEqual([]);
});
