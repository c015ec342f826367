/** Which names we answer to: the guard against DNS rebinding, and the routing by sub-domain. */
import { HttpRefusalError } from './errors.js';

export interface HostGuardOptions {
  /** The address listened on. */
  readonly host: string;
  readonly domain: string | undefined;
  readonly publicHost: string | undefined;
  readonly allowedHosts: readonly string[];
  readonly prefixes: readonly string[];
}

const LOOPBACK_NAMES: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];
const MAX_REMEMBERED_NAMES = 1000;

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

export class HostGuard {
  readonly #isOn: boolean;
  readonly #names: ReadonlySet<string>;
  readonly #routeOfName: ReadonlyMap<string, string>;
  /** Verdicts by header value as it came; the value is the client's, so their number is bounded. */
  readonly #verdicts = new Map<string, string | undefined>();

  constructor(options: HostGuardOptions) {
    const { domain, publicHost, allowedHosts, prefixes, host } = options;
    const named = [
      ...(domain === undefined ? [] : [domain]),
      ...(publicHost === undefined ? [] : [publicHost]),
      ...allowedHosts,
    ];
    this.#isOn = isLoopback(host) || named.length > 0;
    this.#routeOfName = new Map(domain === undefined ? [] : prefixes.map((prefix) => [`${prefix}.${domain}`, prefix]));
    const bound = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
    this.#names = new Set([...LOOPBACK_NAMES, bound.toLowerCase(), ...named, ...this.#routeOfName.keys()]);
  }

  /** Whether a name has to be one of ours. Off only when listening beyond loopback with no name configured. */
  get isOn(): boolean {
    return this.#isOn;
  }

  /**
   * @returns the prefix of the route that this name stands for, if it stands for one
   * @throws {HttpRefusalError} 403: not one of our names
   */
  check(hostHeader: string | undefined): string | undefined {
    const header = hostHeader ?? '';
    if (this.#verdicts.has(header)) return this.#verdicts.get(header);
    const name = nameOf(header);
    if (name === undefined || (this.#isOn && !this.#names.has(name))) {
      throw new HttpRefusalError(403, 'this host name is not served here');
    }
    const route = this.#routeOfName.get(name);
    if (this.#verdicts.size < MAX_REMEMBERED_NAMES) this.#verdicts.set(header, route);
    return route;
  }
}

/** The name without its port, lower case; undefined when the header is no host. */
function nameOf(header: string): string | undefined {
  const match = /^(\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.exec(header);
  return match?.[1]?.toLowerCase();
}
