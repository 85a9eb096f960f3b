import {
  CorruptionError,
  type KvVerifyOptions,
  type KvVerifyReport,
  repairKv,
  VarveError,
} from '../kv.ts';
import type { Command } from './command.ts';
import { CommandError, ExitCode } from './exit-code.ts';
import { openExistingKv, withAdvice } from './kv-open.ts';
import { Progress } from './progress.ts';
import type { Terminal } from './terminal.ts';
import { countOf, formatSize, printable } from './text.ts';

export const kvVerifyCommand: Command = {
  name: 'kv verify',
  summary: 'check every table, block by block',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {},
  details: [
    'Opens the store for reading, which checks its log and manifest, then reads every table to its end: checksums, order, filters, digests. Changes nothing. Where opening is refused, it says why and checks all tables that are there. Ends with 1 if there is damage.',
  ],
  examples: ['varve kv verify ./my-kv', "varve kv verify ./my-kv --json | jq '.problems[]'"],
  async run({ positionals, options, terminal, signal }) {
    const directory = positionals[0]!;
    const progress = new Progress(terminal, 'verifying', 'MiB');
    let report: KvVerifyReport;
    try {
      report = await verify(directory, terminal, {
        onProgress: ({ bytes, bytesTotal }) =>
          progress.update({ done: bytes, total: bytesTotal, count: bytes / (1024 * 1024) }),
        signal,
      });
    } catch (error) {
      throw signal.aborted ? stopped(error) : error;
    } finally {
      progress.end();
    }
    if (options.isOn('json')) {
      await terminal.json(report);
    } else {
      await showReport(report, directory, terminal);
    }
    return report.ok ? ExitCode.ok : ExitCode.damageFound;
  },
};

type Problem = KvVerifyReport['problems'][number];

async function verify(
  directory: string,
  terminal: Terminal,
  options: KvVerifyOptions,
): Promise<KvVerifyReport> {
  try {
    const kv = await openExistingKv(directory, terminal, 'to read');
    try {
      return await kv.verify(options);
    } finally {
      await kv.close();
    }
  } catch (error) {
    if (!(error instanceof VarveError) || error.code !== 'CORRUPT') {
      throw withAdvice(error, directory);
    }
    const problems: Problem[] = [problemOf(error, directory)];
    const tables = await damagedTables(directory);
    // What refused the opening may be one of them.
    problems.push(...tables.filter(({ file }) => file !== problems[0]!.file));
    return { ok: false, tables: 0, entries: 0, size: 0, problems };
  }
}

function stopped(cause: unknown): CommandError {
  return new CommandError('Stopped before everything was checked.', {
    code: 'ABORTED',
    exitCode: ExitCode.interrupted,
    advice: 'Run the same command again for a verdict.',
    cause,
  });
}

function problemOf(error: VarveError, directory: string): Problem {
  if (!(error instanceof CorruptionError)) {
    return { file: directory, reason: error.message };
  }
  const { file, offset, reason } = error;
  return offset === undefined ? { file, reason } : { file, offset, reason };
}

async function damagedTables(directory: string): Promise<readonly Problem[]> {
  try {
    const { damaged } = await repairKv(directory, { evenIfIntact: true });
    return damaged.map(({ file, reason }) => ({ file, reason }));
  } catch {
    // Not even that much can be read; what opening said stands.
    return [];
  }
}

async function showReport(
  { ok, tables, entries, size, problems }: KvVerifyReport,
  directory: string,
  terminal: Terminal,
): Promise<void> {
  for (const { file, offset, reason } of problems) {
    await terminal.line(`${terminal.style('red', 'damage')}  ${printable(reason)}`);
    const place = offset === undefined ? file : `${file}, byte ${offset}`;
    await terminal.line(`        ${printable(place)}`);
  }
  await terminal.line(
    ok
      ? terminal.style('green', 'The store is whole.')
      : terminal.style('red', 'The store is damaged.'),
  );
  if (tables > 0 || ok) {
    await terminal.line(
      `Checked ${countOf(entries, 'entry', 'entries')} in ${countOf(tables, 'table')}: ${formatSize(size)}.`,
    );
  }
  if (!ok) {
    await terminal.flush();
    terminal.note(`A backup is the best way back. varve kv repair ${directory} says what else is.`);
  }
}
