/** The report as Markdown tables, one per group of works: a row per work and figure, a column per target, the goals at the end. */
import { FIGURES } from './figures.mjs';

/**
 * @param {Record<string, ReturnType<typeof import('./summary.mjs').summarize>>} works by name
 * @param {import('../targets/target.mjs').Target[]} targets
 */
export function tables(works, targets) {
  const all = Object.values(works);
  const groups = [...new Set(all.map(({ group }) => group))];
  return groups
    .map((name) => {
      const some = all.filter(({ group }) => group === name);
      return heading(name) + table(some, targets);
    })
    .join('\n\n');
}

function heading(group) {
  return group === '' ? '' : `${group}:\n\n`;
}

/** Only targets that did any of the works have a column. */
function table(works, targets) {
  const columns = targets.filter(({ name }) => name !== 'direct' && works.some((work) => name in work.targets));
  const hasMeasure = works.some((work) => 'plain' in work.targets);
  const ratioHead = hasMeasure ? ['gateway : plain'] : [];
  const head = ['Work', ...columns.map(({ title }) => title), ...ratioHead, 'Goals'];
  const align = ['---', ...columns.map(() => '---:'), ...ratioHead.map(() => '---:'), '---'];
  const rows = works.flatMap((work) => rowsOf(work, columns, hasMeasure));
  return [head, align, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function rowsOf(work, columns, hasMeasure) {
  return Object.entries(FIGURES)
    .filter(([figure]) => columns.some(({ name }) => work.targets[name]?.[figure] !== undefined))
    .map(([figure, { title, unit }]) => [
      `${work.title}: ${title}, ${unit} per ${work.unit}`.replace(/(added p\d\d, µs) per .*/, '$1'),
      ...columns.map(({ name }) => cell(work.targets[name], figure)),
      ...(hasMeasure ? [work.targets.gateway?.[figure].ratioToPlain ?? '-'] : []),
      work.goals
        .filter((goal) => goal.figure === figure)
        .map(goalText)
        .join('; ') || '-',
    ]);
}

function cell(target, figure) {
  if (target === undefined) return '-';
  const { median } = target[figure];
  const failed = [target.wrong > 0 && `${target.wrong} wrong`, target.lost > 0 && `${target.lost} lost`].filter(
    Boolean,
  );
  const value = median === null ? '-' : String(median);
  return failed.length === 0
    ? value
    : `${value} (${failed.join(', ')} of ${target.right + target.wrong + target.lost})`;
}

function goalText({ figure, of, against, atMost, ratio, atMostMore, difference, result }) {
  const whose = of === 'gateway' ? '' : `${of} `;
  const found = result === 'not measured' ? result : `${ratio ?? difference} ${result}`;
  if (atMostMore === undefined) return `${whose}<= ${atMost} of ${against}: ${found}`;
  return `${whose}<= ${atMostMore} ${FIGURES[figure].unit} more than ${against}: ${found}`;
}
