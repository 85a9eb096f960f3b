import type { KvStore } from '../kv.ts';
import type { Command } from './command.ts';
import { ExitCode } from './exit-code.ts';
import { withKv } from './kv-open.ts';
import { recoveryText } from './stats.ts';
import { alignPairs, countOf, formatCount, formatSize } from './text.ts';

export const kvStatsCommand: Command = {
  name: 'kv stats',
  summary: 'show how much a key-value store holds',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {},
  details: [
    'Entries are those of tables: all versions of all keys that are still on disk, deletions included. What the store was not yet asked to flush comes back from the log and is counted as in memory.',
  ],
  examples: ['varve kv stats ./my-kv', 'varve kv stats ./my-kv --json | jq .levels'],
  async run({ positionals, options, terminal }) {
    return withKv(positionals[0]!, terminal, 'to read', async (kv) => {
      const facts = factsOf(kv);
      if (options.isOn('json')) {
        await terminal.json({ ...facts, recovery: kv.recovery });
        return ExitCode.ok;
      }
      for (const line of alignPairs(pairsOf(kv, facts))) {
        await terminal.line(line);
      }
      return ExitCode.ok;
    });
  },
};

interface KvFacts {
  readonly tables: number;
  readonly size: number;
  readonly entries: number;
  readonly deletions: number;
  readonly deletedRanges: number;
  readonly inMemory: number;
  readonly lastVersion: number;
  readonly flushedVersion: number;
  readonly debt: number;
  readonly levels: readonly { readonly tableCount: number; readonly size: number }[];
}

function factsOf(kv: KvStore): KvFacts {
  const { levels, memtables, lastVersion, flushedVersion, pressure } = kv.stats();
  const tables = kv.tables();
  const sumOf = (count: (table: (typeof tables)[number]) => number): number =>
    tables.reduce((sum, table) => sum + count(table), 0);
  return {
    tables: tables.length,
    size: sumOf(({ size }) => size),
    entries: sumOf(({ count }) => count),
    deletions: sumOf(({ deleteCount }) => deleteCount),
    deletedRanges: sumOf(({ rangeDeleteCount }) => rangeDeleteCount),
    inMemory: memtables.size,
    lastVersion,
    flushedVersion,
    debt: pressure.debt,
    levels,
  };
}

function pairsOf(kv: KvStore, facts: KvFacts): (readonly [string, string])[] {
  const { wasClosed, quarantined } = kv.recovery;
  const deletions = `${countOf(facts.deletions, 'deletion')} and ${countOf(facts.deletedRanges, 'deleted range')} among them`;
  return [
    ['tables', `${formatCount(facts.tables)}, ${formatSize(facts.size)}`],
    ...facts.levels
      .map(({ tableCount, size }, level) => ({ tableCount, size, level }))
      .filter(({ tableCount }) => tableCount > 0)
      .map(
        ({ tableCount, size, level }) =>
          [`  level ${level}`, `${formatCount(tableCount)}, ${formatSize(size)}`] as const,
      ),
    ['entries', `${formatCount(facts.entries)}, ${deletions}`],
    ['in memory', formatSize(facts.inMemory)],
    ['last version', `${facts.lastVersion}; up to ${facts.flushedVersion} in tables`],
    ...(facts.debt > 0 ? [['to be merged', `about ${formatSize(facts.debt)}`] as const] : []),
    ...(wasClosed ? [] : [['recovery', recoveryText(quarantined)] as const]),
  ];
}
