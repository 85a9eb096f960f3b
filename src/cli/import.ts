import { open } from '../index.ts';
import type { Command, Invocation } from './command.ts';
import { CommitGrouper, type LineCommit } from './commit-grouper.ts';
import { parseEventLine } from './event-line.ts';
import { CommandError, describeFailure, ExitCode } from './exit-code.ts';
import { Importer } from './importer.ts';
import { type Input, openInput } from './input.ts';
import { type LineMapping, mappingFrom, mappingOptions } from './line-mapping.ts';
import { LineProblem } from './line-problem.ts';
import { readLines } from './line-reader.ts';
import { onlyGiven } from './only-given.ts';
import { Progress } from './progress.ts';
import { storeComponents } from './store-notes.ts';
import type { Terminal } from './terminal.ts';
import { countOf, formatCount, formatDuration } from './text.ts';
import { TextProblem } from './text-problem.ts';

/** Below it a rate says nothing. */
const RATE_COUNT_MIN = 1_000;

export const importCommand: Command = {
  name: 'import',
  summary: 'append the lines of an NDJSON file, each once',
  usage: '<file.ndjson|file.ndjson.gz|-> <dir>',
  positionals: { min: 2, max: 2 },
  options: {
    ...mappingOptions,
    scope: {
      value: 'scope',
      help: 'Idempotency scope of all keys, such as a tenant; lines may have none, or this one',
    },
    source: {
      value: 'name',
      help: "Name of the input in the keys of lines that have neither key nor id (default: the file's name)",
    },
    compression: {
      value: 'codec',
      help: 'Store data compressed with deflate or zstd, as the source may have (default: none)',
    },
  },
  details: [
    'A line is one event, {"stream":"orders/1","type":"OrderPlaced","data":{…}}, with id, tags, metadata, correlationId, causationId, occurredAt, idempotencyKey and idempotencyScope if you like, and one commit unless --group-by says otherwise. What varve export wrote comes back as it was: same order, ids, commits, keys and scopes.',
    'It stops at the first bad line. Everything before that line is in the store, nothing of its commit is. Mend the line and run the same command again: what is there already is recognized by key or id and not repeated. Lines that have neither get the key import:<file name>:<line number>.',
    'With --scope the keys are kept apart from those of other scopes, derived ones included. A line that has another scope is refused. A commit known by its ids alone has no scope: ids are unique in the whole store.',
  ],
  examples: [
    'varve import events.ndjson.gz ./my-store',
    'varve export ./my-store | varve import - ./copy',
    'varve export ./my-store | varve import - ./copy --compression deflate',
    'varve import history.ndjson ./my-store --group-by correlationId \\',
    '    --key correlationId --occurred-at time',
    'varve import shop-3.ndjson ./all-shops --scope shop-3',
    'varve import access.ndjson ./my-store --stream path --type method \\',
    '    --occurred-at at --rest-as-data',
  ],
  async run({ positionals, options, terminal, signal }: Invocation): Promise<ExitCode> {
    const [path, directory] = positionals as [string, string];
    const mapping = mappingFrom(options);
    const input = openInput(path, signal);
    const settings = onlyGiven({ compression: options.text('compression') });
    const store = await open(directory, settings, storeComponents(terminal));
    const importer = new Importer(
      store,
      options.text('source') ?? input.source,
      options.text('scope'),
    );
    const progress = new Progress(terminal, 'importing', 'events');
    try {
      await importLines(input, mapping, importer, progress, signal);
    } catch (error) {
      progress.end();
      throw describeStop(error, input, importer, signal);
    } finally {
      progress.end();
      await store.close();
    }
    await report(
      { terminal, isJson: options.isOn('json') },
      directory,
      store.head,
      importer,
      progress.seconds,
    );
    return ExitCode.ok;
  },
};

