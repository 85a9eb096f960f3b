/** A call that waits for its answer. */
export interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export function resolveAll(waiters: readonly Waiter[]): void {
  for (const { resolve } of waiters) {
    resolve();
  }
}

export function rejectAll(waiters: readonly Waiter[], error: unknown): void {
  for (const { reject } of waiters) {
    reject(error);
  }
}
