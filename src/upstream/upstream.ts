/** One configured server: its connection pool, how it is spoken to, how it fares. Shared by all sessions of its route. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import type { TimerWheel } from '../core/timer-wheel.js';
import type { UpstreamKind } from '../protocol/transport.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { connectTransport } from './connect.js';
import { HttpClient } from '../http-client/client.js';
import { renderHeaders } from '../http-client/headers.js';
import type { HttpRequester } from '../http-client/types.js';
import { OauthTokens } from './oauth.js';
import { OauthHttp } from './oauth-http.js';
import type { UpstreamOptions, UpstreamTlsOptions } from './options.js';
import { Secrets } from './secrets.js';
import { TokenEndpoint } from './token-endpoint.js';
import type { UpstreamListener, UpstreamTransport } from './transport.js';
import type { UpstreamVerdictStore } from './verdicts.js';

export interface UpstreamDependencies {
  readonly timers: TimerWheel;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Undefined: nobody else asks. */
  readonly verdicts: UpstreamVerdictStore | undefined;
  /** Largest message taken from an upstream, in bytes. */
  readonly maxMessageBytes: number;
}

export class Upstream {
  readonly options: UpstreamOptions;
  readonly url: URL;
  /** Tells this server from others without naming it; made of its URL. */
  readonly fingerprint: string;
  /** Path and query of every request. */
  readonly path: string;
  readonly breaker: CircuitBreaker;
  /** With the gateway's own token on every request, where one is configured. */
  readonly http: HttpRequester;
  /** What it is given and nobody else may see. */
  readonly secrets: Secrets;
  readonly dependencies: UpstreamDependencies;
  /** Rendered header lines that every request carries. */
  readonly headers: string;
  /** Requests that wait for this upstream right now. */
  inFlight = 0;
  /** Upstream sessions that are open right now. */
  openSessions = 0;
  /** Whether the last attempt to reach it worked; undefined before the first. */
  isReachable: boolean | undefined;
  readonly #client: HttpClient;
  readonly #tokenEndpoint: TokenEndpoint | undefined;
  #spokenKind: UpstreamKind | undefined;

  constructor(options: UpstreamOptions, dependencies: UpstreamDependencies) {
    this.options = options;
    this.dependencies = dependencies;
    this.url = new URL(options.url);
    this.path = this.url.pathname + this.url.search;
    this.breaker = new CircuitBreaker(options.circuitBreaker, dependencies.clock);
    this.headers = renderHeaders([['user-agent', 'mcp-gateway'], ...Object.entries(options.headers)]);
    this.fingerprint = createHash('sha256').update(this.url.href).digest('base64url').slice(0, 22);
    this.secrets = new Secrets(options.headers);
    this.#client = new HttpClient({
      origin: this.url,
      connectTimeoutMs: options.timeouts.connectMs,
      headersTimeoutMs: options.timeouts.idleMs,
      timers: dependencies.timers,
      ...(options.tls === undefined ? {} : { tls: readTls(options.tls) }),
    });
    this.#tokenEndpoint = createTokenEndpoint(options, dependencies);
    this.http = this.#tokenEndpoint === undefined ? this.#client : this.#withTokens(this.#tokenEndpoint);
    if (options.transport !== 'auto') this.#spokenKind = options.transport;
  }

  /** How it is spoken to: configured or found out; undefined before the first session. */
  get kind(): UpstreamKind | undefined {
    return this.#spokenKind;
  }

  /** The transports to try, likeliest first. The specification's order is POST first; a path that says `/sse` is believed. */
  get candidates(): readonly UpstreamKind[] {
    if (this.#spokenKind !== undefined) return [this.#spokenKind];
    return /\/sse\/?$/.test(this.url.pathname) ? ['sse', 'streamable-http'] : ['streamable-http', 'sse'];
  }

  /** When the bytes arrived that are being handled now, in milliseconds on the clock of `performance.now()`. */
  get lastReadAtMs(): number {
    return this.#client.lastReadAtMs;
  }

  /** Whether it is given anything that must not come back. */
  get hasSecrets(): boolean {
    return this.#tokenEndpoint !== undefined || !this.secrets.isEmpty;
  }

  learnKind(kind: UpstreamKind): void {
    this.isReachable = true;
    if (this.#spokenKind === kind) return;
    this.#spokenKind = kind;
    this.dependencies.verdicts?.remember(this.options.prefix, { kind });
  }

  /** Takes over what another replica has found out. */
  async recallKind(): Promise<void> {
    const { verdicts } = this.dependencies;
    if (verdicts === undefined || this.#spokenKind !== undefined) return;
    const { kind } = await verdicts.recall(this.options.prefix);
    if (kind === 'sse' || kind === 'streamable-http') this.#spokenKind ??= kind;
  }

  connect(kind: UpstreamKind, listener: UpstreamListener): UpstreamTransport {
    return connectTransport(this, kind, listener);
  }

  /** The exchange with the upstream went well. */
  succeeded(): void {
    this.isReachable = true;
    this.breaker.succeeded();
  }

  /** It could not be reached, broke off, or kept silent. */
  failed(): void {
    this.isReachable = false;
    this.breaker.failed();
  }

  async close(): Promise<void> {
    await Promise.all([this.#client.close(), this.#tokenEndpoint?.close()]);
  }

  #withTokens(endpoint: TokenEndpoint): HttpRequester {
    const { clock, logger } = this.dependencies;
    const tokens = new OauthTokens({
      clock,
      logger,
      request: () => endpoint.request(),
      onToken: (token) => this.secrets.addToken(token),
    });
    return new OauthHttp(this.#client, tokens);
  }
}

function createTokenEndpoint(options: UpstreamOptions, { timers }: UpstreamDependencies): TokenEndpoint | undefined {
  const { oauth, timeouts } = options;
  return oauth === undefined ? undefined : new TokenEndpoint({ oauth, timers, timeoutMs: timeouts.connectMs });
}

function readTls(files: UpstreamTlsOptions): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  return {
    ...(files.caFile === undefined ? {} : { ca: readFileSync(files.caFile) }),
    ...(files.certFile === undefined ? {} : { cert: readFileSync(files.certFile) }),
    ...(files.keyFile === undefined ? {} : { key: readFileSync(files.keyFile) }),
  };
}
