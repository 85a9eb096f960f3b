/**
 * Turns single appends into groups for engines that leave grouping to the caller: all that wait go into one write, and
 * all of them are answered when it is durable. Between two writes the event loop turns once, so that everybody who was
 * answered can ask again and be in the next one.
 */
export class AppendGrouper {
  #write;
  #values = [];
  #resolves = [];
  #rejects = [];
  #isRunning = false;

  /** @param {(values: Buffer[]) => void | Promise<void>} write Returns, or resolves, when all are durable. */
  constructor(write) {
    this.#write = write;
  }

  /**
   * @param {Buffer} value
   * @returns {Promise<void>} Resolves when the value is durable.
   */
  append(value) {
    return new Promise((resolve, reject) => {
      this.#values.push(value);
      this.#resolves.push(resolve);
      this.#rejects.push(reject);
      if (!this.#isRunning) {
        void this.#run();
      }
    });
  }

  async #run() {
    this.#isRunning = true;
    // Those who append in one go are gathered before the first write.
    await Promise.resolve();
    while (this.#values.length > 0) {
      const values = this.#values;
      const resolves = this.#resolves;
      const rejects = this.#rejects;
      this.#values = [];
      this.#resolves = [];
      this.#rejects = [];
      try {
        await this.#write(values);
      } catch (error) {
        for (const reject of rejects) {
          reject(error);
        }
        continue;
      }
      for (const resolve of resolves) {
        resolve();
      }
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    this.#isRunning = false;
  }
}
