/** Hosts, origins and the public URL as people write them under `server`. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { parseUrl, refuse } from '../core/option-schemas.js';

export interface PublicUrl {
  /** `https://gw.example.com`, or undefined when only a path was given. */
  origin: string | undefined;
  /** Empty, or with a leading and no trailing slash. */
  path: string;
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const PATH = /^(\/[A-Za-z0-9._~-]+)*\/?$/;

/** True for names and addresses that only this machine can reach. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** What to listen on: an IP address or a host name, without brackets or port. */
export const hostSchema = z.string().transform((text, context) => {
  const host = text.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (isIP(host) === 0 && !HOST_NAME.test(host))
    return refuse(context, 'expected an IP address or a host name, without a port');
  return host;
});

/** What a `Host` header may say, without its port. IPv6 addresses stand in brackets there. */
export const hostNameSchema = z.string().transform((text, context) => {
  const host = text.toLowerCase().replace(/\.$/, '');
  const address = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) === 6) return `[${address}]`;
  if (!HOST_NAME.test(host))
    return refuse(context, 'expected a host name such as gateway.example.com, without scheme, port or *');
  return host;
});

/** One browser origin, serialized the way browsers send it. */
export const originSchema = z.string().transform((text, context) => {
  const expected = 'expected an exact origin such as https://app.example.com, without a path or *';
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s*]+$/i.test(text)) return refuse(context, expected);
  const url = parseUrl(text);
  if (url === undefined) return refuse(context, expected);
  return url.origin === 'null' ? text.toLowerCase() : url.origin;
});

/** A full http(s) URL, or a path alone. */
export const publicUrlSchema = z.string().transform((text, context): PublicUrl => {
  const path = 'expected a URL such as https://gw.example.com/base, or a path such as /base';
  if (text.startsWith('/'))
    return PATH.test(text) ? { origin: undefined, path: trimSlash(text) } : refuse(context, path);
  const url = parseUrl(text);
  if (url === undefined || !/^https?:$/.test(url.protocol) || /[?#@]/.test(text) || !PATH.test(url.pathname))
    return refuse(context, path);
  return { origin: url.origin, path: trimSlash(url.pathname) };
});

function trimSlash(path: string): string {
  return path.replace(/\/+$/, '');
}
