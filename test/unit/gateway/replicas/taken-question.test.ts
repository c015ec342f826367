import { describe, expect, test } from 'vitest';
import type { Member } from '../../../../src/cluster/fleet.js';
import { answerTaken, isNothingTaken, TAKEN_PATH } from '../../../../src/gateway/replicas/taken-question.js';

const member = (id: string): Member => ({ id, hash: id, address: `http://${id}`, version: '1', isDraining: false });
const [me, b, c] = ['a', 'b', 'c'].map(member) as [Member, Member, Member];
const fleet = { me, members: [me, b, c], recentOthers: [b, c] };

/** What each other replica answers. */
function asker(answers: Readonly<Record<string, string | undefined>>) {
  const asked: string[] = [];
  const ask = async ({ id }: Member, path: string, query: string) => {
    asked.push(`${id} ${path}?${query}`);
    return answers[id];
  };
  return { asked, ask };
}

const answer = (taken: unknown, ...replicas: unknown[]) => JSON.stringify({ taken, replicas });

describe('one that stood still', () => {
  test('asks all the others, for somewhat longer than it stood still', async () => {
    const { asked, ask } = asker({ b: answer(false, 'a', 'b', 'c'), c: answer(false) });
    expect(await isNothingTaken(fleet, ask, 1500.2)).toBe(true);
    expect(asked).toEqual([`b ${TAKEN_PATH}?withinMs=3501`, `c ${TAKEN_PATH}?withinMs=3501`]);
  });

  test('is not sure when it knows nobody: another may have come', async () => {
    expect(await isNothingTaken({ me, recentOthers: [] }, asker({}).ask, 1)).toBe(false);
  });

  test.each([
    ['has taken something', answer(true, 'a', 'b', 'c')],
    ['does not answer', undefined],
    ['knows a replica that is not known here', answer(false, 'a', 'b', 'c', 'd')],
    ['says nothing', ''],
    ['says something else', '"no"'],
    ['says null', 'null'],
    ['leaves out what matters', '{"replicas":["a"]}'],
    ['does not say whom it knows', '{"taken":false}'],
    ['says it in other words', answer(0, 'a')],
  ])('is not sure when one of them %s', async (_what, said) => {
    const { ask } = asker({ b: answer(false, 'a', 'b', 'c'), c: said });
    expect(await isNothingTaken(fleet, ask, 1)).toBe(false);
  });
});

describe('one that is asked', () => {
  const takeover = { mayHaveTakenFrom: (owner: string, ms: number) => owner === 'a' && ms >= 100 };
  const reply = (from: string, query: string): unknown => JSON.parse(answerTaken({ from, query }, takeover, fleet));

  test('says what it took of whoever asks, and whom it knows', () => {
    expect(reply('a', 'withinMs=100')).toEqual({ taken: true, replicas: ['a', 'b', 'c'] });
    expect(reply('a', 'withinMs=99')).toEqual({ taken: false, replicas: ['a', 'b', 'c'] });
    expect(reply('b', 'withinMs=100')).toMatchObject({ taken: false });
  });

  test.each(['', 'withinMs=', 'withinMs=soon', 'within=1'])(
    'denies nothing to a question it does not know (%j)',
    (query) => {
      expect(reply('b', query)).toMatchObject({ taken: true });
    },
  );
});
