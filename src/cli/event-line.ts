/**
 * An event as a line of NDJSON: what `read --json` and `export` write and `import` takes back.
 *
 *   {"position":7,"stream":"orders/42","revision":0,"id":"…","type":"OrderPlaced","time":1767225600000,
 *    "commit":{"index":0,"count":2},"idempotencyKey":"req-8f1c","tags":["customer:7"],"data":{"total":42}}
 *
 * `dataBase64` stands instead of `data` where the data are bytes; neither stands where there are none. What an event hasn't
 * got is left out. `position`, `revision` and `time` are the store's own: an import makes them anew, and into an empty
 * store the first two come out the same.
 */
import type { NewEvent, StoredEvent } from '../index.ts';
import { onlyGiven } from './only-given.ts';
import { noTime, parseEventTime } from './event-time.ts';
import { parseExactJson } from './exact-json.ts';
import type { LineMapping } from './line-mapping.ts';
import type { Line } from './line-reader.ts';
import { LineProblem } from './line-problem.ts';
import { TextProblem } from './text-problem.ts';

export interface ParsedLine {
  readonly number: number;
  readonly size: number;
  readonly stream: string;
  readonly event: NewEvent;
  readonly key: string | undefined;
  /** Of the key. */
  readonly scope: string | undefined;
  /** Lines one after the other with the same value are one commit; undefined: this line alone is one. */
  readonly group: string | undefined;
  /** In lines that `export` wrote: its commit. */
  readonly commit: { readonly index: number; readonly count: number } | undefined;
  readonly isErased: boolean;
}

export function encodeEventLine(event: StoredEvent): string {
  const { position, stream, revision, id, type, time, occurredAt, data, tags } = event;
  return JSON.stringify({
    position,
    stream,
    revision,
    id,
    type,
    time,
    occurredAt,
    correlationId: event.correlationId,
    causationId: event.causationId,
    commit: event.commit,
    idempotencyKey: event.idempotencyKey,
    idempotencyScope: event.idempotencyScope,
    tags: tags.length === 0 ? undefined : tags,
    ...(data instanceof Uint8Array
      ? { dataBase64: Buffer.from(data.buffer, data.byteOffset, data.length).toString('base64') }
      : { data }),
    metadata: event.metadata,
    isErased: event.isErased,
  } satisfies Record<Exclude<keyof StoredEvent, 'data'>, unknown>);
}

/** Fields that an event may have in a line, whoever wrote it. */
const eventFields = [
  'stream',
  'type',
  'id',
  'data',
  'dataBase64',
  'metadata',
  'tags',
  'correlationId',
  'causationId',
  'occurredAt',
  'idempotencyKey',
  'idempotencyScope',
] as const satisfies readonly (
  | keyof NewEvent
  | 'stream'
  | 'dataBase64'
  | 'idempotencyKey'
  | 'idempotencyScope'
)[];
type EventField = (typeof eventFields)[number];

const exportedFields: ReadonlySet<string> = new Set([
  ...eventFields,
  'position',
  'revision',
  'time',
  'commit',
  'isErased',
]);

type Fields = Readonly<Record<string, unknown>>;

/** Throws `LineProblem`. */
export function parseEventLine(line: Line, mapping: LineMapping): ParsedLine {
  const fields = parseFields(line);
  const commit = commitOf(fields);
  const reader = new FieldReader(line.number, fields, mapping);
  if (commit === undefined) {
    reader.rejectUnknown();
  } else {
    reader.rejectUnexported();
  }
  const key = commit === undefined ? reader.key() : reader.text('idempotencyKey');
  return {
    number: line.number,
    size: line.size,
    stream: reader.requiredText('stream'),
    event: eventOf(reader),
    key,
    scope: reader.scopeOf(key),
    group: mapping.groupBy === undefined ? undefined : reader.label(mapping.groupBy),
    commit,
    isErased: commit !== undefined && fields['isErased'] === true,
  };
}

function parseFields(line: Line): Fields {
  let parsed: unknown;
  try {
    parsed = parseExactJson(line.text);
  } catch (error) {
    throw asLineProblem(error, line.number, 'the line');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new LineProblem(line.number, 'the line is not a JSON object');
  }
  return parsed as Fields;
}

function asLineProblem(error: unknown, line: number, what: string): Error {
  return error instanceof TextProblem
    ? new LineProblem(line, `${what} ${error.message}`, { cause: error })
    : (error as Error);
}

/** The commit of a line that `export` wrote; undefined for a line of another make. */
function commitOf(fields: Fields): { index: number; count: number } | undefined {
  const { commit, position } = fields;
  if (typeof commit !== 'object' || commit === null || typeof position !== 'number') {
    return undefined;
  }
  const { index, count } = commit as Fields;
  return typeof index === 'number' && typeof count === 'number' ? { index, count } : undefined;
}

function eventOf(reader: FieldReader): NewEvent {
  const id = reader.text('id');
  const correlationId = reader.text('correlationId');
  const causationId = reader.text('causationId');
  const occurredAt = reader.time();
  const tags = reader.tags();
  const data = reader.data();
  const metadata = reader.value('metadata');
  const optional = { data, metadata, tags, id, correlationId, causationId, occurredAt };
  return {
    type: reader.requiredText('type'),
    ...onlyGiven(optional satisfies Record<Exclude<keyof NewEvent, 'type'>, unknown>),
  };
}

/** Reads an event's fields from where the mapping says they are. */
class FieldReader {
  readonly #line: number;
  readonly #fields: Fields;
  readonly #mapping: LineMapping;

