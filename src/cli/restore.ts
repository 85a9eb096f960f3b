import { restore } from '../index.ts';
import type { Command } from './command.ts';
import { ExitCode } from './exit-code.ts';
import { Progress } from './progress.ts';
import { countOf, formatSize, printable } from './text.ts';

export const restoreCommand: Command = {
  name: 'restore',
  summary: 'verify a backup and copy it to a new folder',
  usage: '<backup> <dir>',
  positionals: { min: 2, max: 2 },
  options: {
    'no-derived': { help: 'Leave derived data out: the first open makes it from the log' },
    payloads: { help: 'Also decompress and parse all data and metadata before' },
  },
  details: [
    'Recomputes every checksum, hash and link of the backup first. If it is damaged nothing is made. Every byte is copied, durably, never linked; derived data only if it agrees with the log. The backup is not changed.',
  ],
  examples: ['varve restore /mnt/backup/my-store ./my-store'],
  async run({ positionals, options, terminal, signal }) {
    const [backup, directory] = positionals as [string, string];
    const bars = {
      verify: new Progress(terminal, 'verifying', 'MiB'),
      copy: new Progress(terminal, 'copying', 'MiB'),
    };
    try {
      const result = await restore(backup, directory, {
        derived: !options.isOn('no-derived'),
        payloads: options.isOn('payloads'),
        onProgress: ({ phase, bytes, bytesTotal }) => {
          if (phase === 'copy') {
            bars.verify.end();
          }
          bars[phase].update({ done: bytes, total: bytesTotal, count: bytes / (1024 * 1024) });
        },
        signal,
      });
      bars.verify.end();
      bars.copy.end();
      const { id, events, segments, derived, bytes, report } = result;
      if (options.isOn('json')) {
        const { findings } = report;
        await terminal.json({ directory, id, events, segments, derived, bytes, findings });
        return ExitCode.ok;
      }
      await terminal.line(
        `restored  ${countOf(events, 'event')}, ${formatSize(bytes)} in ${countOf(segments, 'segment')}, to ${printable(directory)}`,
      );
      if (derived === undefined) {
        await terminal.line('Derived data was not copied: the first open makes it from the log.');
      }
      return ExitCode.ok;
    } finally {
      bars.verify.end();
      bars.copy.end();
    }
  },
};
