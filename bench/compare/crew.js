import { applyLoad, makeBoard, openGate, valuesIn } from './load.js';
import { LoadThread } from './load-thread.js';

/** All threads that append to one store in a run: the first, which opened it, and those that have joined. */
export class Crew {
  #store;
  #threads = [];
  #values;
  #board;
  #load;

  constructor(store, values, board) {
    this.#store = store;
    this.#values = values;
    this.#board = board;
  }

  /**
   * @param {import('./engine.js').Engine & import('./engine.js').LoadableEngine} engine
   * @param {string} directory
   * @param {{ plan: import('./engine.js').Plan, bytes: Uint8Array }} work `bytes`: values, one behind the other.
   */
  static async open(engine, directory, { plan, bytes }) {
    const store = await engine.open(directory, plan);
    const board = makeBoard(plan.count);
    const crew = new Crew(store, valuesIn(bytes, plan.valueSize), board);
    for (let thread = 1; thread < plan.threadCount; thread += 1) {
      const invitation = store.invite?.() ?? { data: undefined };
      const setup = { directory, plan: { ...plan, thread }, bytes, board };
      crew.#threads.push(await LoadThread.start(engine, invitation, setup));
    }
    return crew;
  }

  /**
   * Shares callers out; resolves when all threads wait for the start.
   *
   * @param {{ count: number, inFlight: number }} load In all threads together.
   */
  async prepare({ count, inFlight }) {
    const threadCount = this.#threads.length + 1;
    const callers = (thread) => Math.floor((inFlight + threadCount - 1 - thread) / threadCount);
    this.#load = { count, inFlight: callers(0) };
    await Promise.all(
      this.#threads.map((thread, index) => thread.prepare({ count, inFlight: callers(index + 1) })),
    );
    globalThis.gc?.();
  }

  /**
   * Resolves when everything has been acknowledged.
   *
   * @returns {Promise<{ seconds: number, latencies: Float64Array, counts: number[] }>} `counts`: appends of each thread.
   */
  async run() {
    const others = this.#threads.map((thread) => thread.share());
    const start = openGate(this.#board);
    const own = applyLoad(this.#store, this.#values, this.#board, this.#load);
    const shares = await Promise.all([own, ...others]);
    const end = shares.map((share) => share.end).reduce((one, two) => (one > two ? one : two));
    return {
      seconds: Number(end - start) / 1e9,
      latencies: this.#board.latencies.slice(0, this.#load.count),
      counts: shares.map(({ count }) => count),
    };
  }

  async close() {
    for (const thread of this.#threads) {
      await thread.leave();
    }
    await this.#store.close();
  }

  /** Ends threads that are still there, wherever they are. */
  async terminate() {
    for (const thread of this.#threads) {
      await thread.terminate();
    }
  }
}
