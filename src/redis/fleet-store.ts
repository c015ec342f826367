/**
 * Replicas and their heartbeats. Time is that of Redis, so that no replica's clock decides who is alive. What a replica says of itself is
 * sealed: requests are sent where it says, so nobody else may say it.
 */
import { randomUUID } from 'node:crypto';
import type { FleetStore, Heartbeat, Lease, Member } from '../cluster/fleet.js';
import type { Sealer } from '../cluster/sealer.js';
import type { RedisLink } from './link.js';
import { Script } from './script.js';

/** What is known of a replica is forgotten this long after its last heartbeat, in milliseconds. */
const FORGET_AFTER_MS = 600_000;

const BEAT = new Script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[4])
if #old > 0 then
  redis.call('ZREM', KEYS[1], unpack(old))
  redis.call('HDEL', KEYS[2], unpack(old))
end
local live = redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[3], '+inf')
redis.call('SET', KEYS[4], ARGV[5], 'NX')
return { now, redis.call('GET', KEYS[4]), redis.call('GET', KEYS[3]) or '0', live, redis.call('HMGET', KEYS[2], unpack(live)) }
`);

const LEASE_OF = new Script(`
local time = redis.call('TIME')
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
local held = 0
if score and time[1] * 1000 + math.floor(time[2] / 1000) - score < tonumber(ARGV[2]) then held = 1 end
return { held, redis.call('HGET', KEYS[2], ARGV[1]) }
`);

export class RedisFleetStore implements FleetStore {
  readonly #link: RedisLink;
  readonly #sealer: Sealer;

  constructor(link: RedisLink, sealer: Sealer) {
    this.#link = link;
    this.#sealer = sealer;
  }

  async beat(me: Member, leaseMs: number): Promise<Heartbeat> {
    const { fleetMembers, fleetFacts, policyVersion, fleetGeneration } = this.#link.keys;
    const keys = [fleetMembers, fleetFacts, policyVersion, fleetGeneration];
    const args = [me.id, sealMember(me, this.#sealer), leaseMs, FORGET_AFTER_MS, randomUUID()];
    const reply = await this.#link.run((redis) => BEAT.run(redis, keys, args));
    const [timeMs, generation, version, ids, facts] = reply as [number, string, string, string[], (string | null)[]];
    const members = ids.flatMap((id, index) => openMember(id, facts[index], this.#sealer));
    return { timeMs, generation, policyVersion: Number(version), members };
  }

  async leave(id: string): Promise<void> {
    const { fleetMembers, fleetFacts } = this.#link.keys;
    await this.#link.run((redis) => Promise.all([redis.zrem(fleetMembers, id), redis.hdel(fleetFacts, id)]));
  }

  async leaseOf(id: string, leaseMs: number): Promise<Lease> {
    const { fleetMembers, fleetFacts } = this.#link.keys;
    const reply = await this.#link.run((redis) => LEASE_OF.run(redis, [fleetMembers, fleetFacts], [id, leaseMs]));
    const [held, facts] = reply as [number, string | null];
    const [member] = openMember(id, facts, this.#sealer);
    return { isHeld: held === 1, member };
  }
}

function sealMember(me: Member, sealer: Sealer): string {
  return sealer.seal(Buffer.from(JSON.stringify(me)), contextOf(me.id)).toString('base64');
}

/** Who does not know our secret cannot be reached; a replica of another version may say more of itself, or less. */
function openMember(id: string, text: string | null | undefined, sealer: Sealer): Member[] {
  const plain = text == null ? undefined : sealer.open(Buffer.from(text, 'base64'), contextOf(id));
  if (plain === undefined) return [];
  const { hash, address, version, isDraining } = JSON.parse(plain.toString()) as Readonly<Record<string, unknown>>;
  if (typeof hash !== 'string' || typeof address !== 'string') return [];
  return [{ id, hash, address, version: String(version), isDraining: isDraining === true }];
}

function contextOf(id: string): string {
  return `fleet member ${id}`;
}
