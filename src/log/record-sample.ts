/** Records of every kind for tests, and the bytes that docs/formats/event-log.md says they have, made in another way than the code's. */
import { strictEqual } from 'node:assert';
import { viewOf } from '../base/integers.ts';
import {
  encodeRecord,
  HASH_SIZE,
  placeRecord,
  PREVIOUS_LEAF_AT,
  recordSizeAt,
  recordSizeOf,
} from './format.ts';
import type { CommitTexts, RecordContent } from './record-fields.ts';

/** What the caller and the store say about one event, without the sizes. */
export interface Spec {
  readonly position: number;
  readonly revision: number;
  readonly time: number;
  readonly commitIndex: number;
  readonly commitCount: number;
  readonly stream: string;
  readonly type: string;
  readonly id: string;
  readonly correlationId: string;
  readonly causationId: string;
  readonly idempotencyScope: string;
  readonly idempotencyKey: string;
  readonly tags: readonly string[];
  readonly occurredAt: number | undefined;
  readonly contentType: number;
  readonly codec: number;
  readonly payload: readonly (string | Uint8Array)[];
  readonly metadataSize: number;
  readonly plainSize: number;
  readonly idDraw: number;
  readonly previousLeaf: Uint8Array | undefined;
  readonly previousPosition: number;
  readonly salt: Uint8Array;
}

export function commitTextsOf({ idempotencyScope, idempotencyKey }: Spec): CommitTexts {
  return {
    idempotencyScope,
    idempotencyScopeSize: idSizeOf(idempotencyScope),
    idempotencyKey,
    idempotencyKeySize: idSizeOf(idempotencyKey),
  };
}

export function contentOf(spec: Spec): RecordContent {
  return {
    ...spec,
    streamSize: Buffer.byteLength(spec.stream),
    typeSize: Buffer.byteLength(spec.type),
    suppliedId: spec.id,
    suppliedIdSize: idSizeOf(spec.id),
    correlationIdSize: idSizeOf(spec.correlationId),
    causationIdSize: idSizeOf(spec.causationId),
    tagsSize: spec.tags.reduce((sum, tag) => sum + Buffer.byteLength(tag), 0),
    payloadSize: payloadOf(spec).length,
  };
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function idSizeOf(value: string): number {
  return uuid.test(value) ? 16 : Buffer.byteLength(value);
}

export function payloadOf({ payload }: Pick<Spec, 'payload'>): Buffer {
  return Buffer.concat(payload.map((part) => Buffer.from(part)));
}

/** Encodes a record behind and in front of other bytes. */
export function encode(spec: Spec, start = 8): { bytes: Buffer; view: DataView; end: number } {
  const content = contentOf(spec);
  const commit = commitTextsOf(spec);
  const size = recordSizeOf(content, commit);
  const bytes = Buffer.alloc(start + size + 8, 0xaa);
  const view = viewOf(bytes);
  const end = encodeRecord(bytes, view, start, content, commit);
  placeRecord(bytes, view, start, spec, Buffer.concat([Buffer.of(1, 2), spec.salt]), 2);
  strictEqual(end, start + size);
  strictEqual(recordSizeAt(view, start), size);
  // What the writer fills in.
  view.setUint32(start, 0, true);
  bytes.fill(0, start + PREVIOUS_LEAF_AT, start + PREVIOUS_LEAF_AT + 2 * HASH_SIZE);
  const around = Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
  strictEqual(
    around.every((byte) => byte === 0xaa),
    true,
  );
  return { bytes, view, end };
}

/** The header as docs/formats/event-log.md describes it, made in another way. */
export function headerByDocument(spec: Spec): Buffer {
  const { id, correlationId, causationId, idempotencyScope, idempotencyKey } = spec;
  const ids = [id, correlationId, causationId, '', idempotencyScope, idempotencyKey];
  const isUuid = ids.map((value) => uuid.test(value));
  const idBytes = ids.map((value, index) =>
    isUuid[index]! ? Buffer.from(value.replaceAll('-', ''), 'hex') : Buffer.from(value),
  );
  const [stream, type] = [Buffer.from(spec.stream), Buffer.from(spec.type)];
  const tags = spec.tags
    .map((tag) => Buffer.from(tag))
    .flatMap((tag) => [Buffer.of(tag.length - 1), tag]);
  const flags =
    spec.contentType +
    (spec.occurredAt === undefined ? 0 : 4) +
    (spec.metadataSize > 0 ? 8 : 0) +
    isUuid.reduce((sum, is, index) => sum + (is ? 256 << index : 0), 0);
  const place = [
    [2, 1],
    [spec.id === '' ? spec.idDraw : 0, 3],
    [spec.commitIndex, 2],
    [spec.commitCount, 2],
    [spec.position, 6],
    [spec.revision, 6],
    [spec.time, 6],
    [flags, 2],
    [payloadOf(spec).length, 4],
  ];
  const sizes = [type.length - 1, ...idBytes.slice(0, 5).map(({ length }) => length)];
  const optional = [
    [spec.plainSize, spec.codec === 0 ? 0 : 4],
    [spec.metadataSize, spec.metadataSize === 0 ? 0 : 4],
    [spec.occurredAt ?? 0, spec.occurredAt === undefined ? 0 : 8],
  ];
  return Buffer.concat([
    ...place.map(([value, size]) => littleEndian(value!, size!)),
    Buffer.alloc(64),
    littleEndian(stream.length, 2),
    littleEndian(idBytes[5]!.length, 2),
    Buffer.of(...sizes, spec.tags.length, spec.codec),
    ...optional.map(([value, size]) => littleEndian(value!, size!)),
    stream,
    type,
    ...idBytes,
    ...tags,
  ]);
}

function littleEndian(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes.subarray(0, size);
}
