/** The running gateway: starts what the configuration describes, and stops it without dropping what is under way. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AuditLog } from '../audit/audit-log.js';
import type { GatewayConfig } from '../config/config.js';
import { background } from '../core/background.js';
import { systemClock } from '../core/clock.js';
import { describeError } from '../core/errors.js';
import { createLogger, type Logger } from '../core/logger.js';
import { HttpListener } from '../downstream/http-listener.js';
import type { OpsView } from '../downstream/ops-routes.js';
import { type Exposition, Metrics } from '../metrics/metrics.js';
import { RequestClock } from '../metrics/request-clock.js';
import type { SessionOptions } from '../session/options.js';
import { canConnect } from '../upstream/health.js';
import { AccessBuilder } from './access.js';
import type { RuleStores } from './policies/build-rules.js';
import { drain } from './drain.js';
import { AddressInUseError, NotPermittedError, RequiredUpstreamError } from './errors.js';
import { openAudit } from './open-audit.js';
import { type ConfigChanges, Reloader } from './reload.js';
import type { Replication, ReplicationHost } from './replicas/replication.js';
import { withBoundSettings } from './restart-bound.js';
import type { Route } from './route.js';
import { changesOf, prepareRuntime, type Runtime } from './runtime.js';
import { SharedParts } from './shared-parts.js';
import type { SharedPolicies } from './policies/shared-policies.js';
import { SiteKeeper } from './site-keeper.js';
import { gatewayStatus, routeFacts, routeStatus, type StatusContext } from './status.js';
import { openPolicies, openReplication, openStores } from './stores.js';
import { endUnwelcome } from './unwelcome.js';
import { tellChangedTools } from './policies/visible-tools.js';

export interface RunningGateway {
  /** The port listened on, also when the configuration said 0. */
  readonly port: number;
  /** Where clients on this machine reach it, e.g. `http://127.0.0.1:8080`. */
  readonly address: string;
  /** Drains and stops; may be called again while it does. */
  stop(): Promise<void>;
  /** Stops at once; whatever is under way is cut. */
  kill(): Promise<void>;
  /** Reads the configuration again; what comes of it is in the log. Resolves when it is in force or refused, and never rejects. */
  reload(): Promise<void>;
  /** For log rotation: goes on in files of the same name. */
  reopenFiles(): Promise<void>;
}

export interface GatewayHooks {
  readonly logger?: Logger;
  /** Reads the configuration again. With it, the files of the configuration are watched too. */
  readonly load?: () => Promise<GatewayConfig>;
}

/** How long closing upstream sessions may take once everything is over. */
const CLOSE_TIMEOUT_MS = 2000;

/**
 * Starts the gateway; resolves when it takes requests.
 *
 * @throws {KeySetInvalidError} a `jwksFile` cannot be used
 * @throws {RequiredUpstreamError} an upstream with `required: true` cannot be reached
 * @throws {RequiredStoreError} `redis.required` is set, and Redis does not answer
 * @throws {AddressInUseError | NotPermittedError} the address cannot be taken
 */
export async function startGateway(config: GatewayConfig, hooks: GatewayHooks = {}): Promise<RunningGateway> {
  const logger = hooks.logger ?? createLogger(config.logging);
  const replica = randomBytes(6).toString('hex');
  const audit = config.audit === undefined ? undefined : await openAudit(config.audit, replica, logger);
  const sessionOptions = { ...config.server.sessions };
  const replication = await openReplication(config, sessionOptions, { replica, logger, clock: systemClock });
  try {
    let applyPolicies = (): void => {};
    const onChange = (): void => applyPolicies();
    const policies = replication && openPolicies(config, replication, audit, logger, onChange);
    await policies?.open(config);
    const context = { logger, load: hooks.load, sessionOptions, replication, policies };
    const gateway = new Gateway(policies?.apply(config) ?? config, openStores(replication, audit), replica, context);
    applyPolicies = () => gateway.applyPolicies();
    await gateway.start();
    return gateway;
  } catch (error) {
    await replication?.close();
    throw error;
  }
}

