/** The only door to messages between threads. */
import { MessageChannel, MessagePort, type Transferable } from 'node:worker_threads';

export type { MessagePort, Transferable };

/** One end of a channel. Messages are structured clones; what is in `transfer` moves instead. */
export interface Port {
  /** Does nothing once the channel is closed. Throws if the message can't be cloned. */
  post(message: unknown, transfer?: readonly Transferable[]): void;
  /** While it is held the port keeps its thread alive. Not held at first. */
  hold(isHeld: boolean): void;
  /** Closes both ends, after the other one has got what was posted. */
  close(): void;
}

export interface PortListener {
  received(message: unknown): void;
  /** The other end, or this one, or the other end's thread is gone. Called once, after the last message. */
  closed(): void;
}

/** Two ends of a new channel, as they are handed to threads. */
export function makeChannel(): { readonly port1: MessagePort; readonly port2: MessagePort } {
  return new MessageChannel();
}

export function isMessagePort(value: unknown): value is MessagePort {
  return value instanceof MessagePort;
}

/** In Deno a port that came in a message is the web's, which is deaf to Node's calls; one that came in `workerData` is Node's. */
export function isNodePort(port: MessagePort): boolean {
  return typeof (port as { readonly on?: unknown }).on === 'function';
}

/** Begins to receive. Nothing was lost before: messages wait for this. */
export function openPort(port: MessagePort, listener: PortListener): Port {
  port.on('message', (message: unknown) => listener.received(message));
  port.on('messageerror', () => port.close());
  port.on('close', () => listener.closed());
  // Order: listening refs the port, so unref comes last.
  port.unref();
  return {
    post: (message, transfer = []) => port.postMessage(message, transfer),
    hold: (isHeld) => {
      if (isHeld) {
        port.ref();
      } else {
        port.unref();
      }
    },
    close: () => port.close(),
  };
}
