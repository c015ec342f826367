/** The load generator as the runner sees it: one step at a time, each with a time limit. */
import { fileURLToPath } from 'node:url';
import { LOAD_CORE, start, stop } from './child.mjs';

const MAIN = fileURLToPath(new URL('../load/main.mjs', import.meta.url));
const STEP_TIMEOUTS_MS = { prepare: 30_000, measure: 120_000, finish: 60_000 };

export class Load {
  #child = startLoad();

  /**
   * A step that takes too long ends the load generator; the next step has a new one, which knows nothing of the work.
   *
   * @param {'prepare' | 'measure' | 'finish'} step
   * @param {object} input
   * @returns {Promise<any>}
   */
  do(step, input = {}) {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const settle = (error, output) => {
        clearTimeout(timer);
        child.off('message', onMessage);
        child.off('exit', onExit);
        if (error === undefined) resolve(output);
        else reject(new Error(error));
      };
      const onMessage = ({ error, output }) => settle(error, output);
      const onExit = () => settle('the load generator ended');
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        this.#child = startLoad();
        settle(`${step} took too long`);
      }, STEP_TIMEOUTS_MS[step]);
      child.on('message', onMessage);
      child.on('exit', onExit);
      child.send({ step, input });
    });
  }

  stop() {
    return stop(this.#child);
  }
}

function startLoad() {
  return start(process.execPath, [MAIN], { core: LOAD_CORE, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}
