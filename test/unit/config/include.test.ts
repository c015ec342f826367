import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigError, ConfigNotFoundError, formatProblem } from '../../../src/config/problem.js';

let cwd: string;
beforeEach(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), 'config-')));
  mkdirSync(join(cwd, 'd'));
});

function write(name: string, text: string): void {
  writeFileSync(join(cwd, name), text);
}

function load(file?: string, env: Record<string, string> = {}) {
  return loadConfig({ file, env, cwd });
}

async function lines(file = 'gateway.yaml'): Promise<string[]> {
  const error: unknown = await load(file).catch((reason: unknown) => reason);
  return error instanceof ConfigError ? error.problems.map(formatProblem) : [`no problem: ${JSON.stringify(error)}`];
}

describe('include', () => {
  test('adds the upstreams of matching files, by name, each once', async () => {
    write('gateway.yaml', 'include: ["./d/*.yaml", d/b.yaml]\nupstreams: [http://main.com]\n');
    write('d/b.yaml', 'upstreams: [http://b.com]');
    write('d/a.yaml', 'version: 1\nupstreams: [http://a.com]');
    write('d/.hidden.yaml', 'upstreams: [http://hidden.com]');
    write('d/c.yml', 'upstreams: [http://c.com]');
    mkdirSync(join(cwd, 'd/dir.yaml'));
    const { upstreams } = await load('gateway.yaml');
    expect(upstreams.map((each) => each.prefix)).toEqual(['main', 'a', 'b']);
  });

  test('takes a directory that is not there, or an empty file, for nothing', async () => {
    write('gateway.yaml', 'include: ["./none/*.yaml", "d/*.yaml"]\n');
    write('d/a.yaml', '');
    expect((await load('gateway.yaml')).upstreams).toEqual([]);
  });

  test('never reads the including file itself', async () => {
    write('gateway.yaml', 'include: ["./*.yaml"]\nupstreams: [http://main.com]\n');
    symlinkSync(join(cwd, 'gateway.yaml'), join(cwd, 'link.yaml'));
    write('more.yaml', 'upstreams: [http://more.com]');
    expect((await load('gateway.yaml')).upstreams.map((each) => each.prefix)).toEqual(['main', 'more']);
  });

  test('names the included file in problems and collisions', async () => {
    write('gateway.yaml', 'include: ["d/*.yaml"]\nupstreams: [http://x.com/one]\n');
    write('d/a.yaml', 'server: {}\nupstreams:\n  - ftp://a.com\n');
    write('d/b.yaml', 'upstreams:\n  - http://x.com/two\n');
    expect(await lines()).toEqual([
      'd/a.yaml:1:1: unknown key "server" (known here: version, upstreams)',
      'd/a.yaml:3:5: the URL must start with http:// or https://',
      'gateway.yaml:2:13: the prefix "x" is also that of d/b.yaml:2:5 (write: - { url: "http://x.com/one", prefix: x-one })',
      'd/b.yaml:2:5: the prefix "x" is also that of gateway.yaml:2:13 (write: - { url: "http://x.com/two", prefix: x-two })',
    ]);
  });

  test('resolves paths against the file that names them', async () => {
    write('gateway.yaml', 'include: ["d/*.yaml"]\n');
    copyFileSync('test/fixtures/tls/ca.pem', join(cwd, 'd/ca.pem'));
    write('d/token', 'secret\n');
    write(
      'd/a.yaml',
      'upstreams: [{ url: "https://a.com", tls: { caFile: ca.pem }, headers: { x: "${file:token}" } }]',
    );
    const [upstream] = (await load('gateway.yaml')).upstreams;
    expect(upstream?.tls).toEqual({ caFile: join(cwd, 'd/ca.pem') });
    expect(upstream?.headers['x']).toBe('secret');
  });

  test('treats other characters of a pattern as themselves', async () => {
    write('gateway.yaml', 'include: ["d/a+?.y*l"]\n');
    for (const name of ['a+1.yaml', 'aa1.yaml', 'a+12.yaml'])
      write(`d/${name}`, `upstreams: [http://${name[1] === '+' ? 'plus' : 'no'}.com]`);
    expect((await load('gateway.yaml')).upstreams.map((each) => each.prefix)).toEqual(['plus']);
  });
});

describe('the file is found', () => {
  const text = 'upstreams: [http://a.com]';

  test('by name, by variable, in the working directory, in XDG_CONFIG_HOME, in that order', async () => {
    const home = join(cwd, 'xdg');
    mkdirSync(join(home, 'mcp-gateway'), { recursive: true });
    const env = { XDG_CONFIG_HOME: home };
    write('xdg/mcp-gateway/gateway.yaml', text);
    expect((await load(undefined, env)).source).toBe(join(home, 'mcp-gateway/gateway.yaml'));
    write('gateway.yaml', text);
    expect((await load(undefined, env)).source).toBe('gateway.yaml');
    write('var.yaml', text);
    expect((await load(undefined, { ...env, MCP_GATEWAY_CONFIG: 'var.yaml' })).source).toBe('var.yaml');
    write('flag.yaml', text);
    expect((await load('flag.yaml', { ...env, MCP_GATEWAY_CONFIG: 'var.yaml' })).source).toBe('flag.yaml');
  });

  test('or its absence is told', async () => {
    await expect(load('none.yaml')).rejects.toThrow(new ConfigNotFoundError('cannot read none.yaml: no such file'));
    await expect(load('d')).rejects.toThrow('cannot read d: it is a directory');
    await expect(load(undefined, { HOME: cwd })).rejects.toThrow(
      /^no configuration file: none of gateway\.yaml, .* exists/,
    );
  });
});
