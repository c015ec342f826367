/**
 * What conditions may ask of a string that holds a URL or a path. Each function refuses (throws, which denies) what
 * two programs could read in two ways, instead of guessing.
 */
import { BlockList, isIP } from 'node:net';

const CONTROL_OR_BACKSLASH = /[\p{Cc}\s\\]/u;
const ENCODED_PATH_TRICK = /%(?:2e|2f|5c|00)/i;
const LOCAL_NAME = /(?:^|\.)(?:localhost|local|localdomain|internal|intranet|lan|home|corp)$/;

const PRIVATE_V4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const;

/** Global unicast is `2000::/3`; what tunnels or maps IPv4 addresses inside it is refused too. */
const PRIVATE_V6 = [
  ['::', 3],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['4000::', 2],
  ['8000::', 1],
] as const;

// Two lists, because one would hold IPv4 addresses against the IPv6 networks they can be mapped into.
const privateV4 = new BlockList();
const privateV6 = new BlockList();
for (const [network, prefix] of PRIVATE_V4) privateV4.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of PRIVATE_V6) privateV6.addSubnet(network, prefix, 'ipv6');

/**
 * The host of a URL in canonical form: lower case, `2130706433` as `127.0.0.1`, no trailing dot, IPv6 in brackets.
 *
 * @throws {Error} not a URL with a host, user info in it, or characters that parsers disagree about
 */
export function urlHost(text: string): string {
  return parseUrl(text).hostname.replace(/\.$/, '');
}

/** Whether a URL is http(s) and names a public host: no private address, no local name. It resolves nothing. */
export function isPublicUrl(text: string): boolean {
  const { protocol } = parseUrl(text);
  if (protocol !== 'http:' && protocol !== 'https:') return false;
  const host = urlHost(text).replace(/^\[|\]$/g, '');
  const version = isIP(host);
  if (version === 0) return host.includes('.') && !LOCAL_NAME.test(host);
  return version === 4 ? !privateV4.check(host, 'ipv4') : !privateV6.check(host, 'ipv6');
}

/**
 * Whether a POSIX path is a directory or lies below it.
 *
 * @throws {Error} relative, with `..`, encoded dots or slashes, backslashes or control characters
 */
export function isUnder(path: string, directory: string): boolean {
  const base = pathSegments(directory);
  const segments = pathSegments(path);
  return base.every((segment, index) => segments[index] === segment);
}

function pathSegments(path: string): string[] {
  if (!path.startsWith('/')) throw new Error('not an absolute path');
  if (CONTROL_OR_BACKSLASH.test(path.replaceAll(' ', '')) || ENCODED_PATH_TRICK.test(path)) {
    throw new Error('the path holds a backslash, a control character or an encoded dot or slash');
  }
  const segments = path.split('/').filter((segment) => segment !== '' && segment !== '.');
  if (segments.includes('..')) throw new Error('the path holds ..');
  return segments;
}

function parseUrl(text: string): URL {
  if (CONTROL_OR_BACKSLASH.test(text)) throw new Error('the URL holds white space, a control character or a backslash');
  const url = new URL(text);
  if (url.hostname === '') throw new Error('the URL has no host');
  if (url.username !== '' || url.password !== '') throw new Error('the URL holds user info');
  return url;
}
