import { rebuildIndex } from '../index.ts';
import type { Command } from './command.ts';
import { indexPairs } from './derived-text.ts';
import { ExitCode } from './exit-code.ts';
import { Progress } from './progress.ts';
import { storeComponents } from './store-notes.ts';
import { alignPairs } from './text.ts';

export const indexRebuildCommand: Command = {
  name: 'index rebuild',
  summary: 'make derived data again from the log',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {},
  details: [
    'Verifies the log, removes what was derived from it and makes it again. If the log is damaged nothing is changed. Nothing in the log depends on derived data: stopped in between, the next open makes the rest.',
  ],
  examples: ['varve index rebuild ./my-store'],
  async run({ positionals, options, terminal, signal }) {
    const verifying = new Progress(terminal, 'verifying', 'MiB');
    const making = new Progress(terminal, 'indexing', 'events');
    try {
      const index = await rebuildIndex(
        positionals[0]!,
        {
          onProgress: ({ phase, done, total }) => {
            if (phase === 'verify') {
              verifying.update({ done, total, count: done / (1024 * 1024) });
            } else {
              verifying.end();
              making.update({ done, total, count: done });
            }
          },
          signal,
        },
        storeComponents(terminal),
      );
      verifying.end();
      making.end();
      if (options.isOn('json')) {
        await terminal.json(index);
        return ExitCode.ok;
      }
      for (const line of alignPairs(indexPairs(index))) {
        await terminal.line(line);
      }
      return ExitCode.ok;
    } finally {
      verifying.end();
      making.end();
    }
  },
};
