import { audit, type AuditReport, type Finding, type StoreReport } from '../index.ts';
import type { Command } from './command.ts';
import { showDerived } from './derived-text.ts';
import { ExitCode } from './exit-code.ts';
import { Progress } from './progress.ts';
import type { Terminal } from './terminal.ts';
import { countOf, formatDuration, formatSize, printable } from './text.ts';

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'recompute every checksum, hash and link',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {
    payloads: { help: 'Also decompress and parse all data and metadata' },
  },
  details: [
    'Changes nothing. Compares the bytes of all data and metadata with their digests; with --payloads it decompresses and parses them, too. Goes on behind damage and reports all of it, with file, offset and position, also where opening the store is refused. Ends with 1 if there is damage; notices are about things that the next open makes up for. What was derived from the log is compared with it: if it is wrong, no event is lost, and only varve index verify ends with 1.',
  ],
  examples: [
    'varve verify ./my-store',
    'varve verify ./my-store --payloads',
    "varve verify ./my-store --json | jq '.findings[]'",
  ],
  async run({ positionals, options, terminal, signal }) {
    const progress = new Progress(terminal, 'verifying', 'MiB');
    let report: StoreReport;
    try {
      report = await audit(positionals[0]!, {
        payloads: options.isOn('payloads'),
        onProgress: ({ bytes, bytesTotal }) =>
          progress.update({ done: bytes, total: bytesTotal, count: bytes / (1024 * 1024) }),
        signal,
      });
    } finally {
      progress.end();
    }
    if (options.isOn('json')) {
      await terminal.json(report);
    } else {
      await showReport(report, terminal, progress.seconds);
    }
    return report.ok ? ExitCode.ok : ExitCode.damageFound;
  },
};

/** Below it a rate says nothing. */
const RATED_SIZE_MIN = 1024 * 1024;

async function showReport(report: StoreReport, terminal: Terminal, seconds: number): Promise<void> {
  const { events, commits, streams, segments, bytes, erased, findings, findingCount } = report;
  for (const finding of findings) {
    await showFinding(finding, terminal);
  }
  if (findingCount > findings.length) {
    await terminal.line(`and ${countOf(findingCount - findings.length, 'more finding')}`);
  }
  const verdict = report.ok
    ? terminal.style('green', 'The store is whole.')
    : terminal.style('red', 'The store is damaged.');
  await terminal.line(verdict);
  await terminal.line(
    `Checked ${countOf(events, 'event')} of ${countOf(commits, 'commit')} in ${countOf(streams, 'stream')}: ` +
      `${formatSize(bytes)} in ${countOf(segments, 'segment')}.`,
  );
  await terminal.line(payloadsLine(report));
  if (erased > 0) {
    await terminal.line(`${countOf(erased, 'payload')} erased: proved by digest alone.`);
  }
  if (bytes >= RATED_SIZE_MIN) {
    const rate = `${formatDuration(seconds)}, ${formatSize(bytes / seconds)}/s`;
    await terminal.line(terminal.style('dim', rate));
  }
  await showDerived(report.derived, terminal);
  if (!report.ok) {
    await terminal.flush();
    terminal.note('Nothing was changed. varve dump shows the files; a backup is the way back.');
  }
}

function payloadsLine({ payloads, unparsed }: AuditReport): string {
  if (payloads === 'hashed') {
    return 'Payloads were compared with their digests; --payloads decompresses and parses them, too.';
  }
  return unparsed === 0
    ? 'Payloads were compared with their digests, decompressed and parsed.'
    : `Payloads were compared with their digests, decompressed and parsed, but for ${unparsed} whose codec is not here.`;
}

async function showFinding(finding: Finding, terminal: Terminal): Promise<void> {
  const { severity, file, offset, position, stream, reason } = finding;
  const label = terminal.style(severity === 'damage' ? 'red' : 'yellow', severity);
  const place = [
    ...(offset === undefined ? [] : [`byte ${offset}`]),
    ...(position === undefined ? [] : [`position ${position}`]),
    ...(stream === undefined ? [] : [`stream ${stream}`]),
  ];
  await terminal.line(`${label}  ${printable(reason)}`);
  await terminal.line(`        ${printable([file, ...place].join(', '))}`);
}
