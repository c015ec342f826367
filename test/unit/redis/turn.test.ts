/** What is gathered in one turn of the event loop goes out once, and what waits for it comes after it, in order. */
import { beforeEach, expect, test } from 'vitest';
import { Turn } from '../../../src/redis/turn.js';

let turn: Turn;
let log: string[];

beforeEach(() => {
  turn = new Turn();
  log = [];
});

const note = (text: string) => () => void log.push(text);

/** Resolves when this turn is over. */
const over = () =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

test('what was gathered is sent once at the end, and only then comes what waits for it', async () => {
  const send = note('sent');
  turn.gather(send);
  turn.whenSent(note('first'));
  turn.gather(send);
  turn.whenSent(note('second'));
  await Promise.resolve();
  expect(log).toEqual([]);
  await over();
  expect(log).toEqual(['sent', 'first', 'second']);
  turn.gather(send);
  await over();
  expect(log).toEqual(['sent', 'first', 'second', 'sent']);
});

test('nothing waits when nothing was gathered', () => {
  turn.whenSent(note('at once'));
  expect(log).toEqual(['at once']);
});

test('what is sent before the end is not sent again, and who waits still waits', async () => {
  turn.gather(note('sent'));
  turn.whenSent(note('first'));
  turn.send();
  turn.whenSent(note('second'));
  expect(log).toEqual(['sent']);
  await over();
  expect(log).toEqual(['sent', 'first', 'second']);
});

test('what gathers more while it is asked for what it has is sent behind it', () => {
  turn.gather(() => {
    log.push('gives');
    turn.gather(note('sent'));
  });
  turn.gather(note('gives, too'));
  turn.end();
  expect(log).toEqual(['gives', 'gives, too', 'sent']);
});

test('what one that waited leaves behind is sent before the next one goes on', () => {
  turn.gather(note('sent'));
  turn.whenSent(() => {
    log.push('first');
    turn.gather(note('sent later'));
    turn.whenSent(note('third'));
  });
  turn.whenSent(note('second'));
  turn.end();
  expect(log).toEqual(['sent', 'first', 'sent later', 'second', 'third']);
});

test('one that waited may end the turn: all others come then, once', async () => {
  turn.gather(note('sent'));
  turn.whenSent(() => {
    turn.end();
    log.push('first, when all is done');
  });
  turn.whenSent(note('second'));
  turn.end();
  await over();
  expect(log).toEqual(['sent', 'second', 'first, when all is done']);
});

test('several that send are told to do so in one write, and who waits for them comes after it', () => {
  turn = new Turn((send) => {
    log.push('together');
    send();
    log.push('done');
  });
  turn.gather(note('one'));
  turn.gather(note('other'));
  turn.whenSent(note('first'));
  turn.end();
  expect(log).toEqual(['together', 'one', 'other', 'done', 'first']);
});