  constructor(line: number, fields: Fields, mapping: LineMapping) {
    this.#line = line;
    this.#fields = fields;
    this.#mapping = mapping;
  }

  rejectUnknown(): void {
    if (this.#mapping.restAsData) {
      this.#rejectOwnData();
      return;
    }
    const unknown = this.#rest();
    if (unknown.length > 0) {
      const names = unknown.map((name) => JSON.stringify(name)).join(', ');
      throw this.#problem(
        `there is no place in an event for ${names}`,
        unknownFieldAdvice(unknown),
      );
    }
  }

  rejectUnexported(): void {
    if (this.#mapping.isGiven) {
      throw this.#problem(
        'the line was written by varve export and brings its own commits, keys and times',
        'Leave out the options that map fields.',
      );
    }
    const { ignored } = this.#mapping;
    const unknown = Object.keys(this.#fields).filter(
      (name) => !exportedFields.has(name) && !ignored.has(name),
    );
    if (unknown.length > 0) {
      throw this.#problem(`varve export writes no field ${JSON.stringify(unknown[0])}`);
    }
    if (this.#fields['id'] === undefined) {
      throw this.#problem('the line has no id, and varve export always writes one');
    }
  }

  /** Undefined if it isn't there, or null. */
  text(field: EventField): string | undefined {
    const name = this.#sourceOf(field);
    const value = this.#valueOf(name);
    if (value !== undefined && typeof value !== 'string') {
      throw this.#problem(`${JSON.stringify(name)} is not a string`);
    }
    return value;
  }

  requiredText(field: 'stream' | 'type'): string {
    const value = this.text(field);
    if (value === undefined) {
      const name = this.#sourceOf(field);
      throw this.#problem(
        `the line has no ${JSON.stringify(name)}`,
        name === field ? `--${field} <field> names the field that holds the ${field}.` : undefined,
      );
    }
    return value;
  }

  value(field: EventField): unknown {
    return this.#fields[field];
  }

  /** A field that tells commits apart: text or a whole number. */
  label(name: string): string | undefined {
    const value = this.#valueOf(name);
    if (typeof value === 'number' && Number.isSafeInteger(value)) {
      return String(value);
    }
    if (value !== undefined && typeof value !== 'string') {
      throw this.#problem(`${JSON.stringify(name)} is neither a string nor a whole number`);
    }
    return value;
  }

  key(): string | undefined {
    const { key } = this.#mapping;
    if (key === undefined) {
      return this.text('idempotencyKey');
    }
    const value = this.label(key);
    if (value === undefined) {
      throw this.#problem(`the line has no ${JSON.stringify(key)}, which --key names`);
    }
    return value;
  }

  scopeOf(key: string | undefined): string | undefined {
    const scope = this.text('idempotencyScope');
    if (scope !== undefined && key === undefined) {
      throw this.#problem('the line has "idempotencyScope" and no key, which it would be of');
    }
    return scope;
  }

  time(): number | undefined {
    const name = this.#sourceOf('occurredAt');
    const value = this.#valueOf(name);
    if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value))) {
      return value;
    }
    try {
      if (typeof value !== 'string') {
        throw noTime(typeof value === 'object' ? 'an object' : JSON.stringify(value));
      }
      return parseEventTime(value);
    } catch (error) {
      throw asLineProblem(error, this.#line, JSON.stringify(name));
    }
  }

  tags(): readonly string[] | undefined {
    const value = this.#fields['tags'] ?? undefined;
    if (value !== undefined && !Array.isArray(value)) {
      throw this.#problem('"tags" is not an array');
    }
    return value;
  }

  data(): unknown {
    if (this.#mapping.restAsData) {
      return Object.fromEntries(this.#rest().map((name) => [name, this.#fields[name]]));
    }
    const { data, dataBase64 } = this.#fields;
    if (dataBase64 === undefined) {
      return data;
    }
    if (data !== undefined) {
      throw this.#problem('the line has both "data" and "dataBase64"');
    }
    const bytes = typeof dataBase64 === 'string' ? Buffer.from(dataBase64, 'base64') : undefined;
    if (bytes === undefined || bytes.toString('base64') !== dataBase64) {
      throw this.#problem('"dataBase64" is not Base64');
    }
    return new Uint8Array(bytes);
  }

  /** Fields that nothing reads. */
  #rest(): string[] {
    const { key, groupBy, ignored } = this.#mapping;
    const used = new Set<string | undefined>(eventFields.map((field) => this.#sourceOf(field)));
    return Object.keys(this.#fields).filter(
      (name) => !used.has(name) && name !== key && name !== groupBy && !ignored.has(name),
    );
  }

  #rejectOwnData(): void {
    for (const name of ['data', 'dataBase64']) {
      if (this.#fields[name] !== undefined) {
        throw this.#problem(
          `the line has ${JSON.stringify(name)}, so --rest-as-data has no place for the rest`,
        );
      }
    }
  }

  /** Undefined if the line has no field of this name of its own, or null. */
  #valueOf(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }

  #sourceOf(field: EventField): string {
    return this.#mapping.sources[field] ?? field;
  }

  #problem(reason: string, advice?: string): LineProblem {
    return new LineProblem(this.#line, reason, advice === undefined ? {} : { advice });
  }
}

function unknownFieldAdvice(names: readonly string[]): string {
  const ignore = names.map((name) => `--ignore ${name}`).join(' ');
  return (
    `Drop them with ${ignore}, keep them with --rest-as-data, or map one: --stream, --type, --id, ` +
    '--occurred-at, --key and --group-by each take the name of a field.'
  );
}
