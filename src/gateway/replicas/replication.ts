/**
 * What makes this process one replica of several: what it shares with the others, how it reaches them and they it, and how the sessions
 * of one become those of another. Built once per process; absent when there is no Redis.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterOptions } from '../../cluster/options.js';
import { Fleet, type Member } from '../../cluster/fleet.js';
import { type ForwardedRequest, PeerListener } from '../../cluster/peer-listener.js';
import { Sealer } from '../../cluster/sealer.js';
import { ClusterSecrets } from '../../cluster/secrets.js';
import { background } from '../../core/background.js';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/logger.js';
import { TimerWheel } from '../../core/timer-wheel.js';
import { VERSION } from '../../core/version.js';
import type { Elsewhere } from '../../downstream/elsewhere.js';
import type { Endpoint } from '../../downstream/endpoints.js';
import type { HttpExchange } from '../../downstream/http-exchange.js';
import { encodeRetry } from '../../downstream/sse-encode.js';
import { RedisFleetStore } from '../../redis/fleet-store.js';
import { RedisJournalStore } from '../../redis/journal-store.js';
import { RedisLink } from '../../redis/link.js';
import type { RedisOptions } from '../../redis/options.js';
import { RedisSessionDirectory } from '../../redis/session-directory.js';
import { UpstreamVerdicts } from '../../redis/verdicts.js';
import { SessionUnknownError } from '../../protocol/session-errors.js';
import type { SessionOptions } from '../../session/options.js';
import { replicaHash, type SealingKey, type SessionIds } from '../../session/session-id.js';
import { AddressInUseError, NotPermittedError, RequiredStoreError } from '../errors.js';
import { Fence } from './fence.js';
import { serveForwarded } from './forwarded.js';
import { Peers } from './peers.js';
import { PeerWatch } from './peer-watch.js';
import { reachableHost } from './reachable-host.js';
import type { Route } from '../route.js';
import { SessionCopies } from './session-copies.js';
import { SessionFinder } from './session-finder.js';
import { Takeover } from './takeover.js';
import { Reclaimer } from './reclaimer.js';
import { answerTaken, isNothingTaken, TAKEN_PATH } from './taken-question.js';

export interface ReplicationContext {
  readonly replica: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The gateway as the others' requests need it. */
export interface ReplicationHost {
  readonly ids: SessionIds;
  endpoint(prefix: string, kind: string): Endpoint | undefined;
  route(prefix: string): Route | undefined;
  serveHere(endpoint: Endpoint, exchange: HttpExchange): void;
  isDraining(): boolean;
  maxBodyBytes(): number;
  onPolicyVersion(version: number): void;
  /** `out`: to another replica; `in`: from one. */
  onForwarded(direction: 'in' | 'out'): void;
  onTakeover(): void;
}

/** After the memory was away, owners have this long to say what is theirs before anybody may take it. */
const REASSERT_MS = 5000;
/** Looks this often whether something has to be written again. */
const TORN_CHECK_MS = 1000;
const TOUCH_MS = 60_000;
/** How soon clients come back whose streams ran through a replica that stops. */
const RETRY_MS = 20;
const CLOSE_GRACE_MS = 2000;

export class Replication {
  readonly link: RedisLink;
  readonly sealer: Sealer;
  readonly idKeys: readonly SealingKey[];
  readonly copies: SessionCopies;
  readonly verdicts: UpstreamVerdicts;
  readonly #context: ReplicationContext;
  readonly #fleet: Fleet;
  readonly #fence: Fence;
  readonly #peers: Peers;
  readonly #watch: PeerWatch;
  readonly #reclaimer: Reclaimer;
  readonly #listener: PeerListener;
  readonly #directory: RedisSessionDirectory;
  readonly #journals: RedisJournalStore;
  /** Requests between replicas are dated by it. */
  readonly #sharedClock: Clock;
  #host: ReplicationHost | undefined;
  #finder: SessionFinder | undefined;
  #takeover: Takeover | undefined;
  #timers: NodeJS.Timeout[] = [];
  #emptiedAtMs = Number.NEGATIVE_INFINITY;

