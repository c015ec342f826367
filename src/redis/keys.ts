/**
 * Every key in Redis, in one table. `<p>` is `redis.keyPrefix`; `1` is the version of the layout, so that replicas that
 * disagree about it do not read each other. What stands in braces decides the slot in Redis Cluster: keys that one
 * script touches share it.
 *
 * | Key                             | Type    | TTL             | What for                                              |
 * |---------------------------------|---------|-----------------|-------------------------------------------------------|
 * | `<p>:1:{fleet}:members`         | ZSET    | none, trimmed   | replica id, scored by its last heartbeat (Redis time) |
 * | `<p>:1:{fleet}:facts`           | HASH    | none, trimmed   | replica id: address, hash and version, sealed         |
 * | `<p>:1:{fleet}:generation`      | STRING  | none            | another one: everything else was lost                 |
 * | `<p>:1:{fleet}:policies`        | counter | none            | grows with each change of a pushed policy             |
 * | `<p>:1:{fleet}:policy-names`    | SET     | none            | names of pushed policies                              |
 * | `<p>:1:{<digest>}:session`      | HASH    | of the session  | owner, epoch and sealed record of one session         |
 * | `<p>:1:{<digest>}:journal`      | STREAM  | of the session  | what one session sent last, for resuming clients      |
 * | `<p>:1:{limits}:<window>`       | STRING  | of the window   | calls counted in one window of a rate limit           |
 * | `<p>:1:pins:<route>`            | HASH    | none            | tool name: digest of its pinned definition            |
 * | `<p>:1:verdicts:<route>`        | HASH    | 5 min           | what was found out about the upstream of a route      |
 * | `<p>:1:{policy:<name>}:state`   | HASH    | none            | which pushed document of a policy rules               |
 * | `<p>:1:{policy:<name>}:history` | LIST    | none, capped    | what was pushed, newest first                         |
 * | `<p>:1:{policy:<name>}:doc:<h>` | STRING  | with its entry  | one pushed document, sealed, by its hash              |
 */
export class RedisKeys {
  readonly fleetMembers: string;
  readonly fleetFacts: string;
  readonly fleetGeneration: string;
  readonly policyVersion: string;
  readonly policyNames: string;
  readonly #base: string;
  readonly #limits: string;

  /** @param prefix free of braces, which would decide the slot */
  constructor(prefix: string) {
    this.#base = `${prefix}:1:`;
    this.#limits = `${this.#base}{limits}:`;
    this.fleetMembers = `${this.#base}{fleet}:members`;
    this.fleetFacts = `${this.#base}{fleet}:facts`;
    this.fleetGeneration = `${this.#base}{fleet}:generation`;
    this.policyVersion = `${this.#base}{fleet}:policies`;
    this.policyNames = `${this.#base}{fleet}:policy-names`;
  }

  session(digest: string): string {
    return `${this.#base}{${digest}}:session`;
  }

  journal(digest: string): string {
    return `${this.#base}{${digest}}:journal`;
  }

  limit(windowKey: string): string {
    return this.#limits + windowKey;
  }

  pins(route: string): string {
    return `${this.#base}pins:${route}`;
  }

  verdicts(route: string): string {
    return `${this.#base}verdicts:${route}`;
  }

  policy(name: string): string {
    return `${this.#base}{policy:${name}}:state`;
  }

  policyHistory(name: string): string {
    return `${this.#base}{policy:${name}}:history`;
  }

  policyDocument(name: string, hash: string): string {
    return `${this.#base}{policy:${name}}:doc:${hash}`;
  }
}
