import { readFileSync } from 'node:fs';
import { type ExpectedRevision, type NewEvent, open } from '../index.ts';
import { type Command, type GivenOptions, parseWholeNumber } from './command.ts';
import { noTime, parseEventTime } from './event-time.ts';
import { parseExactJson } from './exact-json.ts';
import { decodeText } from './exact-text.ts';
import { CommandError, ExitCode } from './exit-code.ts';
import { onlyGiven } from './only-given.ts';
import { storeComponents } from './store-notes.ts';
import { TextProblem } from './text-problem.ts';

export const appendCommand: Command = {
  name: 'append',
  summary: 'append one event to a stream',
  usage: '<dir> <stream>',
  positionals: { min: 2, max: 2 },
  options: {
    type: { value: 'name', help: 'What happened; required' },
    data: {
      value: 'json|@file|-',
      help: 'JSON, or the file that holds it, or - for standard input',
    },
    bytes: { help: 'Take the content of --data @file or --data - as bytes, not as JSON' },
    metadata: { value: 'json|@file', help: 'JSON beside the data' },
    tag: { value: 'tag', multiple: true, help: 'A tag' },
    id: { value: 'id', help: 'Unique id; made by the store if left out' },
    key: { value: 'key', help: 'Idempotency key: a repeat with the same key appends nothing' },
    scope: {
      value: 'scope',
      help: 'Whose key it is, such as a tenant: in another scope the same key is another',
    },
    'expected-revision': {
      value: 'n|none|exists',
      help: "Only if this is the revision of the stream's last event",
    },
    'correlation-id': { value: 'id', help: 'What it belongs to' },
    'causation-id': { value: 'id', help: 'What caused it' },
    'occurred-at': {
      value: 'time',
      help: 'When it happened: ms since 1970, or like 2026-01-31T12:00:00Z',
    },
  },
  details: [
    'Makes the store if there is none. When it ends with 0 the event survives a power cut.',
    "Refuses what it would have to change: numbers that JavaScript can't hold exactly, repeated keys, bytes that are not UTF-8, times that don't exist.",
  ],
  examples: [
    'varve append ./my-store orders/42 --type OrderPlaced --data \'{"total":42}\'',
    'varve append ./my-store orders/42 --type OrderPaid --expected-revision 0 \\',
    '    --key payment-8f1c --scope shop-3 --tag customer:7',
    'varve append ./my-store photos/7 --type PhotoTaken --data @photo.jpg --bytes',
  ],
  async run({ positionals, options, terminal }) {
    const [directory, stream] = positionals as [string, string];
    const event = eventFrom(options);
    if (options.has('scope') && !options.has('key')) {
      throw new CommandError('--scope says whose --key it is, and there is no --key.');
    }
    const expectedRevision = expectedFrom(options.text('expected-revision'));
    const store = await open(directory, {}, storeComponents(terminal));
    try {
      const result = await store.append(stream, [event], {
        expectedRevision,
        ...onlyGiven({
          idempotencyKey: options.text('key'),
          idempotencyScope: options.text('scope'),
        }),
      });
      const { outcome, revision, firstPosition } = result;
      if (options.isOn('json')) {
        await terminal.json(result);
      } else {
        const what = outcome === 'appended' ? 'appended' : 'there already';
        await terminal.line(
          `${terminal.style('bold', what)}  ${stream}@${revision}  at position ${firstPosition}`,
        );
      }
      return ExitCode.ok;
    } finally {
      await store.close();
    }
  },
};

function eventFrom(options: GivenOptions): NewEvent {
  const type = options.text('type');
  if (type === undefined) {
    throw new CommandError('An event needs --type: what happened, such as OrderPlaced.', {
      advice: 'See: varve append --help',
    });
  }
  const data = options.text('data');
  const metadata = options.text('metadata');
  const tags = options.texts('tag');
  const occurredAt = options.text('occurred-at');
  if (data === undefined && options.isOn('bytes')) {
    throw new CommandError('--bytes says what --data is, and there is no --data.');
  }
  return {
    type,
    ...onlyGiven({
      data: data === undefined ? undefined : dataFrom(data, options.isOn('bytes')),
      metadata: metadata === undefined ? undefined : parseJson(contentOf(metadata), '--metadata'),
      tags: tags.length === 0 ? undefined : tags,
      id: options.text('id'),
      correlationId: options.text('correlation-id'),
      causationId: options.text('causation-id'),
      occurredAt: occurredAt === undefined ? undefined : timeFrom(occurredAt),
    }),
  };
}

function dataFrom(given: string, isBytes: boolean): unknown {
  const content = contentOf(given);
  if (!isBytes) {
    return parseJson(content, '--data');
  }
  if (typeof content === 'string') {
    throw new CommandError('--bytes takes the data from --data @file or --data -.');
  }
  return new Uint8Array(content);
}

/** Text given in place, or the bytes of the file or of standard input that it names. */
function contentOf(given: string): string | Buffer {
  if (given === '-') {
    return readFileSync(0);
  }
  return given.startsWith('@') ? readFileSync(given.slice(1)) : given;
}

function parseJson(content: string | Buffer, what: string): unknown {
  try {
    return parseExactJson(typeof content === 'string' ? content : decodeText(content));
  } catch (error) {
    throw asCommandError(error, what, {
      advice: `Text needs quotes of its own: ${what} '"like this"'. A file is named with @: ${what} @file.json`,
    });
  }
}

/** The advice is for what isn't of the right form at all. */
function asCommandError(
  error: unknown,
  what: string,
  { advice }: { readonly advice?: string } = {},
): Error {
  return error instanceof TextProblem
    ? new CommandError(`${what} ${error.message}.`, {
        advice: error.isForm ? advice : undefined,
        cause: error,
      })
    : (error as Error);
}

function expectedFrom(given: string | undefined): ExpectedRevision {
  if (given === undefined || given === 'any' || given === 'none' || given === 'exists') {
    return given ?? 'any';
  }
  return parseWholeNumber(given, '--expected-revision');
}

function timeFrom(given: string): number {
  if (/^-?\d+$/.test(given)) {
    const ms = Number(given);
    if (!Number.isSafeInteger(ms)) {
      throw asCommandError(noTime(given), '--occurred-at');
    }
    return ms;
  }
  try {
    return parseEventTime(given);
  } catch (error) {
    throw asCommandError(error, '--occurred-at');
  }
}
