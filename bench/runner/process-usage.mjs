/** What a process and its children have used so far, from /proc. */
import { readdirSync, readFileSync } from 'node:fs';

const TICK_NS = 10_000_000;

/**
 * CPU time of all threads, user and system, in nanoseconds. Where the kernel keeps no schedstat it is read in clock ticks of 10 ms.
 *
 * @param {number} pid
 */
export function cpuNs(pid) {
  return sum(tree(pid).map((one) => threadsNs(one) ?? ticksNs(one)));
}

/** Resident memory in kB. @param {number} pid */
export function rssKb(pid) {
  return sum(
    tree(pid).map((one) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1] ?? 0)),
  );
}

function threadsNs(pid) {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return sum(threads.map((id) => Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0])));
  } catch {
    return undefined;
  }
}

function ticksNs(pid) {
  const fields = statFields(pid);
  return (Number(fields[11]) + Number(fields[12])) * TICK_NS;
}

/** From the third field on: the second is a name in brackets that may hold anything. */
function statFields(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function tree(pid) {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === pid);
  return [pid, ...children.map(Number)];
}

function parentOf(pid) {
  try {
    return Number(statFields(pid)[1]);
  } catch {
    // It ended while we looked.
    return -1;
  }
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
