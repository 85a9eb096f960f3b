/** Where the command speaks: results on stdout, everything else on stderr. */
import type { WriteStream } from 'node:tty';
import { CommandError } from './exit-code.ts';
import { printable, wrap } from './text.ts';

export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow';

const styleCodes: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  red: [31, 39],
  yellow: [33, 39],
};

const CHUNK_LENGTH = 32 * 1024;

/** Thrown when whoever reads stdout has gone (`varve read … | head`): nothing is left to do. */
export class OutputClosed extends CommandError {
  constructor() {
    super('Nobody reads the output any more.', { exitCode: 0 });
  }
}

export class Terminal {
  /** Columns of the terminal that stdout is; undefined if it is none, and then nothing is cut. */
  readonly width: number | undefined;
  readonly #out: NodeJS.WriteStream;
  readonly #error: NodeJS.WriteStream;
  readonly #hasColor: boolean;
  readonly #errorHasColor: boolean;
  #buffer = '';
  #isOutClosed = false;
  #outFailure: Error | undefined;

  constructor(
    out: NodeJS.WriteStream = process.stdout,
    error: NodeJS.WriteStream = process.stderr,
    environment: Readonly<Record<string, string | undefined>> = process.env,
  ) {
    this.#out = out;
    this.#error = error;
    this.width = out.isTTY ? Math.max(out.columns || 80, 40) : undefined;
    const mayColor = (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
    this.#hasColor = out.isTTY && mayColor;
    this.#errorHasColor = error.isTTY && mayColor;
    out.on('error', (failure: NodeJS.ErrnoException) => {
      this.#isOutClosed = true;
      this.#outFailure = failure.code === 'EPIPE' ? undefined : failure;
    });
    // Nobody left to complain to.
    error.on('error', () => {});
  }

  /** Undefined if stderr is no terminal. */
  get errorTerminal(): WriteStream | undefined {
    return this.#error.isTTY ? this.#error : undefined;
  }

  style(style: Style, text: string): string {
    return this.#hasColor ? paint(style, text) : text;
  }

  /** Throws `OutputClosed` if nobody reads it. */
  async line(text = ''): Promise<void> {
    this.#buffer += `${text}\n`;
    if (this.#buffer.length >= CHUNK_LENGTH) {
      await this.flush();
    }
  }

  /** What could do something to a terminal is escaped, which changes no value. */
  async json(value: unknown): Promise<void> {
    await this.line(printable(JSON.stringify(value)));
  }

  /** Bytes as they are. */
  async bytes(bytes: Uint8Array): Promise<void> {
    await this.flush();
    await this.#write(bytes);
  }

  async flush(): Promise<void> {
    this.#checkOut();
    const text = this.#buffer;
    this.#buffer = '';
    if (text !== '') {
      await this.#write(text);
    }
  }

  async #write(content: string | Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => this.#out.write(content, () => resolve()));
    this.#checkOut();
  }

  /** A remark for people. */
  note(text: string): void {
    this.#error.write(`${text}\n`);
  }

  /** Lines that fit stderr with an indent, if it is a terminal. */
  wrapForError(text: string, indent: number): string[] {
    const columns = this.errorTerminal?.columns;
    return columns === undefined ? [text] : wrap(text, Math.max(columns, 40) - indent - 1);
  }

  errorStyle(style: Style, text: string): string {
    return this.#errorHasColor ? paint(style, text) : text;
  }

  #checkOut(): void {
    if (this.#outFailure !== undefined) {
      throw this.#outFailure;
    }
    if (this.#isOutClosed) {
      throw new OutputClosed();
    }
  }
}

function paint(style: Style, text: string): string {
  const [on, off] = styleCodes[style];
  return `\u001B[${on}m${text}\u001B[${off}m`;
}