interface GatewayContext {
  readonly logger: Logger;
  readonly load: (() => Promise<GatewayConfig>) | undefined;
  /** Of the configuration in force. */
  readonly sessionOptions: SessionOptions;
  /** Undefined: this process is the only one. */
  readonly replication: Replication | undefined;
  /** Those that were pushed to all replicas. */
  readonly policies: SharedPolicies | undefined;
}

class Gateway implements RunningGateway, OpsView {
  readonly #logger: Logger;
  readonly #replica: string;
  readonly #stores: RuleStores;
  readonly #metrics: Metrics | undefined;
  readonly #parts: SharedParts;
  readonly #site: SiteKeeper;
  readonly #reloader: Reloader;
  readonly #listener: HttpListener;
  readonly #startedAtMs = Date.now();
  readonly #replication: Replication | undefined;
  readonly #policies: SharedPolicies | undefined;
  #runtime: Runtime;
  #configuredAtMs = this.#startedAtMs;
  #port = 0;
  #isListening = false;
  #isDraining = false;
  #stopping: Promise<void> | undefined;

  constructor(config: GatewayConfig, stores: RuleStores, replica: string, context: GatewayContext) {
    const { logger, load, replication, policies, sessionOptions } = context;
    this.#replication = replication;
    this.#policies = policies;
    this.#replica = replica;
    this.#stores = stores;
    this.#logger = logger;
    this.#metrics = config.metrics.enabled ? this.#newMetrics(stores.audit) : undefined;
    const requestClock = new RequestClock();
    const isDraining = (): boolean => this.#isDraining;
    this.#parts = new SharedParts(config, {
      logger,
      replica,
      requestClock,
      metrics: this.#metrics,
      isDraining,
      sessionOptions,
      replication,
    });
    this.#runtime = prepareRuntime(config, this.#parts, stores).runtime;
    const { audit } = stores;
    this.#listener = new HttpListener(config.server, {
      logger,
      ops: this,
      requestClock,
      elsewhere: replication?.attach(this.#hostOf(requestClock)),
      onAuthFailure: ({ reason }, { route, method }) => {
        audit?.record({ event: 'auth_failure', route, method, reason, outcome: 'denied' });
      },
    });
    this.#site = new SiteKeeper(this.#listener, new AccessBuilder(systemClock, logger), logger);
    this.#reloader = new Reloader({
      logger,
      audit,
      metrics: this.#metrics,
      load,
      adopt: (next) => this.#adopt(policies?.apply(next) ?? next),
    });
  }

  #newMetrics(audit: AuditLog | undefined): Metrics {
    return new Metrics(() => this.#runtime.routes.map(routeFacts), {
      limits: () => this.#config.rateLimits.limits.map(({ name }) => name),
      auditRecords: audit && (() => audit.stats.records),
    });
  }

  /** What other replicas' requests find here. */
  #hostOf(requestClock: RequestClock): ReplicationHost {
    return {
      ids: this.#parts.ids,
      endpoint: (prefix, kind) => this.#listener.endpoint(prefix, kind),
      route: (prefix) => this.#runtime.routes.find((route) => route.prefix === prefix),
      serveHere: (endpoint, exchange) => {
        // Whoever brings a body has read it some time ago, and waited since.
        if (exchange.body !== undefined) requestClock.bodyRead(0);
        this.#listener.serveHere(endpoint, exchange);
      },
      isDraining: () => this.#isDraining,
      maxBodyBytes: () => this.#parts.limits.bodyBytes,
      onPolicyVersion: (version) => this.#policies?.check(version, this.#config),
      onForwarded: (direction) => this.#metrics?.forwarded(direction),
      onTakeover: () => this.#metrics?.sessionTaken(),
    };
  }

  /** Other policies were pushed: the configuration stays. @throws {Error} it cannot be in force with them */
  applyPolicies(): void {
    if (this.#policies !== undefined) this.#adopt(this.#policies.apply(this.#config));
  }

  get #config(): GatewayConfig {
    return this.#runtime.config;
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
      this.#site.prepare(this.#config)(this.#runtime.routes);
      await this.#replication?.join();
      this.#port = await this.#listen();
      this.#isListening = true;
      this.#reloader.watch(this.#config);
      this.#logger.info('listening', `listening on ${this.address}`, { replica: this.#replica });
    } catch (error) {
      await this.#closeRoutes('the gateway did not start');
      throw error;
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#drainAndStop();
    return this.#stopping;
  }

  reload(): Promise<void> {
    return this.#reloader.reload();
  }

  async kill(): Promise<void> {
    this.#isDraining = true;
    await this.#reloader.stop();
    await this.#listener.close();
    await this.#closeRoutes('the gateway was stopped');
    this.#isListening = false;
    await this.#closeShared();
    await this.#closeAudit();
  }

  async reopenFiles(): Promise<void> {
    await this.#stores.audit?.reopen();
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

  metrics(): Promise<Exposition> | undefined {
    return this.#metrics?.expose();
  }

  #statusContext(): StatusContext {
    return {
      defaultPrefix: this.#config.defaultRoute,
      port: this.#port,
      uptimeS: Math.floor((Date.now() - this.#startedAtMs) / 1000),
      replica: this.#replica,
      replicas: this.#replication?.replicaIds ?? [this.#replica],
      configHash: this.#config.hash,
      lastReload: new Date(this.#configuredAtMs).toISOString(),
    };
  }

  /** Everything that can fail comes first; from there on it is one step. */
  #adopt(loaded: GatewayConfig): ConfigChanges {
    const before = this.#runtime;
    const { config, waiting } = withBoundSettings(loaded, before.config);
    const serve = this.#site.prepare(config);
    const next = prepareRuntime(config, this.#parts, this.#stores, before);
    const former = next.kept.map(({ route }) => ({ route, rules: route.rules }));
    this.#runtime = next.runtime;
    this.#configuredAtMs = Date.now();
    this.#parts.adopt(config);
    for (const { route, rules } of next.kept) route.applyRules(rules);
    serve(next.runtime.routes);
    for (const { route, rules } of former) {
      endUnwelcome(route, before.config.auth, config.auth);
      background(tellChangedTools(route, rules), this.#logger, 'tools_changed_failed');
    }
    for (const route of next.retired) this.#site.retire(route, config.server.drain.timeoutMs);
    return { ...changesOf(next), waiting };
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

  #allRoutes(): Route[] {
    return [...this.#runtime.routes, ...this.#site.retiring];
  }

  async #closeRoutes(reason: string): Promise<void> {
    const closed = Promise.all(this.#allRoutes().map((route) => route.close(reason)));
    await Promise.race([closed, delay(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
  }

  async #closeShared(): Promise<void> {
    await this.#policies?.close();
    await this.#replication?.close();
  }

  /** A stop is a stop: what cannot be written any more is logged and does not keep the process. */
  async #closeAudit(): Promise<void> {
    try {
      await this.#stores.audit?.close();
    } catch (error) {
      this.#logger.error('audit_failed', 'the end of the audit trail could not be written', {
        reason: describeError(error),
      });
    }
  }

  async #drainAndStop(): Promise<void> {
    const { preStopMs, timeoutMs } = this.#config.server.drain;
    this.#isDraining = true;
    await this.#reloader.stop();
    this.#logger.info('draining', 'no longer ready; finishing what is under way', {
      inFlight: this.#parts.admission.inFlight,
    });
    await this.#replication?.drain();
    if (preStopMs > 0) await delay(preStopMs);
    const context = { listener: this.#listener, admission: this.#parts.admission, replication: this.#replication };
    const cut = await drain({ ...context, routes: () => this.#allRoutes() }, timeoutMs);
    await this.#closeRoutes('the gateway is stopping');
    await this.#listener.close();
    this.#isListening = false;
    await this.#closeShared();
    await this.#closeAudit();
    this.#logger.info('stopped', cut === 0 ? 'stopped; everything had finished' : 'stopped; some calls were cut', {
      cut,
    });
  }
}
