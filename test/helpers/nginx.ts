/** A real nginx as the plain load balancer before replicas: round robin, no stickiness, no knowledge of what it carries. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { SystemProcess } from './system-process.js';
import { requireTool } from './system-tools.js';
import { waitFor } from './wait.js';

const START_TIMEOUT_MS = 15_000;
const ATTEMPTS = 5;

export interface NginxOptions {
  /** What it spreads requests over, on 127.0.0.1. */
  readonly ports: readonly number[];
}

export interface Nginx {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  /** What it has complained about so far. */
  errors(): Promise<string>;
  /** One line per request: status, which replicas it tried, their statuses, method and path without the query. */
  requests(): Promise<string[]>;
  /** Spreads new requests over other ports. Resolves when they do; what is under way goes on. */
  setPorts(ports: readonly number[]): Promise<void>;
  /** Ends it at once with every connection, and removes its files. May be called again. */
  stop(): Promise<void>;
}

export async function startNginx(options: NginxOptions): Promise<Nginx> {
  for (let attempt = 1; ; attempt += 1) {
    const directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-nginx-'));
    const nginx = new NginxProcess(await freePort(), directory);
    try {
      await nginx.start(options.ports);
      return nginx;
    } catch (error) {
      await nginx.stop();
      // Somebody else may have taken the port meanwhile.
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

class NginxProcess implements Nginx {
  readonly port: number;
  readonly #directory: string;
  #process: SystemProcess | undefined;
  /** Counts configurations, so that one can be told from the next. */
  #generation = 0;

  constructor(port: number, directory: string) {
    this.port = port;
    this.#directory = directory;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(ports: readonly number[]): Promise<void> {
    for (const log of ['error.log', 'access.log']) await writeFile(join(this.#directory, log), '');
    await this.#configure(ports);
    const args = ['-p', this.#directory, '-e', 'error.log', '-c', 'nginx.conf'];
    // Its workers end when the first process is asked to end; killed, it would leave them behind.
    const started = SystemProcess.start(requireTool('nginx'), args, { lastSignal: 'TERM' });
    this.#process = started;
    await waitFor('nginx to serve', () => this.#servesGeneration(), START_TIMEOUT_MS);
  }

  async setPorts(ports: readonly number[]): Promise<void> {
    await this.#configure(ports);
    this.#process?.signal('SIGHUP');
    await waitFor('nginx to reload', () => this.#servesGeneration(), START_TIMEOUT_MS);
  }

  errors(): Promise<string> {
    return readFile(join(this.#directory, 'error.log'), 'utf8');
  }

  async requests(): Promise<string[]> {
    const log = await readFile(join(this.#directory, 'access.log'), 'utf8');
    return log.split('\n').filter((line) => line !== '');
  }

  async stop(): Promise<void> {
    await this.#process?.stop('SIGTERM');
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #configure(ports: readonly number[]): Promise<void> {
    this.#generation += 1;
    await writeFile(join(this.#directory, 'nginx.conf'), configText(this.port, ports, this.#generation));
  }

  async #servesGeneration(): Promise<boolean> {
    if (this.#process?.hasEnded === true) {
      throw new Error(`nginx ended:\n${this.#process.output}\n${await this.errors()}`);
    }
    // A worker says so when it takes no more connections; there is one for each earlier configuration.
    const retired = (await this.errors()).split('gracefully shutting down').length - 1;
    return retired === this.#generation - 1 && (await generationAt(this.port)) === this.#generation;
  }
}

/** @returns undefined while nobody answers */
async function generationAt(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write('GET /-/generation HTTP/1.0\r\n\r\n'));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => resolve(Number(/generation=(\d+)/.exec(answer)?.[1])));
  });
}

/**
 * Without `max_fails` nobody is ever left out, so every request may meet a replica that is gone.
 * A client's connection carries one request: a reload would cut idle ones just when the next request is sent on them.
 */
function configText(port: number, ports: readonly number[], generation: number): string {
  return `
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log notice;
events { worker_connections 4096; }
http {
  client_body_temp_path temp-body;
  proxy_temp_path temp-proxy;
  fastcgi_temp_path temp-fastcgi;
  uwsgi_temp_path temp-uwsgi;
  scgi_temp_path temp-scgi;
  log_format tried '$status $upstream_addr $upstream_status $request_method $uri $request_time';
  access_log access.log tried;
  upstream replicas {
${ports.map((each) => `    server 127.0.0.1:${each} max_fails=0;`).join('\n')}
  }
  server {
    listen 127.0.0.1:${port};
    keepalive_timeout 0;
    client_max_body_size 0;
    location = /-/generation { access_log off; return 200 "generation=${generation}"; }
    location / {
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_cache off;
      proxy_connect_timeout 1s;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
      proxy_next_upstream error timeout;
    }
  }
}
`;
}
