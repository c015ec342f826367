/**
 * The pushed policies that all replicas share: what rules for each name, every text that did, and every change. A change
 * is one script on the keys of that policy, which takes place only if nobody changed it meanwhile; then the common
 * version number grows, which replicas watch. What the texts mean, and whether they compile, is not looked at here.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { PolicyConflictError, PolicyNotKeptError } from './policy-errors.js';
import type { RedisKeys } from './keys.js';
import type { RedisLink } from './link.js';
import {
  type HistoryEntry,
  PolicyRecords,
  type PolicyState,
  type PolicyText,
  type RecordSealer,
} from './policy-record.js';
import { CHANGE, KEEP, ANNOUNCE } from './policy-scripts.js';
import { pushOf, type RollbackTarget } from './rollback-target.js';

export interface PolicyPush extends PolicyText {
  /** Hash of the compiled policy. */
  readonly hash: string;
  readonly author: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface KeptText extends PolicyText {
  readonly hash: string;
}

/** What has to rule for a change to take place. */
export interface Expectation {
  /** Hash, or the beginning of one. */
  readonly hash: string;
  /** Hash of the policy in the file, which rules when nothing is pushed; undefined: unknown. */
  readonly ofFile: string | undefined;
}

export interface PolicyChange {
  /** Undefined: nothing was ever pushed. */
  readonly before: PolicyState | undefined;
  readonly after: PolicyState;
}

/** What stands on the shelf under a name; without `state` it cannot be read here: sealed otherwise, or of a newer version. */
export interface ShelfEntry {
  readonly name: string;
  readonly revision: number;
  readonly state: PolicyState | undefined;
}

const HISTORY_CAP = 1000;
const ATTEMPTS = 20;
/** Longest wait between two of them. */
const RETRY_MS = 20;

interface StoredEntry extends ShelfEntry {
  /** The revision as it is stored. */
  readonly revisionText: string;
}

interface Found {
  readonly entry: StoredEntry | undefined;
  /** Greater than every revision so far. */
  readonly nextRevision: number;
  /** Entries that go when one is added. */
  readonly leaving: readonly Buffer[];
}

export class PolicyShelf {
  readonly #link: RedisLink;
  readonly #keys: RedisKeys;
  readonly #records: PolicyRecords;
  readonly #cap: number;

  /** @param cap Most entries of history per policy; texts that no entry names any more go. */
  constructor(link: RedisLink, sealer: RecordSealer, cap = HISTORY_CAP) {
    this.#link = link;
    this.#keys = link.keys;
    this.#records = new PolicyRecords(sealer);
    this.#cap = cap;
  }

