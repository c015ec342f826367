/** Where limits are counted, pins are kept and policies are shared: in this process, or in Redis when there is one. */
import type { AuditLog } from '../audit/audit-log.js';
import type { GatewayConfig } from '../config/config.js';
import { systemClock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import { MemoryPinStore } from '../policy/tool-pins.js';
import { FallbackLimitStore } from '../rate-limit/fallback-store.js';
import { MemoryLimitStore } from '../rate-limit/memory-store.js';
import { RedisLimitStore } from '../redis/limit-store.js';
import { RedisPinStore } from '../redis/pin-store.js';
import { PolicyShelf } from '../redis/policy-shelf.js';
import type { SessionOptions } from '../session/options.js';
import type { RuleStores } from './policies/build-rules.js';
import { PushedPolicyFile, pushedPolicyFile } from './policies/pushed-policy-file.js';
import { Replication, type ReplicationContext } from './replicas/replication.js';
import { SharedPolicies } from './policies/shared-policies.js';

export async function openReplication(
  { redis, cluster }: GatewayConfig,
  options: SessionOptions,
  context: ReplicationContext,
): Promise<Replication | undefined> {
  return redis === undefined || cluster === undefined
    ? undefined
    : await Replication.open(redis, cluster, options, context);
}

export function openStores(replication: Replication | undefined, audit: AuditLog | undefined): RuleStores {
  const pins = new MemoryPinStore();
  if (replication === undefined) {
    const limits = new MemoryLimitStore();
    return { limits, fallback: { store: limits, replicas: () => 1 }, pins, audit };
  }
  const { link } = replication;
  return {
    limits: new RedisLimitStore(link),
    fallback: { store: new FallbackLimitStore(), replicas: () => replication.mostReplicas },
    pins: new RedisPinStore(link, pins),
    audit,
  };
}

/** @param onChange Other policies rule from now on. */
export function openPolicies(
  config: GatewayConfig,
  { link, sealer }: Replication,
  audit: AuditLog | undefined,
  logger: Logger,
  onChange: () => void,
): SharedPolicies {
  return new SharedPolicies({
    shelf: new PolicyShelf(link, sealer),
    file: new PushedPolicyFile(pushedPolicyFile(config.source, process.cwd()), sealer),
    logger,
    clock: systemClock,
    audit,
    onChange,
  });
}
