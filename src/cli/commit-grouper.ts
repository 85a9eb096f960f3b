import type { NewEvent } from '../index.ts';
import type { ParsedLine } from './event-line.ts';
import { LINE_SIZE_MAX } from './line-reader.ts';
import { LineProblem } from './line-problem.ts';

/** Lines that become one commit. */
export interface LineCommit {
  readonly lines: readonly ParsedLine[];
  readonly firstLine: number;
  readonly lastLine: number;
  readonly key: string | undefined;
  readonly scope: string | undefined;
  readonly size: number;
}

/** The store's own bound, checked here too so that memory stays bounded while lines gather. */
const COMMIT_COUNT_MAX = 65_535;

/** Puts lines together to commits. A commit is handed out only when it is known to be complete. */
export class CommitGrouper {
  #lines: ParsedLine[] = [];
  #size = 0;

  /** The commit that this line has completed, if it has. Throws `LineProblem`. */
  add(line: ParsedLine): LineCommit | undefined {
    return line.commit === undefined
      ? this.#addForeign(line)
      : this.#addExported(line, line.commit);
  }

  /** The last commit, when no more lines follow. Throws `LineProblem` if it isn't complete. */
  end(): LineCommit | undefined {
    const last = this.#lines.at(-1);
    if (last?.commit !== undefined) {
      throw new LineProblem(
        last.number + 1,
        `the input ends inside a commit: ${this.#lines.length} of its ${last.commit.count} events are there, from line ${this.#lines[0]!.number} on`,
      );
    }
    return this.#take();
  }

  #addForeign(line: ParsedLine): LineCommit | undefined {
    const first = this.#lines[0];
    if (first?.commit !== undefined) {
      throw new LineProblem(
        line.number,
        `the commit that begins in line ${first.number} is not complete`,
      );
    }
    if (line.group === undefined) {
      const before = this.#take();
      if (before === undefined) {
        this.#push(line);
        return this.#take();
      }
      this.#push(line);
      return before;
    }
    if (first?.group === line.group) {
      this.#push(line);
      return undefined;
    }
    const before = this.#take();
    this.#push(line);
    return before;
  }

  #addExported(
    line: ParsedLine,
    { index, count }: { readonly index: number; readonly count: number },
  ): LineCommit | undefined {
    if (
      index !== this.#lines.length ||
      count !== (this.#lines[0]?.commit?.count ?? count) ||
      index >= count
    ) {
      const first = this.#lines[0];
      throw new LineProblem(
        line.number,
        first === undefined
          ? `the line is event ${index + 1} of ${count} of its commit, and the first ones are missing`
          : `the line doesn't go on with the commit that begins in line ${first.number} (${this.#lines.length} of ${first.commit!.count} events)`,
        { advice: 'Lines of the export are missing or out of order: export again.' },
      );
    }
    this.#push(line);
    return this.#lines.length === count ? this.#take() : undefined;
  }

  #push(line: ParsedLine): void {
    const first = this.#lines[0];
    if (first !== undefined) {
      rejectAnother('key', line.number, line.key, first.number, first.key);
      rejectAnother('scope', line.number, line.scope, first.number, first.scope);
    }
    this.#lines.push(line);
    this.#size += line.size;
    const firstLine = this.#lines[0]!.number;
    if (this.#lines.length > COMMIT_COUNT_MAX) {
      throw new LineProblem(
        line.number,
        `the commit that begins in line ${firstLine} has more than ${COMMIT_COUNT_MAX} events, the most that one commit holds`,
        { code: 'LIMIT_EXCEEDED' },
      );
    }
    if (this.#size > LINE_SIZE_MAX) {
      throw new LineProblem(
        line.number,
        `the commit that begins in line ${firstLine} takes more than ${LINE_SIZE_MAX} bytes, the most that import holds of one`,
        { code: 'LIMIT_EXCEEDED' },
      );
    }
  }

  #take(): LineCommit | undefined {
    const lines = this.#lines;
    const first = lines[0];
    if (first === undefined) {
      return undefined;
    }
    const size = this.#size;
    this.#lines = [];
    this.#size = 0;
    const lastLine = lines.at(-1)!.number;
    return { lines, firstLine: first.number, lastLine, key: first.key, scope: first.scope, size };
  }
}

/** A line may leave out what the first one of its commit says of all. */
function rejectAnother(
  what: 'key' | 'scope',
  number: number,
  given: string | undefined,
  firstNumber: number,
  first: string | undefined,
): void {
  if (given !== undefined && given !== first) {
    const expected = first === undefined ? 'none' : JSON.stringify(first);
    throw new LineProblem(
      number,
      `the line belongs to the commit that begins in line ${firstNumber}, but has the ${what} ${JSON.stringify(given)} instead of ${expected}`,
    );
  }
}

/** The parts of a commit: neighbours of one stream together, in the order of the lines. */
export function partsOf(lines: readonly ParsedLine[]): { stream: string; events: NewEvent[] }[] {
  const parts: { stream: string; events: NewEvent[] }[] = [];
  for (const { stream, event } of lines) {
    const last = parts.at(-1);
    if (last?.stream === stream) {
      last.events.push(event);
    } else {
      parts.push({ stream, events: [event] });
    }
  }
  return parts;
}
