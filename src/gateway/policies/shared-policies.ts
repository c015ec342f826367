/**
 * The pushed policies as one replica holds them: laid over those of the configuration, read again when the shelf has
 * changed, kept on disk, put back when Redis lost them. Fails safe: what cannot be read, parsed or compiled here changes
 * nothing, and the last good rules stay. Putting a configuration in force is the caller's work.
 */
import type { AuditEvent } from '../../audit/event.js';
import type { GatewayConfig } from '../../config/config.js';
import { ConfigError, formatProblem, type Problem } from '../../config/problem.js';
import type { Clock } from '../../core/clock.js';
import { describeError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { PolicyDocument } from '../../policy/document.js';
import type { PolicyState } from '../../redis/policy-record.js';
import type { ShelfEntry } from '../../redis/policy-shelf.js';
import { documentOf, isRefusal, problemsOf } from './pushed-document.js';

/** The part of `PolicyShelf` that replicas need. */
export interface SharedShelf {
  all(): Promise<readonly ShelfEntry[]>;
  keep(state: PolicyState): Promise<boolean>;
}

/** The part of `PushedPolicyFile` that replicas need. */
export interface KeptPolicies {
  read(): Promise<{ states: readonly PolicyState[]; unreadable: readonly string[] }>;
  write(states: Iterable<PolicyState>): Promise<void>;
}

export interface SharedPoliciesContext {
  readonly shelf: SharedShelf;
  readonly file: KeptPolicies;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly audit: { record(event: AuditEvent): boolean } | undefined;
  /**
   * Other policies rule: puts the configuration in force once more, through `apply`.
   *
   * @throws {Error} it cannot be; it is asked for again
   */
  onChange(): void;
}

interface Held {
  readonly state: PolicyState;
  /** Undefined: the file rules. */
  readonly document: PolicyDocument | undefined;
}

type Policies = GatewayConfig['policies'];

/** A change whose announcement was lost is noticed after so long. */
const REREAD_MS = 30_000;

export class SharedPolicies {
  readonly #context: SharedPoliciesContext;
  readonly #held = new Map<string, Held>();
  /** Name -> revision that was found unusable and told of. */
  readonly #refused = new Map<string, number>();
  /** Held, and not in force yet. */
  #unadopted: PolicyState[] = [];
  readonly #ofFiles = new WeakMap<Policies, Policies>();
  #seenVersion: number | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #isSealedAnew = false;
  readonly #hasFailed = new Set<'read' | 'write' | 'adopt'>();
  #running: Promise<void> | undefined;
  #isClosed = false;

  constructor(context: SharedPoliciesContext) {
    this.#context = context;
  }

  /**
   * Before the start: takes what is on disk, then what is on the shelf, as far as Redis answers.
   *
   * @throws {ConfigError} a pushed policy rules that cannot be used here, and no earlier one is held
   */
  async open(config: GatewayConfig): Promise<void> {
    const unusable = new Map<string, readonly Problem[]>();
    for (const state of await this.#readFile()) this.#takeFirst({ ...state, state }, config, unusable);
    const changed: PolicyState[] = [];
    for (const entry of await this.#readShelf()) {
      const state = this.#takeFirst(entry, config, unusable);
      if (state !== undefined) changed.push(state);
    }
    const problems = [...unusable].flatMap(([name, each]) => (config.policies.has(name) ? each : []));
    if (problems.length > 0) throw new ConfigError(problems, config.files);
    if (changed.length === 0) return;
    this.#tell(changed, config, 'ok');
    await this.#save();
  }

  /**
   * Lays what is pushed over a configuration; one that was made so before is as good as the original. Its hash stays.
   *
   * @throws {ConfigError} a pushed policy does not compile under this configuration
   */
  apply(config: GatewayConfig): GatewayConfig {
    const ofFiles = this.#ofFiles.get(config.policies) ?? config.policies;
    const policies = new Map(ofFiles);
    const problems: Problem[] = [];
    for (const [name, { document }] of this.#held) {
      if (document === undefined || !ofFiles.has(name)) continue;
      problems.push(...problemsOf(document, config));
      policies.set(name, document);
    }
    if (problems.length > 0) throw new ConfigError(problems, config.files);
    this.#ofFiles.set(policies, ofFiles);
    return { ...config, policies };
  }

  /**
   * On every heartbeat. Costs one comparison when nothing has changed; waits for nothing and never throws.
   *
   * @param version of the shelf; 0 when it has none
   * @param config in force, with or without what is pushed
   */
  check(version: number, config: GatewayConfig): void {
    if (this.#isClosed || this.#running !== undefined) return;
    const isOld = this.#context.clock.now() - this.#readAtMs >= REREAD_MS;
    if (version === this.#seenVersion && !isOld && this.#unadopted.length === 0) return;
    this.#running = this.#refresh(version, config)
      .then(() => this.#succeeded('read'))
      .catch((error: unknown) => this.#failed('read', 'pushed policies cannot be read; those held stay', error))
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Resolves when what a `check` has begun is done. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Nothing changes any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  async #refresh(version: number, config: GatewayConfig): Promise<void> {
    const entries = await this.#context.shelf.all();
    if (this.#isClosed) return;
    const changed = entries.flatMap((entry) => this.#take(entry, config) ?? []);
    this.#unadopted.push(...changed);
    this.#adopt(config);
    if (changed.length > 0) await this.#save();
    await this.#giveBack(entries);
    this.#seenVersion = version;
    this.#readAtMs = this.#context.clock.now();
  }

  async #readFile(): Promise<readonly PolicyState[]> {
    const { file, logger } = this.#context;
    try {
      const { states, unreadable } = await file.read();
      if (unreadable.length > 0) {
        const msg = 'pushed policies on disk were sealed under another secret and are not used';
        logger.warn('pushed_policies_unreadable', msg, { policies: unreadable });
      }
      return states;
    } catch (error) {
      const msg = 'pushed policies on disk cannot be read';
      logger.warn('pushed_policies_unreadable', msg, { reason: describeError(error) });
      return [];
    }
  }

  async #readShelf(): Promise<readonly ShelfEntry[]> {
    try {
      return await this.#context.shelf.all();
    } catch (error) {
      const msg = 'pushed policies are those of the disk until Redis answers';
      this.#context.logger.warn('pushed_policies_from_disk', msg, { reason: describeError(error) });
      return [];
    }
  }

  /** As `#take`, before anything rules: remembers what stands in the way of a policy that has no earlier one. */
  #takeFirst(
    entry: ShelfEntry,
    config: GatewayConfig,
    unusable: Map<string, readonly Problem[]>,
  ): PolicyState | undefined {
    const { name } = entry;
    const state = this.#take(entry, config, (problems) => {
      if (!this.#held.has(name)) unusable.set(name, problems);
    });
    if (state !== undefined) unusable.delete(name);
    return state;
  }

  /** @returns the state when it is news and can be used; then it is held from here on */
  #take(
    entry: ShelfEntry,
    config: GatewayConfig,
    onRefused?: (problems: readonly Problem[]) => void,
  ): PolicyState | undefined {
    const { name, state } = entry;
    const revision = state?.revision ?? entry.revision;
    if (revision <= (this.#held.get(name)?.state.revision ?? 0)) return undefined;
    const document = documentOf(name, state, config);
    if (state === undefined || isRefusal(document)) {
      const problems = isRefusal(document) ? document : [];
      this.#refuse(name, revision, state, problems, config);
      onRefused?.(problems);
      return undefined;
    }
    this.#held.set(name, { state, document });
    this.#refused.delete(name);
    return state;
  }

  #refuse(
    name: string,
    revision: number,
    state: PolicyState | undefined,
    problems: readonly Problem[],
    config: GatewayConfig,
  ): void {
    if (this.#refused.get(name) === revision) return;
    this.#refused.set(name, revision);
    const msg = `the pushed policy "${name}" cannot be used here; what ruled before stays`;
    this.#context.logger.error('policy_push_refused', msg, { policy: name, problems: problems.map(formatProblem) });
    if (state !== undefined) this.#tell([state], config, 'error');
  }

  #adopt(config: GatewayConfig): void {
    if (this.#unadopted.length === 0) return;
    try {
      this.#context.onChange();
    } catch (error) {
      if (!this.#hasFailed.has('adopt')) this.#tell(this.#unadopted, config, 'error');
      this.#failed('adopt', 'a pushed policy cannot be put in force; what ruled before stays', error);
      return;
    }
    this.#succeeded('adopt');
    this.#tell(this.#unadopted, config, 'ok');
    this.#unadopted = [];
  }

  /** Redis may have come back empty, or with less; and texts are sealed anew once, under the secret of today. */
  async #giveBack(entries: readonly ShelfEntry[]): Promise<void> {
    const found = new Map(entries.map((entry) => [entry.name, entry]));
    for (const [name, { state }] of this.#held) {
      const entry = found.get(name);
      const isLost = entry === undefined || entry.revision < state.revision;
      const isTorn = entry?.state === undefined && entry?.revision === state.revision;
      if (!isLost && !isTorn && this.#isSealedAnew) continue;
      if (!(await this.#context.shelf.keep(state))) continue;
      this.#context.logger.info('policy_restored', `put the pushed policy "${name}" back into Redis`, { policy: name });
    }
    this.#isSealedAnew = true;
  }

  async #save(): Promise<void> {
    try {
      await this.#context.file.write([...this.#held.values()].map(({ state }) => state));
      this.#succeeded('write');
    } catch (error) {
      this.#failed('write', 'pushed policies cannot be kept on disk; a start without Redis will not know them', error);
    }
  }

  /** Of policies that this configuration does not name, nothing rules here, so there is nothing to tell. */
  #tell(states: readonly PolicyState[], config: GatewayConfig, outcome: 'ok' | 'error'): void {
    const ofFiles = this.#ofFiles.get(config.policies) ?? config.policies;
    for (const state of states) {
      const { name, author } = state;
      const ofFile = ofFiles.get(name);
      if (ofFile === undefined) continue;
      const isPushed = state.source === 'pushed';
      const policyHash = isPushed ? state.hash : ofFile.hash;
      const reason = `${name} ${isPushed ? policyHash : 'file'} by ${author}`;
      this.#context.audit?.record({ event: 'policy_push', reason, policyHash, outcome });
      if (outcome === 'error') continue;
      const msg = isPushed
        ? `the policy "${name}" is the pushed one`
        : `the policy "${name}" is that of its file again`;
      this.#context.logger.info('policy_pushed', msg, { policy: name, policyHash, author });
    }
  }

  /** One line until it works again. */
  #failed(what: 'read' | 'write' | 'adopt', msg: string, error: unknown): void {
    if (this.#hasFailed.has(what)) return;
    this.#hasFailed.add(what);
    this.#context.logger.warn(`pushed_policies_${what}_failed`, msg, { reason: describeError(error) });
  }

  #succeeded(what: 'read' | 'write' | 'adopt'): void {
    this.#hasFailed.delete(what);
  }
}
