import { formatCount, formatDuration } from './text.ts';
import type { Terminal } from './terminal.ts';

const REDRAW_MS = 100;

export interface ProgressState {
  /** Of the work that is measured, usually bytes. */
  readonly done: number;
  /** Undefined if nobody knows. */
  readonly total: number | undefined;
  /** What people count, as `unit` names it. */
  readonly count: number;
}

/** One line on stderr that says how far the work is: count, share, rate and time to go. Nothing if it is no terminal. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #label: string;
  readonly #unit: string;
  readonly #startedAt = performance.now();
  /** What ends at once shows nothing. */
  #drawnAt = this.#startedAt;
  #isDrawn = false;

  constructor(terminal: Terminal, label: string, unit: string) {
    this.#terminal = terminal;
    this.#label = label;
    this.#unit = unit;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1_000;
  }

  update(state: ProgressState): void {
    const now = performance.now();
    const target = this.#terminal.errorTerminal;
    if (target === undefined || now - this.#drawnAt < REDRAW_MS) {
      return;
    }
    this.#drawnAt = now;
    this.#isDrawn = true;
    const line = progressLine(this.#label, this.#unit, state, this.seconds);
    target.write(`\r${line.slice(0, (target.columns || 80) - 1)}\u001B[K`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#isDrawn) {
      this.#terminal.errorTerminal?.write('\r\u001B[K');
      this.#isDrawn = false;
    }
  }
}

export function progressLine(
  label: string,
  unit: string,
  { done, total, count }: ProgressState,
  seconds: number,
): string {
  const parts = [`${label}  ${formatCount(count).padStart(9)} ${unit}`];
  if (total !== undefined && total > 0) {
    parts.push(`${String(Math.floor((Math.min(done, total) / total) * 100)).padStart(3)} %`);
  }
  if (seconds > 0) {
    parts.push(`${formatCount(count / seconds)} ${unit}/s`);
  }
  if (total !== undefined && done > 0 && total >= done) {
    parts.push(`${formatDuration((seconds * (total - done)) / done)} to go`);
  }
  return parts.join('  ');
}
