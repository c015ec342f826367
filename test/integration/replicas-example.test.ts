/** examples/replicas does what its README says, as far as that goes without containers. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { startNode } from '../helpers/child.js';
import { requireTool } from '../helpers/system-tools.js';

const FOLDER = 'examples/replicas';
const run = promisify(execFile);

const exampleFile = (name: string) => readFile(join(FOLDER, name), 'utf8');

interface Compose {
  readonly services: Readonly<
    Record<string, { readonly volumes?: readonly string[]; readonly environment?: Readonly<Record<string, string>> }>
  >;
}

async function compose(): Promise<Compose> {
  return parse(await exampleFile('docker-compose.yml'), { merge: true }) as Compose;
}

test('gateway.yaml is valid, and wants a secret', async () => {
  const args = ['dist/cli/main.js', 'validate', '--format', 'json', '--config', `${FOLDER}/gateway.yaml`];
  const env = { ...process.env, MCP_GATEWAY_SECRET: 'x'.repeat(44) };
  const { stdout } = await run(process.execPath, args, { env });
  expect(JSON.parse(stdout)).toMatchObject({ valid: true });
  const { MCP_GATEWAY_SECRET: _secret, ...without } = env;
  await expect(run(process.execPath, args, { env: without })).rejects.toMatchObject({ code: 78 });
});

test('nginx takes nginx.conf', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-example-'));
  const text = await exampleFile('nginx.conf');
  // The names are those of containers.
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${kind};`)
    .join(' ');
  const local = text.replaceAll(/gateway-\d:/g, '127.0.0.1:').replace('http {', `http { access_log off; ${paths}`);
  await writeFile(join(directory, 'nginx.conf'), local);
  const { file, env } = requireTool('nginx');
  const args = ['-t', '-p', directory, '-e', 'error.log', '-c', 'nginx.conf', '-g', 'pid nginx.pid;'];
  const { stderr } = await run(file, args, { env: { ...process.env, ...env } });
  expect(stderr).toContain('test is successful');
  await rm(directory, { recursive: true, force: true });
});

describe('docker-compose.yml', () => {
  test('has the gateways that both load balancers name', async () => {
    const { services } = await compose();
    const gateways = Object.keys(services).filter((name) => name.startsWith('gateway-'));
    expect(gateways).toHaveLength(3);
    const nginx = [...(await exampleFile('nginx.conf')).matchAll(/^\s*server (gateway-\d):8080/gm)];
    const haproxy = [...(await exampleFile('haproxy.cfg')).matchAll(/^\s*server (gateway-\d) \1:8080$/gm)];
    expect(nginx.map(([, name]) => name)).toEqual(gateways);
    expect(haproxy.map(([, name]) => name)).toEqual(gateways);
  });

  test('mounts what is there, and sets the variables that gateway.yaml reads', async () => {
    const { services } = await compose();
    const mounted = Object.values(services).flatMap(({ volumes }) => volumes ?? []);
    expect(mounted.length).toBeGreaterThan(0);
    for (const volume of mounted) await stat(join(FOLDER, volume.split(':')[0] ?? ''));
    const read = [...(await exampleFile('gateway.yaml')).matchAll(/\$\{(\w+):/g)].map(([, name]) => name);
    expect(Object.keys(services['gateway-1']?.environment ?? {}).toSorted()).toEqual(read.map(String).toSorted());
  });
});

test('npm run demo:replicas: the session of a client goes on when its gateway is killed', {
  timeout: 90_000,
}, async () => {
  const demo = startNode(['scripts/demo-replicas.mjs']);
  await new Promise((resolve) => demo.process.once('close', resolve));
  expect(demo.output).toMatch(/killed gateway-\d, which held the session/);
  expect(demo.output).toContain('the same session went on with another gateway');
  expect(demo.process.exitCode).toBe(0);
  const ports = [
    ...demo.output.matchAll(/(?:gateway-\d|Redis|nginx|servers|and)\S* (?:http:\/\/)?127\.0\.0\.1:(\d+)/g),
  ];
  expect(ports).toHaveLength(7);
  for (const [, port] of ports) await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('fetch failed');
});
