/** Names in a key-value store's folder. */
import { assert } from '../../base/assert.ts';
import { joinPath } from '../../io/path.ts';

/** The folder of the tables. */
export const TABLES_NAME = 'tables';
/** Which tables there are. */
export const MANIFEST_NAME = 'manifest';
/** The same once more, for when the manifest is lost. */
export const MANIFEST_COPY_NAME = 'manifest.copy';

const DIGITS = 20;
const pattern = /^(\d{20})\.tbl$/;

export function tablesDirectory(directory: string): string {
  return joinPath(directory, TABLES_NAME);
}

export function tablePath(directory: string, number: number): string {
  return joinPath(directory, TABLES_NAME, tableName(number));
}

export function tableName(number: number): string {
  assert(Number.isSafeInteger(number) && number >= 0, 'a table has a number');
  return `${String(number).padStart(DIGITS, '0')}.tbl`;
}

/** The number in a table's name, or undefined if it is no table's name. */
export function tableNumberOf(name: string): number | undefined {
  const digits = pattern.exec(name)?.[1];
  const number = digits === undefined ? undefined : Number(digits);
  return number !== undefined && Number.isSafeInteger(number) ? number : undefined;
}
