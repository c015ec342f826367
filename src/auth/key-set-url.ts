/**
 * Which URLs a key set may be read from, and which addresses their names may stand for.
 * Whoever controls a key set controls who gets in, so it comes over TLS; plain HTTP is for a provider on this very machine.
 * Private networks are allowed, many providers live there; loopback and link-local (cloud metadata) behind another name are not.
 */
import { type LookupAddress, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const NEVER_A_PROVIDER = new BlockList();
NEVER_A_PROVIDER.addSubnet('0.0.0.0', 8, 'ipv4');
NEVER_A_PROVIDER.addSubnet('169.254.0.0', 16, 'ipv4');
NEVER_A_PROVIDER.addSubnet('224.0.0.0', 3, 'ipv4');
NEVER_A_PROVIDER.addAddress('100.100.100.200', 'ipv4');
NEVER_A_PROVIDER.addAddress('::', 'ipv6');
NEVER_A_PROVIDER.addAddress('fd00:ec2::254', 'ipv6');
NEVER_A_PROVIDER.addSubnet('fe80::', 10, 'ipv6');
NEVER_A_PROVIDER.addSubnet('ff00::', 8, 'ipv6');

/** @returns what is wrong with `text` as the URL of a key set, or undefined */
export function keySetUrlProblem(text: string): string | undefined {
  if (!URL.canParse(text)) return 'must be an absolute URL';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or password';
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
    return 'must be https (http is accepted for loopback hosts only)';
  }
  const address = unbracketed(url.hostname);
  if (isIP(address) !== 0 && matches(NEVER_A_PROVIDER, address))
    return 'must not point at a link-local or reserved address';
  return undefined;
}

/** Resolves names for connections to `hostname`, and fails when one of its addresses is not a place for a key set. */
export function guardedLookup(hostname: string, resolve: typeof lookup = lookup): LookupFunction {
  const mayBeLoopback = isLoopbackHost(hostname);
  return (name, options, callback) => {
    resolve(name, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      const refused = addresses.find(({ address }) => !isAllowed(address, mayBeLoopback));
      if (refused !== undefined) {
        return callback(new Error(`${name} stands for ${refused.address}, which is not allowed`), []);
      }
      answer(addresses, options.all === true, callback);
    });
  };
}

function answer(addresses: LookupAddress[], wantsAll: boolean, callback: Parameters<LookupFunction>[2]): void {
  const first = addresses[0];
  if (wantsAll || first === undefined) callback(null, addresses);
  else callback(null, first.address, first.family);
}

function isAllowed(address: string, mayBeLoopback: boolean): boolean {
  const isLoopback = matches(LOOPBACK, address);
  return mayBeLoopback ? isLoopback : !isLoopback && !matches(NEVER_A_PROVIDER, address);
}

function isLoopbackHost(hostname: string): boolean {
  const host = unbracketed(hostname);
  if (isIP(host) !== 0) return matches(LOOPBACK, host);
  return host === 'localhost' || host.endsWith('.localhost');
}

function matches(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

function unbracketed(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}
