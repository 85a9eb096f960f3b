/** One thing worth telling an operator. */
export interface LogEntry {
  readonly level: 'info' | 'warn' | 'error';
  readonly event:
    | 'recovered'
    | 'rotated'
    | 'waiting-for-room'
    | 'no-space'
    | 'derived-write-failed'
    | 'thread-unavailable'
    | 'background-failed'
    | 'index-set-aside'
    | 'index-damaged'
    | 'index-failed'
    | 'index-rebuilt'
    | 'not-at-rest'
    | 'not-closed'
    | 'component-failed'
    | 'poisoned';
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Receives what the store has to tell. What it throws or rejects with is ignored: a broken logger must not break a write. */
export type Logger = (entry: LogEntry) => void;

export const silentLogger: Logger = () => {};

/** A logger that can't throw, nor reject where nobody listens, which would end the process. */
export function guardedLogger(logger: Logger): Logger {
  return (entry) => {
    try {
      const told: unknown = logger(entry);
      if (typeof told === 'object' && told !== null) {
        Promise.resolve(told).catch(() => {});
      }
    } catch {
      // The caller's logger failed. Nobody is left to tell, and the store goes on.
    }
  };
}
