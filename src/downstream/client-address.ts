/** Where a request really comes from: what trusted proxies say of it, else what the socket says. */
import type { ServedRequest } from '../http-server/types.js';
import { BlockList, isIP } from 'node:net';

const MAPPED_PREFIX = '::ffff:';

export class ClientAddresses {
  /** Undefined when no proxy is trusted, so that headers are not even looked at. */
  readonly #proxies: BlockList | undefined;

  /** @param trustedProxies CIDRs, each with its length. */
  constructor(trustedProxies: readonly string[]) {
    if (trustedProxies.length === 0) return;
    this.#proxies = new BlockList();
    for (const cidr of trustedProxies) {
      const [address = '', length] = cidr.split('/');
      this.#proxies.addSubnet(address, Number(length), familyOf(address));
    }
  }

  /** The address of the client: of those that `X-Forwarded-For` lists, the last that is no trusted proxy. Empty when the socket is gone. */
  of(request: ServedRequest): string {
    const peer = plain(request.socket.remoteAddress ?? '');
    const forwarded = request.headers['x-forwarded-for'];
    if (forwarded === undefined || !this.#isProxy(peer)) return peer;
    let client = peer;
    for (const hop of String(forwarded).split(',').toReversed()) {
      const address = hopAddress(hop.trim());
      // What stands further left was said by somebody whom nobody vouches for.
      if (address === undefined) return client;
      client = address;
      if (!this.#isProxy(address)) return client;
    }
    return client;
  }

  /** The scheme that a trusted proxy was reached by; undefined when none says. */
  forwardedScheme(request: ServedRequest): 'http' | 'https' | undefined {
    const scheme = request.headers['x-forwarded-proto'];
    if (scheme !== 'http' && scheme !== 'https') return undefined;
    return this.#isProxy(plain(request.socket.remoteAddress ?? '')) ? scheme : undefined;
  }

  #isProxy(address: string): boolean {
    return this.#proxies !== undefined && isIP(address) !== 0 && this.#proxies.check(address, familyOf(address));
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** On a socket for both families an IPv4 address comes written as IPv6. */
function plain(address: string): string {
  return address.startsWith(MAPPED_PREFIX) && address.includes('.') ? address.slice(MAPPED_PREFIX.length) : address;
}

/** Some proxies write the port too; undefined when it is no address. */
function hopAddress(hop: string): string | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
  return isIP(bare) === 0 || bare.includes('%') ? undefined : plain(bare.toLowerCase());
}