  /**
   * Connects to Redis and listens for other replicas.
   *
   * @param options Looked at whenever a time is needed.
   * @throws {RequiredStoreError} Redis does not answer, and has to
   * @throws {AddressInUseError | NotPermittedError} the replica listener cannot take its address
   */
  static async open(
    redis: RedisOptions,
    cluster: ClusterOptions,
    options: SessionOptions,
    context: ReplicationContext,
  ): Promise<Replication> {
    const link = new RedisLink(redis, context);
    await link.connect();
    if (redis.required && !link.isUp) {
      await link.close();
      throw new RequiredStoreError();
    }
    const secrets = new ClusterSecrets(cluster.secrets);
    let receive: (forwarded: ForwardedRequest) => void = ({ response }) => response.writeHead(503).end();
    let maxBodyBytes = (): number => 0;
    let sharedTimeMs = (): number => context.clock.wallTimeMs();
    const clock: Clock = { now: () => context.clock.now(), wallTimeMs: () => sharedTimeMs() };
    const seal = { keys: secrets.keysFor('forward'), clock };
    const listener = new PeerListener(
      { listen: cluster.listen, replicaId: context.replica, maxBodyBytes: () => maxBodyBytes() },
      { ...seal, logger: context.logger },
      (forwarded) => receive(forwarded),
    );
    try {
      const { port } = await listener.listen();
      const address = cluster.advertise ?? `http://${reachableHost(cluster.listen.host)}:${port}`;
      const replication = new Replication(link, secrets, listener, address, options, context);
      receive = (forwarded) => replication.#receive(forwarded);
      sharedTimeMs = () => replication.#fleet.sharedTimeMs;
      maxBodyBytes = () => replication.#host?.maxBodyBytes() ?? 0;
      return replication;
    } catch (error) {
      await link.close();
      throw asListenError(error, cluster);
    }
  }

