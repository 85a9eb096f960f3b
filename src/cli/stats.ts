import type { Command } from './command.ts';
import { indexPairs } from './derived-text.ts';
import { ExitCode } from './exit-code.ts';
import { withStore } from './open-existing.ts';
import { alignPairs, countOf, formatCount, formatSize, formatTime } from './text.ts';

export const statsCommand: Command = {
  name: 'stats',
  summary: 'show how much a store holds',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {},
  examples: ['varve stats ./my-store', 'varve stats ./my-store --json | jq .events'],
  async run({ positionals, options, terminal }) {
    const directory = positionals[0]!;
    return withStore(directory, terminal, async (store) => {
      const { streams, idempotencyKeys, suppliedIds, index } = store.stats();
      const segments = store.segments();
      const logSize = segments.reduce((sum, { size }) => sum + size, 0);
      const [first, last] = [await store.get(0), await store.get(Math.max(store.head - 1, 0))];
      const { wasClosed, quarantined } = store.recovery;
      if (options.isOn('json')) {
        await terminal.json({
          id: store.id,
          events: store.head,
          streams,
          segments: segments.length,
          logSize,
          idempotencyKeys,
          suppliedIds,
          firstTime: first?.time,
          lastTime: last?.time,
          index,
          recovery: { wasClosed, quarantined },
        });
        return ExitCode.ok;
      }
      const pairs: (readonly [string, string])[] = [
        ['store', store.id],
        ['events', formatCount(store.head)],
        ['streams', formatCount(streams)],
        ['log', `${formatSize(logSize)} in ${countOf(segments.length, 'segment')}`],
        ['keys', formatCount(idempotencyKeys)],
        ['supplied ids', formatCount(suppliedIds)],
        ...indexPairs(index),
      ];
      if (first !== undefined && last !== undefined) {
        pairs.push(['recorded', `${formatTime(first.time)} to ${formatTime(last.time)}`]);
      }
      if (!wasClosed) {
        pairs.push(['recovery', recoveryText(quarantined)]);
      }
      for (const line of alignPairs(pairs)) {
        await terminal.line(line);
      }
      return ExitCode.ok;
    });
  },
};

export function recoveryText(
  quarantined: { readonly size: number; readonly file: string } | undefined,
): string {
  return quarantined === undefined
    ? 'it had not been closed; nothing was torn'
    : `it had not been closed; ${formatSize(quarantined.size)} of a torn end are in ${quarantined.file}`;
}
