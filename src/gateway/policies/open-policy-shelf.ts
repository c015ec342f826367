/** Opens the shelf of pushed policies for somebody who is no replica, such as the command line. */
import type { GatewayConfig } from '../../config/config.js';
import { ClusterSecrets } from '../../cluster/secrets.js';
import { Sealer } from '../../cluster/sealer.js';
import { systemClock } from '../../core/clock.js';
import type { Logger } from '../../core/logger.js';
import { RedisLink } from '../../redis/link.js';
import { PolicyShelf } from '../../redis/policy-shelf.js';

export interface OpenPolicyShelf {
  readonly shelf: PolicyShelf;
  close(): Promise<void>;
}

/** Resolves when Redis answers or the first attempt has failed; the shelf says so when it is used. */
export async function openPolicyShelf(
  { redis, cluster }: Pick<GatewayConfig, 'redis' | 'cluster'>,
  logger: Logger,
): Promise<OpenPolicyShelf | undefined> {
  if (redis === undefined || cluster === undefined) return undefined;
  const link = new RedisLink(redis, { logger, clock: systemClock });
  await link.connect();
  const sealer = new Sealer(new ClusterSecrets(cluster.secrets).keysFor('payload'));
  return { shelf: new PolicyShelf(link, sealer), close: () => link.close() };
}
