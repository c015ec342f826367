/** The keys that make several gateways one, `redis` and `cluster`, and what they need of each other. */
import { type ClusterOptions, SECRET_HINT } from '../cluster/options.js';
import { check } from './check.js';
import type { GatewayConfig } from './config.js';
import { formatPosition, type Path, type Report } from './problem.js';
import { warnIfPlain } from './rules.js';
import { configShape } from './schema.js';
import type { ConfigSource } from './source.js';

const SHORT_SECRET_CHARACTERS = 16;

export function readReplicas(source: ConfigSource, report: Report): Pick<GatewayConfig, 'redis' | 'cluster'> {
  const redis = check(configShape.redis, source, ['redis'], report);
  const cluster = check(configShape.cluster, source, ['cluster'], report);
  const names = { redis: source.get(['redis']) !== undefined, cluster: source.get(['cluster']) !== undefined };
  if (names.redis && !names.cluster) {
    const message = 'missing key "cluster.secret": what replicas keep in Redis is sealed with it';
    report.problems.push(source.problem(['redis'], message, { at: 'key', hint: SECRET_HINT }));
  }
  if (names.cluster && !names.redis) {
    const where = formatPosition(source.locate(['cluster'], 'key'));
    report.warnings.push(`${where}: cluster has no effect without redis`);
  }
  if (redis?.endpoint.password !== undefined) warnIfPlain(['redis', 'url'], source, report);
  warnIfPlain(['redis', 'sentinelPassword'], source, report);
  if (cluster !== undefined) warnOfSecrets(cluster, source, report);
  return { redis, cluster };
}

function warnOfSecrets(cluster: ClusterOptions, source: ConfigSource, report: Report): void {
  const isList = Array.isArray(source.get(['cluster', 'secret']));
  for (const [index, secret] of cluster.secrets.entries()) {
    const path: Path = isList ? ['cluster', 'secret', index] : ['cluster', 'secret'];
    warnIfPlain(path, source, report);
    if (secret.length >= SHORT_SECRET_CHARACTERS) continue;
    const where = formatPosition(source.locate(path));
    report.warnings.push(`${where}: this secret is short enough to be guessed; ${SECRET_HINT}`);
  }
}
