import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** Another thread of a run, as seen by the first: it joins the store, and appends when it is told to. */
export class LoadThread {
  #worker;

  constructor(worker) {
    this.#worker = worker;
  }

  /**
   * Resolves when the thread has joined.
   *
   * @param {import('./engine.js').Engine & import('./engine.js').LoadableEngine} engine
   * @param {import('./engine.js').Invitation} invitation
   * @param {object} setup Everything else that it must know, see `load-thread.worker.js`.
   */
  static async start({ module, name }, { data, transfer }, setup) {
    const worker = new Worker(new URL('./load-thread.worker.js', import.meta.url), {
      workerData: { ...setup, module, name, invited: data },
      transferList: transfer,
    });
    const thread = new LoadThread(worker);
    await thread.#answer();
    return thread;
  }

  /**
   * Resolves when the thread waits at the gate.
   *
   * @param {{ count: number, inFlight: number }} load
   */
  async prepare(load) {
    this.#worker.postMessage({ kind: 'load', load });
    await this.#answer();
  }

  /**
   * What it has done when it is through. Call it before the gate is opened.
   *
   * @returns {Promise<import('./load.js').Share>}
   */
  share() {
    return this.#answer();
  }

  async leave() {
    this.#worker.postMessage({ kind: 'leave' });
    await once(this.#worker, 'exit');
  }

  async terminate() {
    await this.#worker.terminate();
  }

  /** Rejects if the thread fails. */
  async #answer() {
    const [message] = await once(this.#worker, 'message');
    return message;
  }
}
