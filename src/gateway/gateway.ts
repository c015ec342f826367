/** The running gateway: starts what the configuration describes, and stops it without dropping what is under way. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Principal } from '../auth/principal.js';
import type { GatewayConfig } from '../config/config.js';
import { createLogger, type Logger } from '../core/logger.js';
import { HttpListener } from '../downstream/http-listener.js';
import type { OpsView } from '../downstream/ops-routes.js';
import { canConnect } from '../upstream/health.js';
import { AddressInUseError, NotPermittedError, RequiredUpstreamError } from './errors.js';
import type { Route } from './route.js';
import { buildRuntime, type Runtime } from './runtime.js';
import { gatewayStatus, routeStatus, type StatusContext } from './status.js';

export interface RunningGateway {
  /** The port listened on, also when the configuration said 0. */
  readonly port: number;
  /** Where clients on this machine reach it, e.g. `http://127.0.0.1:8080`. */
  readonly address: string;
  /** Drains and stops; may be called again while it does. */
  stop(): Promise<void>;
  /** Stops at once; whatever is under way is cut. */
  kill(): Promise<void>;
}

export interface GatewayHooks {
  readonly logger?: Logger;
}

/** Nobody has to say who they are unless authentication is configured. */
const ANONYMOUS: Principal = {
  id: 'anonymous',
  kind: 'anonymous',
  role: undefined,
  tenant: undefined,
  claims: Object.freeze({}),
  expiresAtMs: undefined,
};

/** How often a draining gateway looks whether everything has finished. */
const DRAIN_POLL_MS = 20;
/** How long closing upstream sessions may take once everything is over. */
const CLOSE_TIMEOUT_MS = 2000;

/**
 * Starts the gateway; resolves when it takes requests.
 *
 * @throws {RequiredUpstreamError} an upstream with `required: true` cannot be reached
 * @throws {AddressInUseError | NotPermittedError} the address cannot be taken
 */
export async function startGateway(config: GatewayConfig, hooks: GatewayHooks = {}): Promise<RunningGateway> {
  const gateway = new Gateway(config, hooks.logger ?? createLogger(config.logging));
  await gateway.start();
  return gateway;
}

class Gateway implements RunningGateway, OpsView {
  readonly #config: GatewayConfig;
  readonly #logger: Logger;
  readonly #replica = randomBytes(6).toString('hex');
  readonly #runtime: Runtime;
  readonly #listener: HttpListener;
  readonly #startedAtMs = Date.now();
  #port = 0;
  #isListening = false;
  #isDraining = false;
  #stopping: Promise<void> | undefined;

  constructor(config: GatewayConfig, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
    this.#runtime = buildRuntime(config, logger, this.#replica, () => this.#isDraining);
    this.#listener = new HttpListener(config.server, { logger, ops: this, identify: () => ANONYMOUS });
  }

  get port(): number {
    return this.#port;
  }

  get address(): string {
    const { host, tls } = this.#config.server;
    const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
    return `${tls === undefined ? 'http' : 'https'}://${name.includes(':') && !name.startsWith('[') ? `[${name}]` : name}:${this.#port}`;
  }

  async start(): Promise<void> {
    try {
      await this.#requireUpstreams();
      this.#listener.serve(this.#runtime.routes, this.#config.defaultRoute);
      this.#port = await this.#listen();
      this.#isListening = true;
      this.#logger.info('listening', `listening on ${this.address}`, { replica: this.#replica });
    } catch (error) {
      await this.#runtime.dispose('the gateway did not start');
      throw error;
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#drainAndStop();
    return this.#stopping;
  }

  async kill(): Promise<void> {
    this.#isDraining = true;
    await this.#listener.close();
    await Promise.race([
      this.#runtime.dispose('the gateway was stopped'),
      delay(CLOSE_TIMEOUT_MS, undefined, { ref: false }),
    ]);
    this.#isListening = false;
  }

  isLive(): boolean {
    return true;
  }

  isReady(): boolean {
    return (
      this.#isListening &&
      !this.#isDraining &&
      this.#requiredRoutes().every((route) => route.upstream.breaker.state !== 'open')
    );
  }

  status(): object {
    return gatewayStatus(this.#runtime.routes, this.#statusContext());
  }

  routeStatus(prefix: string): object | undefined {
    const route = this.#runtime.routes.find((candidate) => candidate.prefix === prefix);
    return route === undefined ? undefined : routeStatus(route, this.#config.defaultRoute);
  }

  #statusContext(): StatusContext {
    return {
      defaultPrefix: this.#config.defaultRoute,
      port: this.#port,
      uptimeS: Math.floor((Date.now() - this.#startedAtMs) / 1000),
      replica: this.#replica,
      configHash: this.#config.hash,
      lastReload: new Date(this.#startedAtMs).toISOString(),
    };
  }

  #requiredRoutes(): Route[] {
    return this.#runtime.routes.filter((route) => route.upstream.options.required);
  }

  async #requireUpstreams(): Promise<void> {
    const routes = this.#requiredRoutes();
    const reachable = await Promise.all(
      routes.map(({ upstream }) => canConnect(upstream.url, upstream.options.timeouts.connectMs)),
    );
    const missing = routes.filter((_, index) => reachable[index] !== true).map((route) => route.prefix);
    if (missing.length > 0) throw new RequiredUpstreamError(missing);
  }

  async #listen(): Promise<number> {
    const { host, port } = this.#config.server;
    try {
      return await this.#listener.listen();
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EADDRINUSE') throw new AddressInUseError(host, port, { cause: error });
      if (code === 'EACCES' || code === 'EPERM') throw new NotPermittedError(host, port, { cause: error });
      throw error;
    }
  }

  async #drainAndStop(): Promise<void> {
    const { preStopMs, timeoutMs } = this.#config.server.drain;
    this.#isDraining = true;
    this.#logger.info('draining', 'no longer ready; finishing what is under way', {
      inFlight: this.#runtime.admission.inFlight,
    });
    if (preStopMs > 0) await delay(preStopMs);
    this.#listener.drain();
    const deadline = Date.now() + timeoutMs;
    while (this.#runtime.admission.inFlight > 0 && Date.now() < deadline) await delay(DRAIN_POLL_MS);
    const cut = this.#runtime.admission.inFlight;
    await Promise.race([
      this.#runtime.dispose('the gateway is stopping'),
      delay(CLOSE_TIMEOUT_MS, undefined, { ref: false }),
    ]);
    await this.#listener.close();
    this.#isListening = false;
    this.#logger.info('stopped', cut === 0 ? 'stopped; everything had finished' : 'stopped; some calls were cut', {
      cut,
    });
  }
}
