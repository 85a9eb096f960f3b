import { MessageChannel, type MessagePort, type Transferable } from 'node:worker_threads';

interface LaneMemory {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

/** Passes on what an owner and a client say to each other, and counts it. */
export class Relay {
  /** What the client attaches to. */
  readonly port: MessagePort;
  toOwner = 0;
  toClient = 0;
  closedCursors = 0;
  /** The memory that owner and client share. */
  welcome:
    | { readonly lane: LaneMemory; readonly hubWords: Int32Array; readonly storeWords: Int32Array }
    | undefined;

  readonly #shared: MessagePort;

  constructor(shared: MessagePort) {
    this.#shared = shared;
    const { port1, port2 } = new MessageChannel();
    this.port = port2;
    port1.on('message', (message: { kind?: string }) => {
      this.toOwner += 1;
      this.closedCursors += message.kind === 'close-cursor' ? 1 : 0;
      shared.postMessage(message);
    });
    shared.on('message', (message: { kind?: string }) => {
      this.toClient += 1;
      this.welcome = message.kind === 'welcome' ? (message as Relay['welcome']) : this.welcome;
      const moved = message instanceof Float64Array ? [message.buffer] : [];
      port1.postMessage(message, moved as Transferable[]);
    });
    port1.on('close', () => shared.close());
    shared.on('close', () => port1.close());
  }

  /** Breaks the connection, as the end of the client's thread does. */
  end(): void {
    this.#shared.close();
  }

  reset(): void {
    this.toOwner = 0;
    this.toClient = 0;
  }
}
