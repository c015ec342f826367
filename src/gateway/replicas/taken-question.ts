/**
 * What replicas ask one another when Redis cannot be asked: one that stood still, whether others have taken sessions of it meanwhile. A replica takes a
 * session only when its owner does not answer, so all who say that they have not will not, as long as the owner is awake.
 */
import type { Fleet, Member } from '../../cluster/fleet.js';
import type { Envelope } from '../../cluster/envelope.js';
import type { Takeover } from './takeover.js';

export const TAKEN_PATH = '/taken';
/** What was found in vain may have been looked for that long before, in milliseconds. */
const SLACK_MS = 2000;

interface Answer {
  readonly taken: boolean;
  /** All that the answering replica knows: one that the asking replica does not know may have taken something, too. */
  readonly replicas: readonly string[];
}

export function answerTaken(
  { from, query }: Pick<Envelope, 'from' | 'query'>,
  takeover: Pick<Takeover, 'mayHaveTakenFrom'>,
  fleet: Pick<Fleet, 'members'>,
): string {
  const withinMs = Number.parseInt(new URLSearchParams(query).get('withinMs') ?? '', 10);
  const taken = takeover.mayHaveTakenFrom(from, withinMs) || Number.isNaN(withinMs);
  return JSON.stringify({ taken, replicas: fleet.members.map(({ id }) => id) } satisfies Answer);
}

/** @returns whether all replicas there are say that they took nothing for so long; false: one did, or nobody can tell */
export async function isNothingTaken(
  { me, recentOthers }: Pick<Fleet, 'me' | 'recentOthers'>,
  ask: (member: Member, path: string, query: string) => Promise<string | undefined>,
  withinMs: number,
): Promise<boolean> {
  const known = new Set([me, ...recentOthers].map(({ id }) => id));
  const query = `withinMs=${Math.ceil(withinMs + SLACK_MS)}`;
  const answers = await Promise.all(recentOthers.map(async (member) => read(await ask(member, TAKEN_PATH, query))));
  // Who took the place of all that were known would be the one to ask.
  if (answers.length === 0) return false;
  return answers.every((answer) => answer?.taken === false && answer.replicas.every((id) => known.has(id)));
}

function read(text: string | undefined): Answer | undefined {
  try {
    const { taken, replicas } = JSON.parse(text ?? '') as Partial<Answer>;
    return typeof taken === 'boolean' && Array.isArray(replicas) ? { taken, replicas } : undefined;
  } catch {
    return undefined;
  }
}
