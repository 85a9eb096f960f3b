/** Events as people read them. */
import type { StoredEvent } from '../index.ts';
import type { Terminal } from './terminal.ts';
import { countOf, fit, formatTime, printable } from './text.ts';

const TYPE_WIDTH = 14;

/** How many events are shown as lines. */
export interface LineLayout {
  /** Keeps the columns of many lines aligned. */
  readonly positionWidth: number;
  /** Width of `@revision` if all are of one stream, whose name is left out. */
  readonly revisionWidth: number | undefined;
}

/** One line, cut to the terminal. */
export function eventLine(event: StoredEvent, layout: LineLayout, terminal: Terminal): string {
  const { width } = terminal;
  const position = String(event.position).padStart(layout.positionWidth);
  const start = `${position}  ${formatTime(event.occurredAt ?? event.time)}`;
  const type = printable(event.type).padEnd(TYPE_WIDTH);
  const revision = `@${event.revision}`;
  const place =
    layout.revisionWidth === undefined
      ? fit(
          printable(event.stream) + revision,
          width === undefined ? undefined : Math.max(width - start.length - type.length - 4, 10),
        )
      : revision.padStart(layout.revisionWidth);
  const used = start.length + type.length + place.length + 6;
  const content =
    width !== undefined && width - used < 4
      ? ''
      : fit(contentOf(event), width === undefined ? undefined : width - used);
  const dim = (text: string): string => terminal.style('dim', text);
  const middle =
    layout.revisionWidth === undefined
      ? `${terminal.style('bold', type)}  ${place}`
      : `${place}  ${terminal.style('bold', type)}`;
  return `${dim(start)}  ${middle}${content === '' ? '' : `  ${dim(content)}`}`;
}

function contentOf({ data, isErased }: StoredEvent): string {
  if (isErased === true) {
    return '(erased)';
  }
  if (data instanceof Uint8Array) {
    return `(${countOf(data.length, 'byte')})`;
  }
  return data === undefined ? '' : printable(JSON.stringify(data));
}

/** Everything about one event, as names and values. */
export function eventPairs(event: StoredEvent): (readonly [string, string])[] {
  const { commit, occurredAt, data, metadata } = event;
  const pairs: (readonly [string, string | undefined])[] = [
    ['position', String(event.position)],
    ['stream', event.stream],
    ['revision', String(event.revision)],
    ['type', event.type],
    ['id', event.id],
    ['recorded', formatTime(event.time)],
    ['occurred', occurredAt === undefined ? undefined : formatTime(occurredAt)],
    ['commit', commit.count === 1 ? undefined : `event ${commit.index + 1} of ${commit.count}`],
    ['key', event.idempotencyKey],
    ['scope', event.idempotencyScope],
    ['correlation', event.correlationId],
    ['causation', event.causationId],
    ['tags', event.tags.length === 0 ? undefined : event.tags.join(', ')],
    ['metadata', metadata === undefined ? undefined : JSON.stringify(metadata)],
    ['data', data === undefined && event.isErased !== true ? undefined : dataText(event)],
  ];
  return pairs
    .filter((pair): pair is readonly [string, string] => pair[1] !== undefined)
    .map(([name, value]) => [name, printable(value)]);
}

function dataText(event: StoredEvent): string {
  const { data } = event;
  return data instanceof Uint8Array
    ? `${countOf(data.length, 'byte')}: ${Buffer.from(data).toString('base64')}`
    : contentOf(event);
}