async function importLines(
  input: Input,
  mapping: LineMapping,
  importer: Importer,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const commit of commitsOf(input, mapping)) {
      await importer.submit(commit);
      signal.throwIfAborted();
      const count = importer.appended.events + importer.duplicates.events;
      progress.update({ done: input.readSize, total: input.size, count });
    }
  } finally {
    // What is in flight is waited for in any case, and what it says comes first: it stands before the line that failed.
    await importer.finish();
  }
}

async function* commitsOf(
  input: Input,
  mapping: LineMapping,
): AsyncGenerator<LineCommit, void, undefined> {
  const grouper = new CommitGrouper();
  let lastLine = 0;
  try {
    for await (const lines of readLines(input.chunks)) {
      for (const line of lines) {
        lastLine = line.number;
        yield* known(grouper.add(parseEventLine(line, mapping)));
      }
    }
  } catch (error) {
    throw asLineProblem(error, lastLine + 1);
  }
  yield* known(grouper.end());
}

function known<Value>(value: Value | undefined): Value[] {
  return value === undefined ? [] : [value];
}

function asLineProblem(error: unknown, line: number): Error {
  if (error instanceof TextProblem) {
    return new LineProblem(line, `the compressed file ${error.message}`, { cause: error });
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('Z_')
    ? new LineProblem(
        line,
        `the compressed file is damaged or cut short (${(error as Error).message})`,
        { cause: error },
      )
    : (error as Error);
}

/** The failure as people should hear of it: where, why, what is in the store now, and how to go on. */
function describeStop(
  error: unknown,
  input: Input,
  { appended, duplicates }: Importer,
  signal: AbortSignal,
): Error {
  const count = appended.events + duplicates.events;
  const stored = `${countOf(count, 'event')} before it ${count === 1 ? 'is' : 'are'} in the store: `;
  if (error instanceof LineProblem) {
    const { line, lastLine, code, message } = error;
    const where = line === lastLine ? String(line) : `${line}-${lastLine}`;
    const next = `${count === 0 ? 'Nothing was imported: ' : stored}mend the input and run the same command again.`;
    return new CommandError(`${input.name}:${where}: ${message}`, {
      code,
      exitCode: code.endsWith('_CONFLICT') ? ExitCode.conflict : ExitCode.invalid,
      advice: error.advice === undefined ? next : `${error.advice}\n${next}`,
      details: { file: input.name, line, lastLine, reason: message, appended, duplicates },
      cause: error,
    });
  }
  if (signal.aborted) {
    return new CommandError('Stopped. The store is closed and whole.', {
      code: 'INTERRUPTED',
      exitCode: ExitCode.interrupted,
      advice: `${countOf(count, 'event')} of the input ${count === 1 ? 'is' : 'are'} in it: run the same command again to go on.`,
      details: { appended, duplicates },
      cause: error,
    });
  }
  const failure = describeFailure(error);
  return failure.exitCode === ExitCode.unavailable
    ? new CommandError(failure.message, {
        ...failure,
        advice: `${stored}run the same command again when that is mended.`,
        cause: error,
      })
    : (error as Error);
}

async function report(
  { terminal, isJson }: { readonly terminal: Terminal; readonly isJson: boolean },
  directory: string,
  head: number,
  importer: Importer,
  seconds: number,
): Promise<void> {
  const { appended, duplicates, erased } = importer;
  if (isJson) {
    await terminal.json({ appended, duplicates, erased, head, seconds });
    return;
  }
  const count = appended.events + duplicates.events;
  const line = `${countOf(appended.events, 'event')} appended in ${countOf(appended.commits, 'commit')}, ${formatCount(duplicates.events)} there already`;
  await terminal.line(terminal.style('bold', line));
  const rate =
    count < RATE_COUNT_MIN
      ? ''
      : ` (${formatDuration(seconds)}, ${formatCount(count / seconds)} events/s)`;
  await terminal.line(`${directory} holds ${countOf(head, 'event')} now${rate}`);
  if (erased > 0) {
    await terminal.flush();
    terminal.note(
      `${countOf(erased, 'event')} had been erased at the source: appended without data.`,
    );
  }
}
