/** The only door to time. */
export interface Clock {
  /** Wall time in ms since the epoch; may jump either way. */
  now(): number;
  /** Resolves after everything that is ready to run has run. */
  pause(): Promise<void>;
  /** Runs `callback` once, `delayMs` from now. Does not keep the process alive unless asked to. */
  schedule(delayMs: number, callback: () => void, holds?: 'holds the process'): Timer;
}

export interface Timer {
  cancel(): void;
}
