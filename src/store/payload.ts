/** An event's data and metadata as they are stored. The caller's toJSON and getters run here. */
// Imported, not the global of that name: that one is an accessor, looked up and called each time.
import { Buffer } from 'node:buffer';
import { types } from 'node:util';
import { VarveError } from '../base/errors.ts';
import { jsonTextOf } from '../base/json-text.ts';
import { limits } from '../base/limits.ts';
import type { Codec } from '../log/codecs.ts';
import { ContentType } from '../log/format.ts';
import type { FieldsOf, RecordContent } from '../log/record-fields.ts';

export interface PayloadSettings {
  readonly codec: Codec | undefined;
  readonly compressionMinBytes: number;
}

type PayloadFields = Pick<RecordContent, FieldsOf<'payload'>>;

/** The part of a record's content that is about its payload. */
export type PayloadTarget = { -readonly [Field in keyof PayloadFields]: PayloadFields[Field] } & {
  payload: (string | Uint8Array)[];
};

/** Fills in what the record's content says of its payload. */
export function preparePayload(
  target: PayloadTarget,
  data: unknown,
  metadata: unknown,
  settings: PayloadSettings,
): void {
  let contentType: number = ContentType.none;
  let piece: string | Uint8Array = '';
  let plainSize = 0;
  if (typeof data === 'object' && types.isUint8Array(data)) {
    contentType = ContentType.bytes;
    // A copy: the caller's code that still runs may change, shrink or detach it.
    piece = Buffer.from(data);
    plainSize = piece.length;
  } else if (data !== undefined) {
    contentType = ContentType.json;
    piece = toJson('data', data);
    plainSize = Buffer.byteLength(piece, 'utf8');
  }
  let metadataSize = 0;
  if (metadata === undefined && target.payload.length === 1) {
    target.payload[0] = piece;
  } else {
    target.payload = [piece];
  }
  if (metadata !== undefined) {
    const text = toJson('metadata', metadata);
    target.payload.push(text);
    metadataSize = Buffer.byteLength(text, 'utf8');
    plainSize += metadataSize;
  }
  if (plainSize > limits.plainSizeMax) {
    throw new VarveError(
      'LIMIT_EXCEEDED',
      `An event's data and metadata take ${plainSize} bytes; at most ${limits.plainSizeMax} are possible.`,
    );
  }
  target.contentType = contentType;
  target.codec = 0;
  target.plainSize = plainSize;
  target.metadataSize = metadataSize;
  target.payloadSize = plainSize;
  const { codec, compressionMinBytes } = settings;
  if (codec !== undefined && plainSize >= compressionMinBytes && plainSize > 0) {
    compressPayload(target, codec);
  }
}

/** The pieces of a payload in one. */
export function joinBytes(pieces: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(pieces.map((one) => (typeof one === 'string' ? Buffer.from(one) : one)));
}

function compressPayload(target: PayloadTarget, codec: Codec): void {
  const compressed = compress(codec, joinBytes(target.payload));
  if (compressed.length < target.plainSize) {
    target.codec = codec.id;
    target.payload = [compressed];
    target.payloadSize = compressed.length;
  }
}

function compress(codec: Codec, plain: Buffer): Buffer {
  let compressed: Uint8Array;
  try {
    compressed = codec.compress(plain);
  } catch (error) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The codec ${codec.name} could not compress a payload.`,
      { cause: error },
    );
  }
  if (!types.isUint8Array(compressed)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The codec ${codec.name} did not compress a payload to a Uint8Array.`,
    );
  }
  // A copy: a codec may use one buffer for all its results.
  return Buffer.from(compressed);
}

/** Errors of the value's own code get a code of ours. */
function toJson(what: string, value: unknown): string {
  try {
    return jsonTextOf(value, what);
  } catch (cause) {
    if (cause instanceof VarveError) {
      throw cause;
    }
    throw new VarveError('INVALID_ARGUMENT', `The ${what} of an event can't be written as JSON.`, {
      cause,
    });
  }
}
