import { createReadStream, statSync } from 'node:fs';
import { basename } from 'node:path';
import { addAbortSignal } from 'node:stream';
import type { Gunzip } from 'node:zlib';
import { CommandError } from './exit-code.ts';
import { unpack } from './unpack.ts';

/** What is read: a file or standard input, unpacked if it is gzip. */
export interface Input {
  /** As people know it. */
  readonly name: string;
  /** The same in every folder and packed or not; undefined for standard input, which has no name of its own. */
  readonly source: string | undefined;
  /** Bytes before unpacking; undefined if nobody knows. */
  readonly size: number | undefined;
  /** Bytes read so far, before unpacking. */
  readonly readSize: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

const READ_SIZE = 256 * 1024;

/** Throws `CommandError` if there is no such file. The signal ends the reading. */
export function openInput(path: string, signal: AbortSignal): Input {
  if (path === '-') {
    if (process.stdin.isTTY) {
      throw new CommandError('Standard input is a terminal: pipe the lines in.', {
        advice: 'For example: zcat events.ndjson.gz | varve import - ./my-store',
      });
    }
    const input = addAbortSignal(signal, process.stdin);
    return new StreamInput('standard input', undefined, undefined, input);
  }
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined || facts.isDirectory()) {
    throw new CommandError(
      facts === undefined ? `There is no file ${path}.` : `${path} is a folder.`,
      {
        advice: 'The first argument is the file to import, the second the folder of the store.',
      },
    );
  }
  const source = basename(path).replace(/\.gz$/, '');
  const size = facts.isFile() ? facts.size : undefined;
  return new StreamInput(
    path,
    source,
    size,
    createReadStream(path, { highWaterMark: READ_SIZE, signal }),
  );
}

class StreamInput implements Input {
  readonly name: string;
  readonly source: string | undefined;
  readonly size: number | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
  #readSize = 0;
  #gunzip: Gunzip | undefined;

  constructor(
    name: string,
    source: string | undefined,
    size: number | undefined,
    stream: AsyncIterable<Uint8Array>,
  ) {
    this.name = name;
    this.source = source;
    this.size = size;
    this.chunks = unpack(this.#counted(stream), (gunzip) => {
      this.#gunzip = gunzip;
    });
  }

  get readSize(): number {
    // What has been unpacked, not what waits for it.
    return this.#gunzip?.bytesWritten ?? this.#readSize;
  }

  async *#counted(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of stream) {
      this.#readSize += chunk.length;
      yield chunk;
    }
  }
}