  private constructor(
    link: RedisLink,
    secrets: ClusterSecrets,
    listener: PeerListener,
    address: string,
    options: SessionOptions,
    context: ReplicationContext,
  ) {
    const { replica, clock, logger } = context;
    this.#context = context;
    this.#sharedClock = { now: () => clock.now(), wallTimeMs: () => this.#fleet.sharedTimeMs };
    this.link = link;
    this.#listener = listener;
    this.sealer = new Sealer(secrets.keysFor('payload'));
    this.verdicts = new UpstreamVerdicts(link);
    this.idKeys = secrets.keysFor('session-id');
    this.#directory = new RedisSessionDirectory(link, replica);
    this.#journals = new RedisJournalStore(link, (session) => this.copies.taken(session));
    const timers = new TimerWheel();
    this.#peers = new Peers(replica, { keys: secrets.keysFor('forward'), clock: this.#sharedClock }, timers);
    this.#fence = new Fence(() => this.#fleet.checkAwake(), timers);
    const me: Member = { id: replica, hash: replicaHash(replica), address, version: VERSION, isDraining: false };
    this.#fleet = new Fleet(me, new RedisFleetStore(link, this.sealer), clock, logger, {
      policyVersion: (version) => this.#host?.onPolicyVersion(version),
      vanished: (members) => background(this.#watch.vanished(members), logger, 'peer_check_failed'),
      overslept: (sinceMs) => this.#reclaimer.doubt(sinceMs),
      memoryLost: () => {
        this.#emptiedAtMs = clock.now();
        background(this.copies.writeAllAnew(), logger, 'rewrite_failed');
      },
    });
    this.#watch = new PeerWatch({
      fleet: this.#fleet,
      peers: this.#peers,
      memoryAwayMs: () => link.awayMs,
      pause: (ms) => delay(ms),
      mayGuess: () => link.awayMs > 0 || this.#isMemoryYoung,
      logger,
    });
    this.copies = new SessionCopies({
      directory: this.#directory,
      journals: this.#journals,
      sealer: this.sealer,
      clock,
      fence: this.#fence,
      options,
    });
    this.#reclaimer = new Reclaimer({
      copies: this.copies,
      directory: this.#directory,
      fence: this.#fence,
      clock,
      logger,
      isMemoryYoung: () => this.#isMemoryYoung,
      isNothingTaken: (ms) => isNothingTaken(this.#fleet, (...question) => this.#peers.ask(...question), ms),
      checkAwake: () => this.#fleet.checkAwake(),
    });
    link.listen({ up: () => background(this.copies.writeAllAnew(), logger, 'rewrite_failed') });
  }

  get replicaIds(): readonly string[] {
    return this.#fleet.members.map(({ id }) => id).toSorted();
  }

  /** Of those that share limits, while Redis cannot count them: rather too many than too few. */
  get mostReplicas(): number {
    return this.#fleet.mostMembers;
  }

  /** Requests of clients of this replica that another one works on, or that look for it. */
  get forwardedPosts(): number {
    return Math.max(this.#peers.postCount, this.#finder?.searching ?? 0);
  }

  get #isMemoryYoung(): boolean {
    const nowMs = this.#context.clock.now();
    const { upSinceMs } = this.link;
    return upSinceMs === undefined || nowMs - Math.max(upSinceMs, this.#emptiedAtMs) < REASSERT_MS;
  }

  /** @returns what the listener asks where each request belongs */
  attach(host: ReplicationHost): Elsewhere {
    const { clock, logger } = this.#context;
    this.#host = host;
    const takeover = (this.#takeover = new Takeover({
      directory: this.#directory,
      journals: this.#journals,
      sealer: this.sealer,
      fleet: this.#fleet,
      clock,
      logger,
      mayTake: () => !this.#isMemoryYoung,
      isThere: async (id) => {
        const member = this.#fleet.find(id);
        return member !== undefined && this.#peers.isThere(member);
      },
      serves: (prefix) => host.route(prefix) !== undefined,
      goOn: (prefix, ...session) => {
        const route = host.route(prefix);
        if (route === undefined) throw new SessionUnknownError();
        route.continue(...session);
      },
      onTaken: () => host.onTakeover(),
    }));
    this.#finder = new SessionFinder({
      ids: host.ids,
      fleet: this.#fleet,
      directory: this.#directory,
      takeover,
      peers: this.#peers,
      fence: this.#fence,
      clock,
      pause: (ms) => delay(ms),
      logger,
      maxBodyBytes: () => host.maxBodyBytes(),
      memoryAwayMs: () => this.link.awayMs,
      isMemoryYoung: () => this.#isMemoryYoung,
      isDraining: () => host.isDraining(),
      isSilent: (id) => this.#watch.isSilent(id),
      serveHere: (endpoint, exchange) => host.serveHere(endpoint, exchange),
      onForwarded: () => host.onForwarded('out'),
    });
    return this.#finder;
  }

  /** From here on others pass requests on to this replica. */
  async join(): Promise<void> {
    await this.#fleet.join();
    this.#watch.start();
    const { logger } = this.#context;
    const mend = (): void => background(this.copies.mend(), logger, 'rewrite_failed');
    const touch = (): void => background(this.copies.touch(), logger, 'touch_failed');
    this.#timers = [setInterval(mend, TORN_CHECK_MS).unref(), setInterval(touch, TOUCH_MS).unref()];
    const { id, address } = this.#fleet.me;
    logger.info('replica_joined', `other replicas reach this one at ${address}`, {
      replica: id,
      replicas: this.#fleet.members.length,
    });
  }

  /** Nothing new is for this replica any more. */
  drain(): Promise<void> {
    return this.#fleet.drain();
  }

  /** Ends the streams that only run through here; their clients come back elsewhere. */
  endStreams(): void {
    this.#peers.endStreams(encodeRetry(RETRY_MS));
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#watch.stop();
    await this.#fleet.leave();
    await this.#listener.close({ graceMs: CLOSE_GRACE_MS });
    await this.#peers.close();
    await this.link.close();
  }

  #receive(forwarded: ForwardedRequest): void {
    const host = this.#host;
    const finder = this.#finder;
    const takeover = this.#takeover;
    const { envelope, response } = forwarded;
    if (host === undefined || finder === undefined || takeover === undefined) {
      response.writeHead(503, ['content-length', '0']).end();
      return;
    }
    if (envelope.path === TAKEN_PATH) {
      const text = answerTaken(envelope, takeover, this.#fleet);
      response.writeHead(200, ['content-type', 'application/json', 'content-length', String(text.length)]).end(text);
      return;
    }
    serveForwarded(forwarded, {
      fence: this.#fence,
      logger: this.#context.logger,
      endpoint: (prefix, kind) => host.endpoint(prefix, kind),
      isDraining: () => host.isDraining(),
      serveHere: (endpoint, exchange) => host.serveHere(endpoint, exchange),
      takeFor: (endpoint, exchange) => finder.takeFor(endpoint, exchange),
      onForwarded: () => host.onForwarded('in'),
    });
  }
}

function asListenError(error: unknown, { listen }: ClusterOptions): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') return new AddressInUseError(listen.host, listen.port, { cause: error });
  if (code === 'EACCES' || code === 'EPERM') return new NotPermittedError(listen.host, listen.port, { cause: error });
  return error;
}
