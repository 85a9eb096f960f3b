import { decodeText, hasByteOrderMark } from './exact-text.ts';
import { LineProblem } from './line-problem.ts';
import { TextProblem } from './text-problem.ts';

export interface Line {
  /** 1-based. */
  readonly number: number;
  readonly text: string;
  /** Bytes, without the line's end. */
  readonly size: number;
}

/** No event takes more: 16 MiB of a commit, each byte written as an escape of six; compressed, 64 MiB as they are or in Base64. */
export const LINE_SIZE_MAX: number = 96 * 1024 * 1024;

const NEWLINE = 0x0a;

/**
 * The lines of a stream of bytes, as many at a time as a chunk completes. Blank lines are counted and left out. Memory is
 * a chunk and the longest line. Throws `LineProblem` for a line that is too long or isn't UTF-8, when its turn comes.
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  sizeMax: number = LINE_SIZE_MAX,
): AsyncGenerator<readonly Line[], void, undefined> {
  const decoder = new LineDecoder();
  let pieces: Uint8Array[] = [];
  let pending = 0;
  for await (const chunk of chunks) {
    let start = 0;
    const lines: Line[] = [];
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const rest = chunk.subarray(start, end);
      const problem = decoder.decode(
        pieces.length === 0 ? rest : Buffer.concat([...pieces, rest]),
        lines,
      );
      if (problem !== undefined) {
        yield lines;
        throw problem;
      }
      pieces = [];
      pending = 0;
      start = end + 1;
    }
    yield lines;
    if (start < chunk.length) {
      pieces.push(chunk.subarray(start));
      pending += chunk.length - start;
    }
    if (pending > sizeMax) {
      throw new LineProblem(decoder.next, `the line is longer than ${sizeMax} bytes`);
    }
  }
  const lines: Line[] = [];
  const problem = decoder.decode(Buffer.concat(pieces), lines);
  yield lines;
  if (problem !== undefined) {
    throw problem;
  }
}

class LineDecoder {
  /** Number of the next line. */
  next = 1;

  decode(bytes: Uint8Array, into: Line[]): LineProblem | undefined {
    const number = this.next;
    this.next += 1;
    let text: string;
    try {
      text = decodeText(bytes);
    } catch (error) {
      if (!(error instanceof TextProblem)) {
        throw error;
      }
      return new LineProblem(number, `the line ${error.message}`, { cause: error });
    }
    // The mark of a file of lines is no part of its first line.
    if (number === 1 && hasByteOrderMark(text)) {
      text = text.slice(1);
    }
    if (!isBlank(text)) {
      into.push({ number, text, size: bytes.length });
    }
    return undefined;
  }
}

/** True if nothing is there but what JSON allows around values: other spaces are characters like any other. */
function isBlank(text: string): boolean {
  let at = 0;
  while (at < text.length && ' \t\r'.includes(text[at]!)) {
    at += 1;
  }
  return at === text.length;
}
