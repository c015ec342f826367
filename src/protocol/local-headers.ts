/**
 * Headers that mean something to the process that received them alone. They do not travel from one replica to another, so no rule may
 * depend on them: whoever could choose the replica would choose the outcome.
 */

/** The verified principal stands for what these prove. */
const CREDENTIALS: readonly string[] = ['authorization', 'cookie', 'proxy-authorization', 'set-cookie', 'x-api-key'];

/** About one connection only. */
const OF_CONNECTION: readonly string[] = [
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

const LOCAL: ReadonlySet<string> = new Set([...CREDENTIALS, ...OF_CONNECTION]);
const BETWEEN_REPLICAS = 'x-mcp-gateway-';

/** @param name in lower case */
export function isLocalHeader(name: string): boolean {
  return LOCAL.has(name) || name.startsWith(BETWEEN_REPLICAS);
}
