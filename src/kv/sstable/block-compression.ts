/** How the payload of a data block is stored in fewer bytes. */
import * as zlib from 'node:zlib';
import { decompressWhole } from '../../base/decompress.ts';
import { VarveError } from '../../base/errors.ts';
import type { TableSettings } from './table-settings.ts';
import { CompressionTag } from './format.ts';

/** What a newer Node's zlib has and the types of Node 20 don't know. */
interface ZstdFunctions {
  readonly zstdCompressSync?: (plain: Uint8Array) => Uint8Array;
  readonly zstdDecompressSync?: unknown;
}

const zstd = zlib as unknown as ZstdFunctions;

/** Undefined for 'none'. Throws `INVALID_ARGUMENT` for what this process does not have. */
export function compressorOf(
  compression: TableSettings['compression'],
): ((plain: Uint8Array) => Uint8Array) | undefined {
  if (compression === 'none') {
    return undefined;
  }
  if (compression === 'deflate') {
    return (plain) => zlib.deflateRawSync(plain);
  }
  if (compression === 'zstd' && zstd.zstdCompressSync !== undefined) {
    return zstd.zstdCompressSync;
  }
  throw new VarveError(
    'INVALID_ARGUMENT',
    `This Node.js has no compression ${JSON.stringify(compression)}: choose 'deflate' or 'none'.`,
  );
}

/**
 * The plain bytes in a buffer of their own, or the reason why there are none: never more than `plainSize` are produced,
 * never fewer accepted. Throws `UNSUPPORTED_FORMAT` for a compression that this process does not have.
 */
export function decompress(
  tag: number,
  stored: Uint8Array,
  plainSize: number,
): Uint8Array | { readonly reason: string; readonly cause?: unknown } {
  const inflate = decompressorOf(tag);
  let plain: Uint8Array;
  try {
    plain = decompressWhole(inflate, stored, plainSize);
  } catch (error) {
    return { reason: 'a block cannot be decompressed', cause: error };
  }
  if (plain.length !== plainSize) {
    return { reason: `a block of ${plainSize} bytes decompresses to ${plain.length}` };
  }
  // zlib's result may be a view of a larger buffer, which a cache would keep and not count.
  return new Uint8Array(plain);
}

function decompressorOf(tag: number): unknown {
  if (tag === CompressionTag.deflate) {
    return zlib.inflateRawSync;
  }
  if (tag === CompressionTag.zstd && zstd.zstdDecompressSync !== undefined) {
    return zstd.zstdDecompressSync;
  }
  throw new VarveError(
    'UNSUPPORTED_FORMAT',
    `A table is stored with compression ${tag}, which this process does not have: use a newer Node.js.`,
    { details: { compression: tag } },
  );
}
