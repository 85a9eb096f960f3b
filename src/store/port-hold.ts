import type { Port } from '../io/message-port.ts';

/** Keeps a thread alive by its port while something is in flight. */
export class PortHold {
  readonly #port: Port;
  #count = 0;

  constructor(port: Port) {
    this.#port = port;
  }

  get count(): number {
    return this.#count;
  }

  /** So many more, or fewer, are in flight. */
  add(count: number): void {
    const wasIdle = this.#count === 0;
    this.#count += count;
    const isIdle = this.#count === 0;
    if (isIdle !== wasIdle) {
      this.#port.hold(!isIdle);
    }
  }
}
