/**
 * Every scalar key has a name in the environment: `MCP_GATEWAY_` and its path in upper snake case, so
 * `server.limits.bodyBytes` is `MCP_GATEWAY_SERVER_LIMITS_BODY_BYTES`. An empty variable counts as unset.
 */
import { configSchema } from './schema.js';
import { jsonSchemaOf, type JsonSchema } from './known-keys.js';
import type { Report } from './problem.js';
import type { ConfigSource } from './source.js';
import { nearest } from './suggest.js';

const PREFIX = 'MCP_GATEWAY_';
const AUDIT_KEY = 'MCP_GATEWAY_AUDIT_KEY';
type Env = Readonly<Record<string, string | undefined>>;

/** Variable name to path, for every key that holds one value. */
export function environmentKeys(): ReadonlyMap<string, string[]> {
  const keys = new Map<string, string[]>();
  collect(jsonSchemaOf(configSchema), [], keys);
  // It belongs to the file, and images like to put their own version into a variable of this name.
  keys.delete(environmentName(['version']));
  return keys;
}

/** Lays the variables over the source; one that is nearly a known name is worth a warning. */
export function applyEnvironment(source: ConfigSource, env: Env, report: Report): void {
  const names = Object.keys(env).filter((name) => name.startsWith(PREFIX) && env[name] !== '');
  if (names.length === 0) return;
  const keys = environmentKeys();
  // A key alone is no wish for an audit trail: the variable may be there for `audit verify`.
  const ordered = names.toSorted((one, other) => Number(one === AUDIT_KEY) - Number(other === AUDIT_KEY));
  for (const name of ordered) {
    if (name === AUDIT_KEY && source.get(['audit']) === undefined) continue;
    const path = keys.get(name);
    if (path === undefined) {
      if (!isServiceLink(env[name])) warnOfTypo(name, keys, report);
    } else if (isServiceLink(env[name]))
      report.warnings.push(`${name} is ignored: it holds a Kubernetes service address`);
    else source.override(path, env[name], name);
  }
}

/** Kubernetes sets `<SERVICE>_PORT=tcp://...` in every pod beside a service of that name. */
function isServiceLink(value: string | undefined): boolean {
  return value?.startsWith('tcp://') === true || value?.startsWith('udp://') === true;
}

function warnOfTypo(name: string, keys: ReadonlyMap<string, string[]>, report: Report): void {
  // Only our own sections: Kubernetes invents MCP_GATEWAY_SERVICE_HOST and the like for a service of that name.
  if (!/^MCP_GATEWAY_(SERVER|LOGGING|POLICY|AUTH|RATE_LIMITS|AUDIT|METRICS|REDIS|CLUSTER)_/.test(name)) return;
  const suggestion = nearest(name, keys.keys());
  if (suggestion === undefined || /_(TCP|UDP|SERVICE_HOST|SERVICE_PORT)(_|$)/.test(name)) return;
  report.warnings.push(`${name} is no known variable and has no effect; did you mean ${suggestion}?`);
}

function collect(schema: JsonSchema, path: string[], keys: Map<string, string[]>): void {
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const here = [...path, key];
    if (property.properties !== undefined) collect(property, here, keys);
    else if (isScalar(property)) keys.set(environmentName(here), here);
  }
}

export function environmentName(path: readonly string[]): string {
  return PREFIX + path.map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_');
}

function isScalar(schema: JsonSchema): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.every(isScalar);
  const types = [schema.type ?? []].flat();
  return types.length > 0 && !types.includes('array') && !types.includes('object');
}
