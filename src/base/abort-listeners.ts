/**
 * A signal is listened to once, however many calls of however many stores depend on it: programs end everything they do by one
 * signal, and Node.js warns of a leak where it has more than ten listeners.
 */
const listening = new WeakMap<
  AbortSignal,
  { readonly callbacks: Set<() => void>; readonly listener: () => void }
>();

/** Calls back once if the signal aborts, unless the returned function is called before. Callbacks must not throw. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  // One of its own: the same callback may be given twice.
  const own = (): void => callback();
  let known = listening.get(signal);
  if (known === undefined) {
    const callbacks = new Set<() => void>();
    const listener = (): void => {
      listening.delete(signal);
      for (const each of callbacks) {
        callbacks.delete(each);
        each();
      }
    };
    known = { callbacks, listener };
    signal.addEventListener('abort', listener, { once: true });
    listening.set(signal, known);
  }
  const { callbacks, listener } = known;
  callbacks.add(own);
  return () => {
    if (
      callbacks.delete(own) &&
      callbacks.size === 0 &&
      listening.get(signal)?.listener === listener
    ) {
      listening.delete(signal);
      signal.removeEventListener('abort', listener);
    }
  };
}
