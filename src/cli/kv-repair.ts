import { type KvFolderRepairReport, repairKv } from '../kv.ts';
import type { Command } from './command.ts';
import { ExitCode } from './exit-code.ts';
import { withAdvice } from './kv-open.ts';
import type { Style, Terminal } from './terminal.ts';
import { countOf, printable } from './text.ts';

type Report = KvFolderRepairReport;

export const kvRepairCommand: Command = {
  name: 'kv repair',
  summary: 'rebuild the list of tables of a store that does not open',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {
    apply: { help: 'Do it; without this it only says what it would do' },
    'set-aside-undecided': {
      help: 'Set tables aside whose place cannot be told, rather than refuse. What only they hold is lost',
    },
    'even-if-intact': {
      help: 'Also if the list can be read: sets aside tables with damage in them',
    },
  },
  details: [
    'For a store whose manifest, the list of its tables, is missing or damaged, or that misses a table. A backup is better, if there is one. Reads every table twice. Deletes nothing: what cannot be used goes to the folder quarantine. The store must not be open anywhere. Damage in the log is not repaired.',
    'Ends with 0 if there is nothing to do or it was done, with 1 if there is something to do, with 5 if it refuses.',
  ],
  examples: [
    'varve kv repair ./my-kv',
    'cp -a ./my-kv ./my-kv-before && varve kv repair ./my-kv --apply',
  ],
  async run({ positionals, options, terminal }) {
    const directory = positionals[0]!;
    let report: Report;
    try {
      report = await repairKv(directory, {
        apply: options.isOn('apply'),
        setAsideUndecided: options.isOn('set-aside-undecided'),
        evenIfIntact: options.isOn('even-if-intact'),
      });
    } catch (error) {
      throw withAdvice(error, directory);
    }
    if (options.isOn('json')) {
      await terminal.json(report);
    } else {
      await showReport(report, directory, terminal);
      await terminal.flush();
      const given = ['set-aside-undecided', 'even-if-intact'].filter((name) => options.isOn(name));
      const again = ['varve kv repair', directory, ...given.map((name) => `--${name}`)].join(' ');
      for (const line of nextSteps(directory, again)[report.outcome]) {
        terminal.note(line);
      }
    }
    return exitCodes[report.outcome];
  },
};

const exitCodes: Readonly<Record<Report['outcome'], ExitCode>> = {
  intact: ExitCode.ok,
  repaired: ExitCode.ok,
  repairable: ExitCode.damageFound,
  refused: ExitCode.damaged,
};

async function showReport(report: Report, directory: string, terminal: Terminal): Promise<void> {
  await terminal.line(verdictOf(report, directory, terminal));
  if (report.outcome === 'intact') {
    return;
  }
  await terminal.line();
  await terminal.line(`keep       ${keptText(report)}`);
  for (const { number, file, reason } of report.damaged) {
    await terminal.line(`set aside  table ${number}, which is damaged: ${printable(reason)}`);
    await terminal.line(`           ${printable(file)}`);
  }
  const label = report.outcome === 'refused' ? 'undecided' : 'set aside';
  for (const { number, reason } of report.undecided) {
    await terminal.line(`${label}  table ${number}: ${reason}`);
  }
  if (report.notNeeded.length > 0) {
    const tables = countOf(report.notNeeded.length, 'table');
    await terminal.line(`leave      ${tables} that others replace; the next open removes them`);
  }
  await terminal.line(`log        ${logText(report)}`);
  const warnings = warningsOf(report);
  if (warnings.length > 0) {
    await terminal.line();
    await terminal.line('What cannot be as it was');
    for (const warning of warnings) {
      await terminal.line(`  - ${warning}`);
    }
  }
}

function verdictOf({ outcome }: Report, directory: string, terminal: Terminal): string {
  const [style, text] = verdicts[outcome];
  return terminal.style(
    style,
    text.replace('{}', () => printable(directory)),
  );
}

const verdicts: Readonly<Record<Report['outcome'], readonly [Style, string]>> = {
  intact: [
    'green',
    'Nothing to do: the manifest of {} can be read, and every table it names is there.',
  ],
  repaired: ['green', '{} has a new manifest, made from its tables.'],
  repairable: ['yellow', '{} can be repaired. Nothing has been changed; this would be done:'],
  refused: [
    'red',
    '{} is not repaired: it cannot be told where some tables belong. Nothing has been changed.',
  ],
};

function keptText({ kept }: Report): string {
  if (kept.length === 0) {
    return 'no table';
  }
  const counts = new Map<number, number>();
  for (const { level } of kept) {
    counts.set(level, (counts.get(level) ?? 0) + 1);
  }
  const levels = [...counts]
    .sort(([left], [right]) => left - right)
    .map(([level, count]) => `${count} in level ${level}`);
  return `${countOf(kept.length, 'table')}: ${levels.join(', ')}`;
}

function logText({ hasLog, flushedSequence }: Report): string {
  return hasLog
    ? `writes above version ${flushedSequence} come back from the log, if it holds any`
    : 'none: this is a store without a log, which its program fills again';
}

function warningsOf({ kept, damaged, undecided, ingested, missing, outcome }: Report): string[] {
  const warnings: string[] = [];
  if (damaged.length > 0 || (undecided.length > 0 && outcome !== 'refused')) {
    warnings.push(
      'What only the tables set aside hold is gone. Older values of their keys show again, and keys that were deleted.',
    );
  }
  const keptIngested = kept.filter(({ number }) => ingested.includes(number));
  if (keptIngested.length > 0) {
    warnings.push(
      `${countOf(keptIngested.length, 'ingested table')}: the entries have version 1 now. What a program remembers of their versions does not hold.`,
    );
  }
  if (missing !== undefined) {
    warnings.push(
      `No table reaches beyond version ${missing.from}, and the log begins behind ${missing.to}: what was written between is gone, unless it was deletions that were merged away.`,
    );
  }
  return warnings;
}

/** `again`: the command as it was given, without --apply. */
function nextSteps(
  directory: string,
  again: string,
): Readonly<Record<Report['outcome'], string[]>> {
  return {
    intact: [
      `What the tables hold is checked by: varve kv verify ${directory}`,
      'A log with damage in it cannot be repaired: there a backup is the way back.',
    ],
    repaired: [`Now check it: varve kv verify ${directory}`],
    repairable: ['Copy the folder first, if there is room. Then:', `  ${again} --apply`],
    refused: [
      'A backup is the way back. Without one, the undecided tables can be set aside:',
      `  ${again} --set-aside-undecided    (says what that comes to)`,
    ],
  };
}
