/** How the fields of another program's lines become events. */
import type { CommandOption, GivenOptions } from './command.ts';

export interface LineMapping {
  /** The field that holds this part of an event, if it isn't the one of that name. */
  readonly sources: Readonly<Partial<Record<string, string>>>;
  readonly groupBy: string | undefined;
  readonly key: string | undefined;
  readonly ignored: ReadonlySet<string>;
  /** Every other field goes into `data`. */
  readonly restAsData: boolean;
  /** Whether anything is mapped at all, ignored fields aside. */
  readonly isGiven: boolean;
}

export const mappingOptions: Readonly<Record<string, CommandOption>> = {
  'group-by': {
    value: 'field',
    help: 'Lines one after the other with the same value become one commit, over one or more streams',
  },
  key: { value: 'field', help: "Idempotency key of the line's commit" },
  'occurred-at': {
    value: 'field',
    help: 'When it happened: ms since 1970, or a time like 2026-01-31T12:00:00Z',
  },
  stream: { value: 'field', help: 'Field that holds the stream (default: stream)' },
  type: { value: 'field', help: 'Field that holds the type (default: type)' },
  id: { value: 'field', help: 'Field that holds the unique id (default: id)' },
  ignore: { value: 'field', multiple: true, help: 'Drop this field' },
  'rest-as-data': { help: 'Put all other fields into data, for lines without data' },
};

export function mappingFrom(options: GivenOptions): LineMapping {
  const given = {
    stream: options.text('stream'),
    type: options.text('type'),
    id: options.text('id'),
    occurredAt: options.text('occurred-at'),
  };
  const sources = Object.fromEntries(
    Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const groupBy = options.text('group-by');
  const key = options.text('key');
  const restAsData = options.isOn('rest-as-data');
  const isGiven =
    Object.keys(sources).length > 0 || groupBy !== undefined || key !== undefined || restAsData;
  return { sources, groupBy, key, ignored: new Set(options.texts('ignore')), restAsData, isGiven };
}
