/**
 * Hands commits to the store, many at a time: while one batch is synced the next gathers. Order is kept to the letter: when
 * the store refuses a commit, everything before it is in and nothing behind it is.
 */
import { type CommitOptions, type EventStore, VarveError } from '../index.ts';
import { type LineCommit, partsOf } from './commit-grouper.ts';
import type { ParsedLine } from './event-line.ts';
import { LineProblem } from './line-problem.ts';
import { onlyGiven } from './only-given.ts';

export interface ImportCounts {
  readonly events: number;
  readonly commits: number;
}

const IN_FLIGHT_COUNT_MAX = 4_096;
const IN_FLIGHT_SIZE_MAX = 16 * 1024 * 1024;

export class Importer {
  readonly #store: EventStore;
  /** Names the input in the keys of commits that bring no key and no id; undefined: there is no name. */
  readonly #source: string | undefined;
  /** Of keys whose lines name none. */
  readonly #scope: string | undefined;
  #appended = { events: 0, commits: 0 };
  #duplicates = { events: 0, commits: 0 };
  #erased = 0;
  #inFlight = 0;
  #inFlightSize = 0;
  /** Keys and ids of commits in flight: a repeat waits, so that the answer to it comes at once. */
  readonly #names = new Set<string>();
  #isRefused = false;
  #failure: LineProblem | VarveError | undefined;
  #wake: (() => void) | undefined;

  constructor(store: EventStore, source: string | undefined, scope: string | undefined) {
    this.#store = store;
    this.#source = source;
    this.#scope = scope;
  }

  get appended(): ImportCounts {
    return this.#appended;
  }

  get duplicates(): ImportCounts {
    return this.#duplicates;
  }

  /** Events that had been erased where they came from, and are events without data here. */
  get erased(): number {
    return this.#erased;
  }

  /** Resolves when the next commit may follow. Throws `LineProblem` if the store refused one, `VarveError` if it failed. */
  async submit(commit: LineCommit): Promise<void> {
    const key = commit.key ?? this.#deriveKey(commit);
    const scope = key === undefined ? undefined : this.#scopeOf(commit);
    const names = namesOf(commit, key, scope);
    while (
      this.#inFlight >= IN_FLIGHT_COUNT_MAX ||
      (this.#inFlight > 0 && this.#inFlightSize + commit.size > IN_FLIGHT_SIZE_MAX) ||
      names.some((name) => this.#names.has(name))
    ) {
      await this.#whenAnswered();
    }
    this.#throwFailure();
    const options = onlyGiven({ idempotencyKey: key, idempotencyScope: scope });
    const answer = this.#run(commit, options, names);
    // A refusal is decided during the call and heard of within one turn of the event loop.
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.#isRefused || this.#store.stats().waiting > 0) {
      await answer;
    }
    this.#throwFailure();
  }

  /** Resolves when everything submitted is durable. Throws as `submit`. */
  async finish(): Promise<void> {
    while (this.#inFlight > 0) {
      await this.#whenAnswered();
    }
    this.#throwFailure();
  }

  async #run(commit: LineCommit, options: CommitOptions, names: readonly string[]): Promise<void> {
    const { size, lines } = commit;
    this.#inFlight += 1;
    this.#inFlightSize += size;
    for (const name of names) {
      this.#names.add(name);
    }
    try {
      const { outcome } = await this.#store.commit(partsOf(lines), options);
      const counts = outcome === 'appended' ? this.#appended : this.#duplicates;
      counts.commits += 1;
      counts.events += lines.length;
      if (outcome === 'appended') {
        this.#erased += lines.reduce((count, { isErased }) => count + (isErased ? 1 : 0), 0);
      }
    } catch (error) {
      this.#isRefused = true;
      const failure = await this.#locate(commit, error);
      this.#failure ??= failure;
    } finally {
      this.#inFlight -= 1;
      this.#inFlightSize -= size;
      for (const name of names) {
        this.#names.delete(name);
      }
      this.#wake?.();
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
  }

  async #whenAnswered(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  /**
   * So that running an import again repeats nothing, a commit without key and ids gets a key from where it stands. If
   * other content stands there later, the store calls it a conflict.
   */
  #deriveKey({ lines, firstLine, lastLine }: LineCommit): string | undefined {
    if (lines.some(({ event }) => event.id !== undefined)) {
      return undefined;
    }
    if (this.#source === undefined) {
      throw new LineProblem(
        firstLine,
        'the line has neither a key nor an id, so running this import again would repeat it',
        {
          lastLine,
          advice:
            'Name a field with --key or --id, or name the input with --source <name>: then its line numbers are the keys.',
        },
      );
    }
    return `import:${this.#source}:${firstLine}`;
  }

  /** Keys of one tenant must not get into the scope of another: a line that names one is held to what was asked for. */
  #scopeOf({ scope, firstLine, lastLine }: LineCommit): string | undefined {
    const wanted = this.#scope;
    if (scope !== undefined && wanted !== undefined && scope !== wanted) {
      throw new LineProblem(
        firstLine,
        `the line has the scope ${JSON.stringify(scope)}, and --scope says ${JSON.stringify(wanted)}`,
        { lastLine, advice: 'Leave out --scope to keep the scopes that lines have.' },
      );
    }
    return scope ?? wanted;
  }

  /** What the store refused, as a problem of lines; other failures stay what they are. */
  async #locate(commit: LineCommit, error: unknown): Promise<LineProblem | VarveError> {
    if (!(error instanceof VarveError)) {
      throw error;
    }
    if (error.kind !== 'invalid' && error.kind !== 'conflict') {
      return error;
    }
    const { code } = error;
    const { firstLine, lastLine } = commit;
    for (const line of commit.lines) {
      const refusal = error.kind === 'invalid' ? await this.#refusalOf(line) : undefined;
      if (refusal !== undefined) {
        return new LineProblem(line.number, refusal.message, { code, cause: error });
      }
    }
    const advice = code === 'IDEMPOTENCY_CONFLICT' ? this.#conflictAdvice(commit) : undefined;
    return new LineProblem(firstLine, error.message, {
      ...onlyGiven({ advice }),
      lastLine,
      code,
      cause: error,
    });
  }

  #conflictAdvice({ key, lines }: LineCommit): string | undefined {
    const isDerived = key === undefined && lines.every(({ event }) => event.id === undefined);
    return isDerived
      ? `Line numbers of ${JSON.stringify(this.#source)} are the keys, and this one was imported before with other content. If this is another input, name it with --source <name>.`
      : undefined;
  }

  /** What the store says of one line alone. The signal has been aborted before, so it can't be appended. */
  async #refusalOf({ stream, event }: ParsedLine): Promise<VarveError | undefined> {
    try {
      await this.#store.append(stream, [event], { signal: AbortSignal.abort() });
    } catch (error) {
      return error instanceof VarveError && error.kind === 'invalid' && error.code !== 'ABORTED'
        ? error
        : undefined;
    }
    return undefined;
  }
}

function namesOf(
  { lines }: LineCommit,
  key: string | undefined,
  scope: string | undefined,
): string[] {
  const names = key === undefined ? [] : [`key ${JSON.stringify([scope ?? '', key])}`];
  for (const { event } of lines) {
    if (event.id !== undefined) {
      names.push(`id ${event.id}`);
    }
  }
  return names;
}
