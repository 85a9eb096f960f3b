import type { Command } from './command.ts';
import { indexPairs } from './derived-text.ts';
import { ExitCode } from './exit-code.ts';
import { withStore } from './open-existing.ts';
import { alignPairs } from './text.ts';

export const indexStatsCommand: Command = {
  name: 'index stats',
  summary: 'show how much derived data there is',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {},
  details: [
    'Derived data is what the store computes from its log to find streams, keys and ids. Opens the store for reading: what is not in tables yet is read from the log into memory.',
  ],
  examples: ['varve index stats ./my-store', 'varve index stats ./my-store --json | jq .covered'],
  async run({ positionals, options, terminal }) {
    return withStore(positionals[0]!, terminal, async (store) => {
      const { index } = store.stats();
      if (options.isOn('json')) {
        await terminal.json(index);
        return ExitCode.ok;
      }
      for (const line of alignPairs(indexPairs(index))) {
        await terminal.line(line);
      }
      return ExitCode.ok;
    });
  },
};
