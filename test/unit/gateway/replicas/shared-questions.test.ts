import { describe, expect, test } from 'vitest';
import { SharedQuestions } from '../../../../src/gateway/replicas/shared-questions.js';

const GOOD_FOR_MS = 100;

function setUp() {
  const time = { nowMs: 0 };
  const put: string[] = [];
  const questions = new SharedQuestions<string>(GOOD_FOR_MS, { now: () => time.nowMs, wallTimeMs: () => 0 });
  const ask = (about: string): Promise<string> =>
    questions.ask(about, async () => {
      put.push(about);
      return `${about} at ${time.nowMs}`;
    });
  return { time, put, questions, ask };
}

describe('a question', () => {
  test('is put once for all who ask while its answer is good', async () => {
    const { time, put, ask } = setUp();
    const answers = [ask('a'), ask('a')];
    time.nowMs = GOOD_FOR_MS - 1;
    answers.push(ask('a'));
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['a at 0']));
    expect(put).toEqual(['a']);
  });

  test('is put again when its answer is old, counted from the asking', async () => {
    const { time, ask } = setUp();
    await ask('a');
    time.nowMs = GOOD_FOR_MS;
    expect(await ask('a')).toBe('a at 100');
    time.nowMs = 2 * GOOD_FOR_MS - 1;
    expect(await ask('a')).toBe('a at 100');
  });

  test('about one thing says nothing about another', async () => {
    const { put, ask } = setUp();
    await Promise.all([ask('a'), ask('b')]);
    expect(put).toEqual(['a', 'b']);
  });

  test('that failed fails for all who share it, and for nobody later', async () => {
    const { time, questions, ask } = setUp();
    const fail = () => questions.ask('a', () => Promise.reject(new Error('away')));
    const settled = await Promise.allSettled([fail(), ask('a')]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    time.nowMs = GOOD_FOR_MS;
    expect(await ask('a')).toBe('a at 100');
  });

  test('that is old is forgotten also when others are asked again and again', async () => {
    const { time, put, ask } = setUp();
    for (let round = 0; round < 5; round += 1) {
      await ask('often');
      await ask(`once ${round}`);
      time.nowMs += GOOD_FOR_MS;
    }
    expect(put.filter((about) => about === 'often').length).toBe(5);
    time.nowMs -= GOOD_FOR_MS;
    expect(await ask('often')).toBe('often at 400');
  });
});
