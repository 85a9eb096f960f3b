import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { dumpSegment, type DumpRow } from '../inspect.ts';
import type { Command } from './command.ts';
import { CommandError, ExitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';
import { countOf, fit, formatCount, printable } from './text.ts';

export const dumpCommand: Command = {
  name: 'dump',
  summary: 'show what stands in a segment file, damaged or not',
  usage: '<segment.seg|dir>',
  positionals: { min: 1, max: 1 },
  options: { frames: { help: 'Frames only, without the records in them' } },
  details: [
    'A line shows the offset in the file and what stands there: the header, frames (a frame is a commit) with their records, zeros kept ready for appends, and the footer of a full segment. Of a frame it shows how far the store was durable when it was written, and whether it follows the frame before it (link) and is as it was written (body). Where bytes are damaged it says which check fails and goes on with the next thing that can be recognized. It only reads, needs no lock, and judges nothing: varve verify does. Of a folder it shows all segments.',
  ],
  examples: [
    'varve dump ./my-store/log/00000000000000000000.seg | less',
    'varve dump ./my-store --frames',
    "varve dump ./my-store --json | jq 'select(.problems != [] and .problems)'",
  ],
  async run({ positionals, options, terminal, signal }) {
    const isJson = options.isOn('json');
    for (const path of segmentsOf(positionals[0]!)) {
      if (!isJson) {
        await terminal.line(terminal.style('bold', printable(path)));
      }
      for (const row of dumpSegment(path)) {
        signal.throwIfAborted();
        if (options.isOn('frames') && row.kind === 'record') {
          continue;
        }
        await terminal.line(
          isJson ? JSON.stringify({ file: path, ...row }) : rowLine(row, terminal),
        );
      }
    }
    return ExitCode.ok;
  },
};

/** The file itself, or the segments of a store's folder or of its log. */
function segmentsOf(path: string): string[] {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) {
    throw new CommandError(`There is no file or folder ${path}.`);
  }
  if (!facts.isDirectory()) {
    return [path];
  }
  for (const folder of [join(path, 'log'), path]) {
    const isThere = statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
    const names = isThere ? readdirSync(folder).filter((name) => name.endsWith('.seg')) : [];
    if (names.length > 0) {
      return names.sort().map((name) => join(folder, name));
    }
  }
  throw new CommandError(`There is no segment in ${path}.`, {
    advice: 'Name a store, or a file such as ./my-store/log/00000000000000000000.seg.',
  });
}

const OFFSET_WIDTH = 10;

function rowLine(row: DumpRow, terminal: Terminal): string {
  const offset = String(row.offset).padStart(OFFSET_WIDTH);
  const problems = 'problems' in row ? row.problems : [];
  const [kind, ...facts] = factsOf(row);
  const text = [kind!.padEnd(row.kind === 'record' ? 0 : 8), ...facts].join('  ');
  const mark = problems.length === 0 ? '' : `!! ${problems.join('; ')}`;
  if (mark !== '') {
    return `${terminal.style('dim', offset)}  ${terminal.style('red', printable(text.trimEnd()))}\n${' '.repeat(OFFSET_WIDTH + 4)}${terminal.style('red', printable(mark))}`;
  }
  const room = terminal.width === undefined ? undefined : terminal.width - OFFSET_WIDTH - 2;
  return `${terminal.style('dim', offset)}  ${fit(printable(text), room)}`;
}

function factsOf(row: DumpRow): string[] {
  switch (row.kind) {
    case 'header':
      return headerFacts(row);
    case 'frame':
      return frameFacts(row);
    case 'record':
      return recordFacts(row);
    case 'footer':
      return footerFacts(row);
    case 'damage':
    case 'zeros':
    default:
      return [row.kind, countOf(row.size, 'byte')];
  }
}

type RowOf<Kind> = Extract<DumpRow, { readonly kind: Kind }>;

function headerFacts({ store, index, firstPosition, fileSize }: RowOf<'header'>): string[] {
  const place = store === undefined ? [] : [`segment ${index}`, `from position ${firstPosition}`];
  return ['header', ...place, `file of ${countOf(fileSize, 'byte')}`];
}

function frameFacts(row: RowOf<'frame'>): string[] {
  const { firstPosition, count, size, durable, isLinked, isIntact } = row;
  const link = isLinked === undefined ? 'unknown' : isLinked ? 'ok' : 'broken';
  return [
    'frame',
    count === 1
      ? `position ${firstPosition}`
      : `positions ${firstPosition}-${firstPosition + count - 1}`,
    `${formatCount(size)} B`,
    `durable ${durable}`,
    `link ${link}`,
    `body ${isIntact ? 'ok' : 'damaged'}`,
  ];
}

function recordFacts(row: RowOf<'record'>): string[] {
  const { position, stream, revision, type, isErased, content, preview } = row;
  const { idempotencyKey, idempotencyScope } = row;
  const size = `${content}, ${formatCount(row.payloadSize)} B`;
  return [
    `  ${position}`,
    `${stream}@${revision}`,
    type,
    ...(idempotencyKey === undefined ? [] : [`key ${idempotencyKey}`]),
    ...(idempotencyScope === undefined ? [] : [`scope ${idempotencyScope}`]),
    isErased === true ? 'erased' : (preview ?? size),
  ];
}

function footerFacts({ count, frameCount }: RowOf<'footer'>): string[] {
  const counts =
    count === undefined ? [] : [countOf(count, 'event'), countOf(frameCount ?? 0, 'frame')];
  return ['footer', ...counts];
}
