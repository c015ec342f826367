/** From rounds to what is reported: medians, ratios to the plain proxy, goals. */
import { FIGURES } from './figures.mjs';

const OURS = 'gateway';
const MEASURE = 'plain';

/**
 * @param {import('../works/work.mjs').Work} work
 * @param {Map<string, import('./figures.mjs').Round>[]} rounds
 */
export function summarize(work, rounds) {
  const names = [...new Set(rounds.flatMap((round) => [...round.keys()]))];
  const targets = Object.fromEntries(names.map((name) => [name, summarizeTarget(work, rounds, name)]));
  const goals = work.goals.map((goal) => judge(goal, rounds));
  return { title: work.title, unit: work.unit, group: work.group ?? '', targets, goals };
}

function summarizeTarget(work, rounds, name) {
  const figures = {};
  for (const figure of work.figures) {
    const values = rounds.map((round) => valueOf(figure, round, name));
    figures[figure] = {
      median: rounded(median(values)),
      ratioToPlain: rounded(medianRatio(figure, rounds, name, MEASURE)),
    };
  }
  const all = rounds.map((round) => round.get(name)).filter((round) => round !== undefined);
  const total = (field) => all.reduce((sum, round) => sum + round[field], 0);
  const firstFailure = all.find((round) => round.firstFailure !== undefined)?.firstFailure;
  return { ...figures, right: total('right'), wrong: total('wrong'), lost: total('lost'), firstFailure };
}

function judge({ figure, of = OURS, against, atMost, atMostMore }, rounds) {
  const isRatio = atMostMore === undefined;
  const found = rounded((isRatio ? medianRatio : medianDifference)(figure, rounds, of, against));
  const limit = isRatio ? atMost : atMostMore;
  const result = found === null ? 'not measured' : found <= limit ? 'met' : 'missed';
  const goal = { figure, of, against, result };
  return isRatio
    ? { ...goal, atMost: rounded(atMost), ratio: found }
    : { ...goal, atMostMore: rounded(atMostMore), difference: found };
}

/** Both figures of a ratio come from one round: between rounds the machine changes more than the targets differ. */
function medianRatio(figure, rounds, name, against) {
  return medianOf(figure, rounds, name, against, (ours, theirs) => (theirs <= 0 ? undefined : ours / theirs));
}

function medianDifference(figure, rounds, name, against) {
  return medianOf(figure, rounds, name, against, (ours, theirs) => ours - theirs);
}

function medianOf(figure, rounds, name, against, combine) {
  return median(
    rounds.map((round) => {
      const ours = valueOf(figure, round, name);
      const theirs = valueOf(figure, round, against);
      return ours === undefined || theirs === undefined ? undefined : combine(ours, theirs);
    }),
  );
}

function valueOf(figure, round, name) {
  const one = round.get(name);
  return one === undefined || name === 'direct' ? undefined : FIGURES[figure].read(one, round.get('direct'));
}

function median(values) {
  const sorted = values.filter((value) => value !== undefined).toSorted((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}

function rounded(value) {
  return value === undefined ? null : Number(value.toPrecision(3));
}
