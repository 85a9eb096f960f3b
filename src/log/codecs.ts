import { types } from 'node:util';
import * as zlib from 'node:zlib';
import { decompressWhole } from '../base/decompress.ts';
import { VarveError } from '../base/errors.ts';

/** A way to store payloads in fewer bytes. */
export interface Codec {
  /** Persisted with each event: 1 to 63 are Varve's own, 64 to 255 are yours. Never reuse one for another encoding. */
  readonly id: number;
  readonly name: string;
  compress(plain: Uint8Array): Uint8Array;
  /** Must return exactly the bytes that were compressed; `plainSize` is how many they were. */
  decompress(stored: Uint8Array, plainSize: number): Uint8Array;
}

// Format: persisted; never renumber.
const CodecId = { none: 0, deflate: 1, zstd: 2 } as const;
const OWN_ID_MAX = 63;

const deflate: Codec = {
  id: CodecId.deflate,
  name: 'deflate',
  compress: (plain) => zlib.deflateRawSync(plain),
  decompress: (stored, plainSize) => decompressWhole(zlib.inflateRawSync, stored, plainSize),
};

/** What a newer Node's zlib has and the types of Node 20 don't know. */
interface ZstdFunctions {
  readonly zstdCompressSync?: (plain: Uint8Array) => Buffer;
  readonly zstdDecompressSync?: unknown;
}

function findZstd(): Codec | undefined {
  const { zstdCompressSync, zstdDecompressSync } = zlib as unknown as ZstdFunctions;
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) {
    return undefined;
  }
  return {
    id: CodecId.zstd,
    name: 'zstd',
    compress: (plain) => zstdCompressSync(plain),
    decompress: (stored, plainSize) => decompressWhole(zstdDecompressSync, stored, plainSize),
  };
}

/** From JavaScript anything can come. */
function checkShape(codec: Partial<Codec> | null | undefined): void {
  const given = typeof codec === 'object' && codec !== null ? codec : {};
  const isCodec =
    typeof given.name === 'string' &&
    given.name !== '' &&
    typeof given.compress === 'function' &&
    typeof given.decompress === 'function';
  if (!isCodec) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'A codec must be an object { id, name, compress, decompress }.',
    );
  }
}

/** The codecs that this process can use, by number and by name. */
export class CodecRegistry {
  readonly #byId = new Map<number, Codec>();
  readonly #byName = new Map<string, Codec>();

  constructor(others: readonly Codec[] = []) {
    this.#add(deflate);
    const zstd = findZstd();
    if (zstd !== undefined) {
      this.#add(zstd);
    }
    if (!Array.isArray(others)) {
      throw new VarveError('INVALID_ARGUMENT', 'The component codecs must be an array of codecs.');
    }
    for (const codec of others as readonly Codec[]) {
      checkShape(codec);
      if (!Number.isInteger(codec.id) || codec.id <= OWN_ID_MAX || codec.id > 255) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          `Codec ${JSON.stringify(codec.name)} has the id ${codec.id}: use a whole number from ${OWN_ID_MAX + 1} to 255.`,
        );
      }
      if (this.#byId.has(codec.id) || this.#byName.has(codec.name) || codec.name === 'none') {
        throw new VarveError(
          'INVALID_ARGUMENT',
          `Codec ${JSON.stringify(codec.name)} has an id or a name that another codec has.`,
        );
      }
      this.#add(codec);
    }
  }

  /** The codec of that name, or undefined for 'none'. */
  named(name: string): Codec | undefined {
    if (name === 'none') {
      return undefined;
    }
    const codec = this.#byName.get(name);
    if (codec === undefined) {
      const known = ['none', ...this.#byName.keys()].join(', ');
      throw new VarveError(
        'INVALID_ARGUMENT',
        `There is no codec ${JSON.stringify(name)} here; there are: ${known}.`,
      );
    }
    return codec;
  }

  /**
   * The plain bytes of a stored payload. Never more than `plainSize` are produced.
   * Throws `UNSUPPORTED_FORMAT` for a codec that isn't there, `CORRUPT` if the bytes are not what was stored.
   */
  decode(codecId: number, stored: Uint8Array, plainSize: number): Uint8Array {
    if (codecId === CodecId.none) {
      return stored;
    }
    const codec = this.#byId.get(codecId);
    if (codec === undefined) {
      throw new VarveError(
        'UNSUPPORTED_FORMAT',
        `An event is stored with codec ${codecId}, which this process does not have: use a newer Node.js or register it.`,
        { details: { codec: codecId } },
      );
    }
    let plain: Uint8Array;
    try {
      // A copy: a codec of the caller's may write to what it is given, which may be on its way to the disk.
      const given = codec.id > OWN_ID_MAX ? Uint8Array.from(stored) : stored;
      plain = codec.decompress(given, plainSize);
    } catch (error) {
      throw new VarveError('CORRUPT', `A payload can't be decompressed with ${codec.name}.`, {
        cause: error,
        details: { codec: codecId },
      });
    }
    if (!types.isUint8Array(plain)) {
      throw new VarveError(
        'CORRUPT',
        `The codec ${codec.name} did not decompress a payload to a Uint8Array.`,
        { details: { codec: codecId } },
      );
    }
    if (plain.length !== plainSize) {
      throw new VarveError(
        'CORRUPT',
        `A payload decompressed with ${codec.name} has ${plain.length} bytes instead of ${plainSize}.`,
        { details: { codec: codecId } },
      );
    }
    return plain;
  }

  #add(codec: Codec): void {
    this.#byId.set(codec.id, codec);
    this.#byName.set(codec.name, codec);
  }
}