  /**
   * Makes a text rule on all replicas. One that rules already is only announced again.
   *
   * @throws {PolicyConflictError} another policy rules than `expected`
   * @throws {StoreAwayError} Redis does not answer; whether the push took place may be unknown
   */
  push(name: string, push: PolicyPush, expected?: Expectation): Promise<PolicyChange> {
    return this.#change(name, expected, async ({ entry, nextRevision: revision }) => {
      const rules = entry?.state?.source === 'pushed' ? entry.state : undefined;
      if (rules?.hash === push.hash && rules.text === push.text) return rules;
      return { name, source: 'pushed', revision, pushed: revision, ...push };
    });
  }

  /**
   * Makes an earlier push rule again, or the file.
   *
   * @param accept gets the text first; what it throws leaves everything as it is
   * @throws {PolicyNotKeptError} there is no such push
   * @throws {StoreAwayError} as for `push`
   */
  rollback(
    name: string,
    target: RollbackTarget,
    by: Pick<PolicyPush, 'author' | 'atMs'>,
    accept: (text: KeptText) => void,
  ): Promise<PolicyChange> {
    return this.#change(name, undefined, async ({ entry, nextRevision: revision }) => {
      const before = entry?.state;
      if (target.to === 'file') {
        if (before?.source === 'file') return before;
        if (entry === undefined) throw new PolicyNotKeptError(`policy "${name}" was never pushed: its file rules`);
        return { name, source: 'file', revision, pushed: before?.pushed ?? 0, ...by };
      }
      const push = pushOf(name, await this.history(name), target, before);
      if (before?.source === 'pushed' && before.hash === push.hash) return before;
      const kept = await this.#kept(name, push);
      accept(kept);
      return { name, source: 'pushed', revision, pushed: push.revision, ...kept, ...by };
    });
  }

  /** @returns undefined when nothing was ever pushed, or it cannot be read here */
  async current(name: string): Promise<PolicyState | undefined> {
    return (await this.#entry(name))?.state;
  }

  async all(): Promise<ShelfEntry[]> {
    const names = await this.#link.run((redis) => redis.smembers(this.#keys.policyNames));
    const entries = await Promise.all(names.map((name) => this.#entry(name)));
    return entries.filter((entry) => entry !== undefined);
  }

  /** The newest first; what cannot be read here is left out. */
  async history(name: string): Promise<HistoryEntry[]> {
    const sealed = await this.#link.run((redis) => redis.lrangeBuffer(this.#keys.policyHistory(name), 0, -1));
    return this.#openEntries(name, sealed);
  }

  /** Changes whenever something on the shelf does; 0 when nothing was ever pushed. */
  async version(): Promise<number> {
    return Number((await this.#link.run((redis) => redis.get(this.#keys.policyVersion))) ?? '0');
  }

  /**
   * Puts back what a replica holds, after Redis lost it; seals anew what is there, under the current secret.
   *
   * @returns false when this or something newer was there
   */
  async keep(state: PolicyState): Promise<boolean> {
    const { name, pushed, author, atMs } = state;
    const isPushed = state.source === 'pushed';
    const revision = isPushed ? pushed : state.revision;
    const hash = isPushed ? state.hash : undefined;
    const entry: HistoryEntry = { revision, pushed, author, atMs, action: isPushed ? 'push' : 'file', hash };
    await this.#link.run((redis) => redis.sadd(this.#keys.policyNames, name));
    const taken = await this.#link.run((redis) =>
      KEEP.run(redis, this.#keysOf(name, state), [
        state.revision,
        this.#records.sealRule(state),
        this.#records.sealEntry(entry, name),
        isPushed ? this.#records.sealText(state) : '',
      ]),
    );
    if (taken !== 1) return false;
    await this.#announce();
    return true;
  }

  async #change(
    name: string,
    expected: Expectation | undefined,
    next: (found: Found) => Promise<PolicyState>,
  ): Promise<PolicyChange> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const found = await this.#find(name);
      const before = found.entry?.state;
      if (expected !== undefined) requireExpected(name, found.entry, expected);
      const after = await next(found);
      // What rules already is announced all the same: the one who made it rule may have died before doing so.
      if (after === before || (await this.#write(found, after))) {
        await this.#announce();
        return { before, after };
      }
      await delay(Math.random() * RETRY_MS);
    }
    throw new PolicyConflictError(name, 'left alone', 'changed by somebody else all the time');
  }

  async #find(name: string): Promise<Found> {
    const leavingFrom = this.#cap - 1;
    const [entry, leaving, nowMs] = await Promise.all([
      this.#entry(name),
      this.#link.run((redis) => redis.lrangeBuffer(this.#keys.policyHistory(name), leavingFrom, -1)),
      this.#nowMs(),
    ]);
    return { entry, nextRevision: Math.max((entry?.revision ?? 0) + 1, nowMs), leaving };
  }

  /** @returns false when somebody else was faster */
  async #write({ entry, leaving }: Found, after: PolicyState): Promise<boolean> {
    const { name, revision, pushed, author, atMs } = after;
    const hash = after.source === 'pushed' ? after.hash : undefined;
    const action = after.source === 'file' ? 'file' : pushed === revision ? 'push' : 'rollback';
    const doomed = leaving.length === 0 ? [] : await this.#forgotten(name, leaving.length, after);
    // Known by name before there is anything, so that no replica can miss it afterwards.
    await this.#link.run((redis) => redis.sadd(this.#keys.policyNames, name));
    const taken = await this.#link.run((redis) =>
      CHANGE.run(
        redis,
        [...this.#keysOf(name, after), ...doomed],
        [
          entry?.revisionText ?? '',
          revision,
          this.#records.sealRule(after),
          this.#records.sealEntry({ revision, pushed, author, atMs, action, hash }, name),
          after.source === 'pushed' ? this.#records.sealText(after) : '',
          this.#cap,
        ],
      ),
    );
    return taken === 1;
  }

  /** Keys of the texts that are named by the last `count` entries and by nothing else. */
  async #forgotten(name: string, count: number, after: PolicyState): Promise<string[]> {
    const sealed = await this.#link.run((redis) => redis.lrangeBuffer(this.#keys.policyHistory(name), 0, -1));
    const hashesOf = (entries: readonly Buffer[]): (string | undefined)[] =>
      this.#openEntries(name, entries).map(({ hash }) => hash);
    const stays = new Set(hashesOf(sealed.slice(0, -count)));
    if (after.source === 'pushed') stays.add(after.hash);
    const gone = new Set(hashesOf(sealed.slice(-count)).filter((hash) => hash !== undefined && !stays.has(hash)));
    return [...gone].map((hash) => this.#keys.policyDocument(name, hash ?? ''));
  }

  async #announce(): Promise<void> {
    const nowMs = await this.#nowMs();
    await this.#link.run((redis) => ANNOUNCE.run(redis, [this.#keys.policyVersion], [nowMs]));
  }

  /** By the clock that all replicas share. */
  async #nowMs(): Promise<number> {
    const [seconds, micros] = await this.#link.run((redis) => redis.time());
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  }

  async #entry(name: string): Promise<StoredEntry | undefined> {
    const [revision, rule] = await this.#link.run((redis) =>
      redis.hmgetBuffer(this.#keys.policy(name), 'revision', 'rule'),
    );
    if (!Buffer.isBuffer(revision) || !Buffer.isBuffer(rule)) return undefined;
    const revisionText = revision.toString('latin1');
    const number = Number(revisionText);
    const state = await this.#state(name, rule);
    return { name, revisionText, revision: Number.isSafeInteger(number) ? number : 0, state };
  }

  async #state(name: string, sealed: Buffer): Promise<PolicyState | undefined> {
    const rule = this.#records.openRule(sealed, name);
    if (rule === undefined) return undefined;
    const { revision, pushed, author, atMs } = rule;
    if (rule.source === 'file') return { name, source: 'file', revision, pushed, author, atMs };
    const text = await this.#text(name, rule.hash);
    return text && { name, source: 'pushed', revision, pushed, author, atMs, hash: rule.hash, ...text };
  }

  async #text(name: string, hash: string): Promise<PolicyText | undefined> {
    const sealed = await this.#link.run((redis) => redis.getBuffer(this.#keys.policyDocument(name, hash)));
    return sealed === null ? undefined : this.#records.openText(sealed, name, hash);
  }

  /** @throws {PolicyNotKeptError} the text is gone */
  async #kept(name: string, { hash = '' }: HistoryEntry): Promise<KeptText> {
    const text = await this.#text(name, hash);
    if (text === undefined)
      throw new PolicyNotKeptError(`the text of ${hash} of policy "${name}" is not kept any more`);
    return { ...text, hash };
  }

  #openEntries(name: string, sealed: readonly Buffer[]): HistoryEntry[] {
    return sealed.flatMap((each) => this.#records.openEntry(each, name) ?? []);
  }

  #keysOf(name: string, state: PolicyState): string[] {
    const text = state.source === 'pushed' ? [this.#keys.policyDocument(name, state.hash)] : [];
    return [this.#keys.policy(name), this.#keys.policyHistory(name), ...text];
  }
}

function requireExpected(name: string, entry: ShelfEntry | undefined, { hash, ofFile }: Expectation): void {
  const isUnreadable = entry !== undefined && entry.state === undefined;
  const found = entry?.state?.source === 'pushed' ? entry.state.hash : ofFile;
  if (isUnreadable || found === undefined || !found.startsWith(hash)) {
    throw new PolicyConflictError(
      name,
      hash,
      isUnreadable ? 'something that cannot be read here' : (found ?? 'unknown'),
    );
  }
}
