/**
 * The prefix of an upstream that names none: the label left of the public suffix of its host.
 * Pure functions; who collides with whom is found in `assign-prefixes`.
 */
import { isIP } from 'node:net';
import { parse } from 'tldts';

/** Paths of the gateway itself; a route of that name would hide them or be hidden. */
export const RESERVED_PREFIXES: ReadonlySet<string> = new Set([
  'sse',
  'messages',
  'ws',
  'poll',
  'status',
  'healthz',
  'livez',
  'readyz',
  'metrics',
  'admin',
]);

const MAX_PREFIX_CHARS = 63;
/** Say nothing about which server is meant. */
const GENERIC_PATH_PARTS = /^(sse|mcp|messages|api|v\d+(\.\d+)*|message|stream|http)$/;
const GENERIC_LABELS: ReadonlySet<string> = new Set(['www', 'mcp', 'api']);

/** @returns undefined when the host gives no legal prefix */
export function derivePrefix(url: string): string | undefined {
  const host = hostOf(url);
  const version = isIP(host);
  if (version === 4) return `ip-${host.replaceAll('.', '-')}`;
  if (version === 6) return `ip-${expandIpv6(host).join('-')}`;
  return slug([hostParts(host).name]);
}

/**
 * Longer names for an upstream whose prefix is taken, most telling first: from the path, the host, both, the public
 * suffix, the port.
 */
export function prefixCandidates(url: string, prefix: string): string[] {
  const { pathname, port } = new URL(url);
  const path = pathname.split('/').filter((part) => part !== '' && !GENERIC_PATH_PARTS.test(part.toLowerCase()));
  const { labels, suffix } = hostParts(hostOf(url));
  const telling = labels.filter((label) => !GENERIC_LABELS.has(label));
  return [
    [prefix, ...path.slice(0, 1)],
    [prefix, ...path],
    [prefix, ...telling],
    [prefix, ...labels],
    [prefix, ...labels, ...path],
    [prefix, ...suffix],
    [prefix, port],
    [prefix, ...labels, ...suffix, ...path, port],
  ].map((parts) => slug(parts) ?? prefix);
}

interface HostParts {
  /** The label the prefix is made of. */
  name: string;
  /** What stands left of it, from the right to the left. */
  labels: string[];
  suffix: string[];
}

function hostParts(host: string): HostParts {
  const known = isIP(host) === 0 ? parse(host, { allowPrivateDomains: true, validateHostname: false }) : undefined;
  const isPublic = known?.isIcann === true || known?.isPrivate === true;
  const registrable = isPublic ? known.domainWithoutSuffix : null;
  if (known === undefined || !registrable) return { name: host.split('.')[0] ?? '', labels: [], suffix: [] };
  const labels = (known.subdomain ?? '').split('.').filter((label) => label !== '');
  return { name: registrable, labels: labels.toReversed(), suffix: (known.publicSuffix ?? '').split('.') };
}

function hostOf(url: string): string {
  return new URL(url).hostname
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^\[(.*)\]$/, '$1');
}

/** Eight groups, so that `::` is not lost among the dashes. */
function expandIpv6(address: string): string[] {
  const [left = '', right] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  if (right === undefined) return groups(left);
  const missing = 8 - groups(left).length - groups(right).length;
  return [...groups(left), ...Array.from({ length: missing }, () => '0'), ...groups(right)];
}

function slug(parts: readonly string[]): string | undefined {
  const text = parts
    .map((part) =>
      part
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .replace(/^-+|-+$/g, ''),
    )
    .filter((part) => part !== '')
    .join('-')
    .slice(0, MAX_PREFIX_CHARS);
  return text === '' ? undefined : text;
}
