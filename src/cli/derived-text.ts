import type { DerivedProblem, DerivedReport, IndexStats } from '../index.ts';
import type { Terminal } from './terminal.ts';
import { countOf, formatCount, formatSize, printable } from './text.ts';

/** What `verify` says of derived data. */
export async function showDerived(
  derived: DerivedReport | undefined,
  terminal: Terminal,
): Promise<void> {
  if (derived === undefined) {
    await terminal.line('There is no derived data: the next open makes it from the log.');
    return;
  }
  const { ok, covered, entries, problems, problemCount } = derived;
  for (const problem of problems) {
    await showProblem(problem, terminal);
  }
  if (problemCount > problems.length) {
    await terminal.line(`and ${countOf(problemCount - problems.length, 'more problem')}`);
  }
  await terminal.line(
    ok
      ? `Derived data agrees with the log: ${countOf(entries, 'entry', 'entries')} for ${countOf(covered, 'event')}.`
      : terminal.style(
          'yellow',
          'Derived data does not agree with the log. No event is lost by that.',
        ),
  );
  if (!ok) {
    await terminal.flush();
    terminal.note('varve index rebuild <dir> makes it again from the log.');
  }
}

async function showProblem(problem: DerivedProblem, terminal: Terminal): Promise<void> {
  const { what, entries, file, offset, stream, firstPosition, lastPosition } = problem;
  const place = [
    ...(file === undefined ? [] : [file]),
    ...(offset === undefined ? [] : [`byte ${offset}`]),
    ...(stream === undefined ? [] : [`stream ${stream}`]),
    ...(firstPosition === undefined ? [] : [`positions ${firstPosition} to ${lastPosition}`]),
  ];
  await terminal.line(
    `${terminal.style('yellow', 'derived')}  ${printable(`${entries}: ${what}`)}`,
  );
  if (place.length > 0) {
    await terminal.line(`         ${printable(place.join(', '))}`);
  }
}

/** Two lines of `stats`. */
export function indexPairs({
  covered,
  tail,
  tables,
  memory,
  failure,
}: IndexStats): (readonly [string, string])[] {
  const inTables = `${formatSize(tables.bytes)} in ${countOf(tables.count, 'table')}`;
  return [
    [
      'index',
      `${inTables} for ${countOf(covered, 'event')}, ${formatCount(tail.events)} in memory`,
    ],
    [
      'index memory',
      `${formatSize(memory.bytes)}: ${formatSize(memory.tables)} of tables, ${formatSize(memory.blocks)} of blocks`,
    ],
    ...(failure === undefined ? [] : [['index failure', failure] as const]),
  ];
}
