import { networkInterfaces } from 'node:os';

/** The first address of this machine that others can reach, unless it listens on one alone. */
export function reachableHost(host: string): string {
  const isAny = host === '0.0.0.0' || host === '::';
  if (!isAny) return host.includes(':') ? `[${host}]` : host;
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const external = addresses.filter(({ internal }) => !internal);
  const v4 = external.find(({ family }) => family === 'IPv4');
  // Link-local addresses mean nothing without the interface.
  const v6 = external.find(({ family, scopeid }) => family === 'IPv6' && !scopeid);
  if (v4 !== undefined) return v4.address;
  return v6 === undefined ? '127.0.0.1' : `[${v6.address}]`;
}
