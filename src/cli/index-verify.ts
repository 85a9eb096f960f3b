import { audit, type StoreReport } from '../index.ts';
import type { Command } from './command.ts';
import { showDerived } from './derived-text.ts';
import { ExitCode } from './exit-code.ts';
import { Progress } from './progress.ts';

export const indexVerifyCommand: Command = {
  name: 'index verify',
  summary: 'compare derived data with the log',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {},
  details: [
    'Reads all tables and the whole log, and compares them in both directions: every key, id, stream and event that the log holds must be there, and nothing else. Changes nothing. Says which entries are wrong, and among which positions. Ends with 1 if something is wrong, or if the log is damaged.',
  ],
  examples: [
    'varve index verify ./my-store',
    "varve index verify ./my-store --json | jq '.problems[]'",
  ],
  async run({ positionals, options, terminal, signal }) {
    const progress = new Progress(terminal, 'verifying', 'MiB');
    let report: StoreReport;
    try {
      report = await audit(positionals[0]!, {
        onProgress: ({ bytes, bytesTotal }) =>
          progress.update({ done: bytes, total: bytesTotal, count: bytes / (1024 * 1024) }),
        signal,
      });
    } finally {
      progress.end();
    }
    const { derived } = report;
    if (options.isOn('json')) {
      await terminal.json({ logOk: report.ok, isThere: derived !== undefined, ...derived });
    } else {
      await showDerived(derived, terminal);
    }
    if (!report.ok) {
      await terminal.flush();
      terminal.note('The log is damaged: varve verify <dir> shows where.');
    }
    return report.ok && derived?.ok !== false ? ExitCode.ok : ExitCode.damageFound;
  },
};
