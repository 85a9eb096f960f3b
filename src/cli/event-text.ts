/** Events as people read them. */
import type { StoredEvent } from '../index.ts';
import type { Terminal } from './terminal.ts';
import { countOf, fit, formatTime, printable } from './text.ts';

const TYPE_WIDTH = 14;

/** One line, cut to the terminal. `positionWidth` keeps the columns of many lines aligned. */
export function eventLine(event: StoredEvent, positionWidth: number, terminal: Terminal): string {
  const { style, width } = { style: terminal.style.bind(terminal), width: terminal.width };
  const position = String(event.position).padStart(positionWidth);
  const when = formatTime(event.occurredAt ?? event.time);
  const type = printable(event.type).padEnd(TYPE_WIDTH);
  const where = `${printable(event.stream)}@${event.revision}`;
  const head = `${position}  ${when}  ${type}  `;
  const place = fit(where, width === undefined ? undefined : Math.max(width - head.length, 10));
  const room = width === undefined ? undefined : width - head.length - place.length - 2;
  const content = room !== undefined && room < 4 ? '' : fit(contentOf(event), room);
  return `${style('dim', `${position}  ${when}`)}  ${style('bold', type)}  ${place}${content === '' ? '' : style('dim', `  ${content}`)}`;
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
