/** What the listener serves, from one configuration to the next: entrances that outlive their routes, access control, certificates. */
import { background } from '../core/background.js';
import type { Logger } from '../core/logger.js';
import type { GatewayConfig } from '../config/config.js';
import type { AccessControl } from '../downstream/caller-identity.js';
import type { HttpListener } from '../downstream/http-listener.js';
import { readTlsFiles } from '../downstream/node-server.js';
import type { AccessBuilder } from './access.js';
import { Entrance } from './entrance.js';
import { retire } from './retirement.js';
import type { Route } from './route.js';

export class SiteKeeper {
  readonly #listener: HttpListener;
  readonly #access: AccessBuilder;
  readonly #logger: Logger;
  readonly #entrances = new Map<string, Entrance>();
  readonly #retiring = new Set<Route>();
  /** Serves what is in force once more, e.g. because an entrance is gone. */
  #serveAgain: () => void = () => {};

  constructor(listener: HttpListener, access: AccessBuilder, logger: Logger) {
    this.#listener = listener;
    this.#access = access;
    this.#logger = logger;
  }

  /** Routes that are no longer in force and still finish something. */
  get retiring(): Iterable<Route> {
    return this.#retiring;
  }

  /**
   * Reads keys and certificates; nothing changes before the function that it returns is called with the routes.
   *
   * @throws {KeySetInvalidError} a key file cannot be used
   * @throws {Error} a certificate cannot be used
   */
  prepare(config: GatewayConfig): (routes: readonly Route[]) => void {
    const access = this.#access.build(config.auth);
    const { tls } = config.server;
    const certificate = tls === undefined ? undefined : readTlsFiles(tls);
    return (routes) => {
      if (certificate !== undefined) this.#listener.useCertificate(certificate);
      this.#lead(routes);
      this.#serveAgain = () => this.#serve(config, access);
      this.#serveAgain();
    };
  }

  /** Lets a route that is no longer served finish, for `timeoutMs` at most. */
  retire(route: Route, timeoutMs: number): void {
    this.#retiring.add(route);
    const retired = retire(route, timeoutMs).finally(() => this.#left(route));
    background(retired, this.#logger, 'route_close_failed');
  }

  #serve({ server, defaultRoute }: GatewayConfig, access: AccessControl): void {
    this.#listener.serve({ doors: [...this.#entrances.values()], defaultPrefix: defaultRoute, access }, server);
  }

  #lead(routes: readonly Route[]): void {
    const byPrefix = new Map(routes.map((route) => [route.prefix, route]));
    for (const [prefix, entrance] of this.#entrances) {
      const route = byPrefix.get(prefix);
      if (entrance.route !== route) entrance.lead(route);
      byPrefix.delete(prefix);
    }
    for (const [prefix, route] of byPrefix) this.#entrances.set(prefix, new Entrance(route));
  }

  #left(route: Route): void {
    this.#retiring.delete(route);
    const entrance = this.#entrances.get(route.prefix);
    entrance?.left(route);
    if (entrance?.isDeserted !== true) return;
    this.#entrances.delete(route.prefix);
    this.#serveAgain();
  }
}
