/** Input that may be gzip, as the bytes that it stands for. */
import { pipeline, Readable } from 'node:stream';
import { createGunzip, type Gunzip } from 'node:zlib';
import { TextProblem } from './text-problem.ts';

const GZIP_MAGIC = [0x1f, 0x8b];
const UNPACKED_SIZE = 64 * 1024;

/**
 * The same bytes, gunzipped if they begin as gzip does. Throws `TextProblem` if anything but zeros follows the compressed data:
 * Node would leave it out. `started` is called with the decompressor, if there is one.
 */
export async function* unpack(
  chunks: AsyncGenerator<Uint8Array, void, undefined>,
  started: (gunzip: Gunzip) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const start = await firstBytes(chunks, GZIP_MAGIC.length);
  const all = startingWith(start, chunks);
  if (!GZIP_MAGIC.every((byte, index) => start[index] === byte)) {
    yield* all;
    return;
  }
  const gunzip = createGunzip({ chunkSize: UNPACKED_SIZE });
  started(gunzip);
  const packed = new PackedBytes(all, gunzip);
  try {
    // A failure of either stream ends the reading of the last one with it.
    pipeline(Readable.from(packed.read(), { objectMode: false }), gunzip, () => {});
    yield* gunzip as AsyncIterable<Uint8Array>;
    await packed.rejectRest();
  } finally {
    // Not awaited: it may be waiting for bytes that nobody wants any more.
    all.return().catch(() => {});
  }
}

/** Remembers the bytes that have been handed to a decompressor, and which it may not have wanted. */
class PackedBytes {
  readonly #chunks: AsyncGenerator<Uint8Array, void, undefined>;
  readonly #gunzip: Gunzip;
  /** The last ones handed out, and where the first of them begins. */
  #recent: Uint8Array[] = [];
  #start = 0;

  constructor(chunks: AsyncGenerator<Uint8Array, void, undefined>, gunzip: Gunzip) {
    this.#chunks = chunks;
    this.#gunzip = gunzip;
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    // Not for await: that would end the source with the reader, and the rest has to be looked at.
    for (;;) {
      const next = await this.#chunks.next();
      if (next.done === true) {
        return;
      }
      this.#recent.push(next.value);
      this.#forgetUsed();
      yield next.value;
    }
  }

  /** To be called when the decompressor has ended. */
  async rejectRest(): Promise<void> {
    for await (const chunk of this.#chunks) {
      rejectOtherThanZeros(chunk);
    }
    // Order: now nothing is on its way to `read` any more, which may have been waiting for a chunk.
    this.#forgetUsed();
    let skipped = this.#gunzip.bytesWritten - this.#start;
    for (const chunk of this.#recent) {
      rejectOtherThanZeros(chunk.subarray(skipped));
      skipped = 0;
    }
  }

  #forgetUsed(): void {
    const used = this.#gunzip.bytesWritten;
    while (this.#recent.length > 0 && this.#start + this.#recent[0]!.length <= used) {
      this.#start += this.#recent.shift()!.length;
    }
  }
}

/** Zeros fill up the last block on some media. */
function rejectOtherThanZeros(bytes: Uint8Array): void {
  if (bytes.some((byte) => byte !== 0)) {
    throw new TextProblem('is followed by bytes that are not compressed');
  }
}

/** At least `size` bytes, unless there are fewer. */
async function firstBytes(
  chunks: AsyncGenerator<Uint8Array, void, undefined>,
  size: number,
): Promise<Uint8Array> {
  let start = Buffer.alloc(0);
  while (start.length < size) {
    const next = await chunks.next();
    if (next.done === true) {
      break;
    }
    start = Buffer.concat([start, next.value]);
  }
  return start;
}

async function* startingWith(
  start: Uint8Array,
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield start;
  yield* rest;
}
