/** Sessions and their owners: one hash each, changed by scripts that look at owner and epoch first. */
import type { OwnedSession, SessionDirectory, SessionKey, StoredSession } from '../cluster/session-directory.js';
import type { RedisLink } from './link.js';
import { Script } from './script.js';

const SAVE = new Script(`
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and tonumber(epoch) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', ARGV[2], 'state', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`);

const TAKE = new Script(`
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', ARGV[2] + 1)
redis.call('XADD', KEYS[2], (ARGV[2] + 1) .. '-0', 'fence', '')
return 1
`);

const RELEASE = new Script(`
local facts = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if facts[1] ~= ARGV[1] or facts[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'owner', '')
return 1
`);

const REMOVE = new Script(`
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
`);

const SAVE_OVERHEAD_BYTES = 200;

export class RedisSessionDirectory implements SessionDirectory {
  readonly #link: RedisLink;
  readonly #me: string;

  /** @param me Id of this replica. */
  constructor(link: RedisLink, me: string) {
    this.#link = link;
    this.#me = me;
  }

  save({ key, epoch }: OwnedSession, state: Buffer, ttlMs: number): boolean {
    const keys = [this.#link.keys.session(key)];
    return this.#link.post(state.length + SAVE_OVERHEAD_BYTES, (redis) =>
      SAVE.run(redis, keys, [this.#me, epoch, state, ttlMs]),
    );
  }

  async load(key: SessionKey): Promise<StoredSession | undefined> {
    const name = this.#link.keys.session(key);
    const [owner, epoch, state] = await this.#link.run((redis) => redis.hmgetBuffer(name, 'owner', 'epoch', 'state'));
    if (owner == null || epoch == null || state == null) return undefined;
    return { owner: owner.toString(), epoch: Number(epoch.toString()), state };
  }

  async take(key: SessionKey, epoch: number): Promise<boolean> {
    return (await this.#link.run((redis) => TAKE.run(redis, this.#keysOf(key), [this.#me, epoch]))) === 1;
  }

  async release({ key, epoch }: OwnedSession): Promise<boolean> {
    const keys = [this.#link.keys.session(key)];
    return (await this.#link.run((redis) => RELEASE.run(redis, keys, [this.#me, epoch]))) === 1;
  }

  remove({ key, epoch }: OwnedSession): boolean {
    return this.#link.post(SAVE_OVERHEAD_BYTES, (redis) => REMOVE.run(redis, this.#keysOf(key), [epoch]));
  }

  touch(key: SessionKey, ttlMs: number): void {
    for (const name of this.#keysOf(key)) {
      this.#link.post(SAVE_OVERHEAD_BYTES, (redis) => redis.pexpire(name, ttlMs));
    }
  }

  async areOwned(sessions: readonly OwnedSession[]): Promise<readonly (boolean | undefined)[]> {
    return Promise.all(sessions.map((session) => this.#isOwned(session)));
  }

  async #isOwned({ key, epoch }: OwnedSession): Promise<boolean | undefined> {
    const name = this.#link.keys.session(key);
    const [owner, stored] = await this.#link.run((redis) => redis.hmget(name, 'owner', 'epoch'));
    return stored == null ? undefined : owner === this.#me && Number(stored) === epoch;
  }

  #keysOf(key: SessionKey): [string, string] {
    return [this.#link.keys.session(key), this.#link.keys.journal(key)];
  }
}
