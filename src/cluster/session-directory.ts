/** Whose each session is, and what it takes to go on with it. */

/** A session's name in the shared memory: nobody who reads it can use the session. */
export type SessionKey = string;

export interface StoredSession {
  /** Id of the replica; empty: it was let go of, and whoever needs it may take it. */
  readonly owner: string;
  /** Grows with every taking. */
  readonly epoch: number;
  /** Sealed. */
  readonly state: Buffer;
}

export interface OwnedSession {
  readonly key: SessionKey;
  readonly epoch: number;
}

export interface SessionDirectory {
  /** Not waited for. Writes nothing over what a later owner wrote. @returns false when it was not even tried */
  save(session: OwnedSession, state: Buffer, ttlMs: number): boolean;
  /** @throws {Error} the memory is away; as all that is waited for */
  load(key: SessionKey): Promise<StoredSession | undefined>;
  /** Makes this replica the owner if nobody was faster. @returns whether it is, under `epoch + 1` */
  take(key: SessionKey, epoch: number): Promise<boolean>;
  /** @returns false when it is another's already */
  release(session: OwnedSession): Promise<boolean>;
  /** It is over. Not waited for. @returns false when it was not even tried */
  remove(session: OwnedSession): boolean;
  /** Keeps it from expiring. Not waited for. */
  touch(key: SessionKey, ttlMs: number): void;
  /** @returns of each whether it is still this replica's; undefined: it is not written down */
  areOwned(sessions: readonly OwnedSession[]): Promise<readonly (boolean | undefined)[]>;
}
