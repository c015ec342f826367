/**
 * The load generator: does the steps of one work against one target when the runner says so, and reports what came back.
 * The runner measures the target between the steps.
 */
import { findWork } from '../works/registry.mjs';

/** @type {{ work: import('../works/work.mjs').Work, state: unknown } | undefined} */
let current;

const steps = {
  async prepare({ work: name, port, openPort, sizes }) {
    const work = findWork(name);
    current = { work, state: await work.prepare(port, sizes, openPort) };
    return {};
  },
  async measure({ durationMs }) {
    return await current.work.measure(current.state, durationMs);
  },
  async finish() {
    const { work, state } = current ?? {};
    current = undefined;
    return (await work?.finish(state)) ?? {};
  },
};

process.on('message', ({ step, input }) => {
  steps[step](input).then(
    (output) => process.send({ output }),
    (error) => process.send({ error: error.message }),
  );
});
process.on('disconnect', () => process.exit(0));
