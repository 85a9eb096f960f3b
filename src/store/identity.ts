/** `store.json`: who the store is and which formats it has. Written once. See docs/formats/event-log.md. */
import { crc32 } from '../base/crc32.ts';
import { CorruptionError, VarveError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { isUuid, putUuid, UUID_SIZE, uuidAt } from '../base/uuid.ts';
import { readSmallFile, replaceFile } from '../io/atomic-file.ts';
import type { FileSystem } from '../io/file-system.ts';
import { isoTime } from '../io/iso-time.ts';
import { joinPath } from '../io/path.ts';
import { JOURNAL_FORMAT_VERSION } from '../journal/format.ts';
import { RECORD_FORMAT_VERSION } from '../log/format.ts';

export const IDENTITY_NAME = 'store.json';

const STORE_FORMAT = 'varve';
// Format: persisted; never renumber.
const STORE_FORMAT_VERSION = 1;
const FIELD_NAMES = 'format,version,formats,id,created';
/** Of JSON: none of the texts in the file holds any. */
const WHITE_SPACE = /[ \t\n\r]/g;
export const IDENTITY_SIZE_MAX: number = 64 * 1024;

export interface StoreIdentity {
  readonly id: string;
  /** The same as 16 bytes. */
  readonly bytes: Uint8Array;
}

/** Makes an identity and writes it, durably. */
export function createIdentity(
  fileSystem: FileSystem,
  directory: string,
  bytes: Uint8Array,
  now: number,
): void {
  const content = {
    format: STORE_FORMAT,
    version: STORE_FORMAT_VERSION,
    formats: { journal: JOURNAL_FORMAT_VERSION, record: RECORD_FORMAT_VERSION },
    id: uuidAt(Buffer.from(bytes), 0),
    created: isoTime(now),
  };
  const text = JSON.stringify({ ...content, checksum: checksumOf(content) }, null, 2);
  replaceFile(fileSystem, directory, IDENTITY_NAME, Buffer.from(`${text}\n`));
}

/** 16 random bytes in the form of a UUIDv4. */
export function drawIdentity(random: Random): Uint8Array {
  const bytes = new Uint8Array(UUID_SIZE);
  random.fill(bytes);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes;
}

/** Undefined if the file isn't there. Throws `CORRUPT` or `UNSUPPORTED_FORMAT`. */
export function readIdentity(fileSystem: FileSystem, directory: string): StoreIdentity | undefined {
  const path = joinPath(directory, IDENTITY_NAME);
  const bytes = readSmallFile(fileSystem, path, IDENTITY_SIZE_MAX);
  if (bytes === undefined) {
    return undefined;
  }
  const content = readContent(path, Buffer.from(bytes).toString('utf8'));
  if (content['format'] !== STORE_FORMAT) {
    throw new CorruptionError(path, undefined, 'it does not describe a store');
  }
  // Order: the versions before the rest, which a newer version may have changed.
  checkVersions(directory, path, content);
  const { id, created } = content;
  const names = Object.keys(content).join();
  if (names !== FIELD_NAMES || typeof id !== 'string' || !isUuid(id) || !isIsoTime(created)) {
    throw new CorruptionError(path, undefined, 'it does not describe a store');
  }
  const identity = new Uint8Array(UUID_SIZE);
  putUuid(identity, 0, id);
  return { id, bytes: identity };
}

/** What the file says, without its checksum, which is right. */
function readContent(path: string, text: string): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new CorruptionError(path, undefined, 'it is not JSON', error);
  }
  if (typeof parsed !== 'object' || parsed === null || !('checksum' in parsed)) {
    throw new CorruptionError(path, undefined, 'it does not describe a store');
  }
  const { checksum, ...content } = parsed as Record<string, unknown>;
  // A name that stands twice is lost in parsing, and the checksum would not cover it.
  if (
    checksum !== checksumOf(content) ||
    text.replaceAll(WHITE_SPACE, '') !== JSON.stringify({ ...content, checksum })
  ) {
    throw new CorruptionError(path, undefined, 'it does not match its checksum');
  }
  return content;
}

function checkVersions(
  directory: string,
  path: string,
  { version, formats }: Readonly<Record<string, unknown>>,
): void {
  const found = { version, ...(formats as Record<string, unknown>) };
  const known = {
    version: STORE_FORMAT_VERSION,
    journal: JOURNAL_FORMAT_VERSION,
    record: RECORD_FORMAT_VERSION,
  };
  if (JSON.stringify(found) !== JSON.stringify(known)) {
    throw new VarveError(
      'UNSUPPORTED_FORMAT',
      `The store in ${directory} has formats ${JSON.stringify(found)}; this version of varve reads ${JSON.stringify(known)}: use the version that wrote it, or have that one export it and import the events here.`,
      { details: { file: path, found, known } },
    );
  }
}

function isIsoTime(text: unknown): boolean {
  return (
    typeof text === 'string' && /^(?:\d{4}|[+-]\d{6})-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text)
  );
}

function checksumOf(content: object): string {
  const bytes = Buffer.from(JSON.stringify(content));
  return crc32(bytes, 0, bytes.length).toString(16).padStart(8, '0');
}
