/** The report as a Markdown table: a row per work and figure, a column per target, the goals at the end. */
import { FIGURES } from './figures.mjs';

/**
 * @param {Record<string, ReturnType<typeof import('./summary.mjs').summarize>>} works by name
 * @param {import('../targets/target.mjs').Target[]} targets
 */
export function table(works, targets) {
  const columns = targets.filter(({ name }) => name !== 'direct');
  const head = ['Work', ...columns.map(({ title }) => title), 'gateway : plain', 'Goals'];
  const align = ['---', ...columns.map(() => '---:'), '---:', '---'];
  const rows = Object.values(works).flatMap((work) => rowsOf(work, columns));
  return [head, align, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function rowsOf(work, columns) {
  return Object.entries(FIGURES)
    .filter(([figure]) => columns.some(({ name }) => work.targets[name]?.[figure] !== undefined))
    .map(([figure, { title, unit }]) => [
      `${work.title}: ${title}, ${unit} per ${work.unit}`.replace(/(added p\d\d, µs) per .*/, '$1'),
      ...columns.map(({ name }) => cell(work.targets[name], figure)),
      work.targets.gateway?.[figure].ratioToPlain ?? '-',
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

function goalText({ of, against, atMost, ratio, result }) {
  const whose = of === 'gateway' ? '' : `${of} `;
  return `${whose}<= ${atMost} of ${against}: ${result === 'not measured' ? result : `${ratio} ${result}`}`;
}
